//! Texts that rules compare with folded values in vain.

use super::Fold;
use crate::plan::{Attribute, Expr, Node, Plan};

/// Values looked at of one node at most: each may be a choice between two others.
const VALUES_MAX: usize = 32;

/// A text that a rule compares with a value, and that the value never is, since it is folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeverMet {
    pub text: String,
    pub attribute: Attribute,
    /// What values are instead.
    pub instead: String,
}

/// Which part of a value a text is compared with.
#[derive(Clone, Copy)]
enum Part {
    Whole,
    Start,
    End,
}

impl Part {
    /// What values have there that are folded, where they had the text before.
    fn folded(self, text: &str, fold: &Fold) -> String {
        // Every step leaves a digit that stands beside it.
        const BESIDE: char = '0';
        match self {
            Self::Whole => fold.text(text).into_owned(),
            Self::Start => {
                let folded = fold.text(&format!("{text}{BESIDE}")).into_owned();
                folded.strip_suffix(BESIDE).unwrap_or(&folded).to_owned()
            }
            Self::End => {
                let folded = fold.text(&format!("{BESIDE}{text}")).into_owned();
                folded.strip_prefix(BESIDE).unwrap_or(&folded).to_owned()
            }
        }
    }
}

/// The first text of a plan that [`super::Folds::apply`] made, that what it is compared with cannot be.
pub fn never_met(plan: &Plan) -> Option<NeverMet> {
    plan.nodes.iter().find_map(|expr| match expr {
        Expr::OneOf(of, texts) => first_not(plan, *of, texts.iter(), Part::Whole),
        Expr::Lookup { of, entries, .. } => {
            first_not(plan, *of, entries.iter().map(|(text, _)| text), Part::Whole)
        }
        Expr::StartsWith(of, texts) => first_not(plan, *of, texts.iter(), Part::Start),
        Expr::EndsWith(of, texts) => first_not(plan, *of, texts.iter(), Part::End),
        Expr::Eq(a, b) => [(a, b), (b, a)].into_iter().find_map(|(of, with)| {
            let Some(Expr::Text(text)) = plan.nodes.get(*with as usize) else {
                return None;
            };
            first_not(plan, *of, std::iter::once(text), Part::Whole)
        }),
        _ => None,
    })
}

/// The first of these texts that no value of this node meets, where all that it can be is folded.
fn first_not<'a>(
    plan: &'a Plan,
    of: Node,
    mut texts: impl Iterator<Item = &'a String>,
    part: Part,
) -> Option<NeverMet> {
    let values = values_of(plan, of)?;
    // A text of which nothing is left by itself is met by values that are nothing else, and stay as they are.
    let is_met = |text: &str, fold: &Fold| {
        let folded = part.folded(text, fold);
        folded == text || (folded.is_empty() && fold.text(text) == text)
    };
    let text = texts.find(|text| !values.iter().any(|(_, fold)| is_met(text, fold)))?;
    let (attribute, fold) = values.first()?;
    Some(NeverMet {
        text: text.clone(),
        attribute: (*attribute).clone(),
        instead: part.folded(text, fold),
    })
}

/// The folded attributes that a node is one of; `None` where it may be something else.
fn values_of(plan: &Plan, node: Node) -> Option<Vec<(&Attribute, &Fold)>> {
    let (mut values, mut open) = (Vec::new(), vec![node]);
    while let Some(node) = open.pop() {
        match plan.nodes.get(node as usize)? {
            Expr::Attribute(Attribute::Folded { of, fold }) => values.push((&**of, fold)),
            // Operands are before it; what was not checked yet may say otherwise.
            Expr::Select(_, a, b) if *a < node && *b < node && values.len() + open.len() < VALUES_MAX => {
                open.extend([a, b]);
            }
            _ => return None,
        }
    }
    Some(values)
}
