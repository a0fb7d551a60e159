//! Folding: one spelling of what buyers write in many, before rules see it. What an order carries stays as it was sent.

mod never_met;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use icu_normalizer::ComposingNormalizer;
use serde::{Deserialize, Serialize};

pub use never_met::{NeverMet, never_met};

use super::names::check_attribute;
use super::{ANY_NAME, Attribute, Expr, NAME_BYTES_MAX, Plan, TOKEN_CLAIMS};
use crate::order::{VALUE_BYTES_MAX, array, check_client_attribute};
use crate::wire::json::once_each;
use crate::wire::{check_shown, prints_nothing};

/// Between a list and how its members are folded, where it is asked by a folded value: no list's id has one.
const FOLDED: char = '~';

/// One way of folding a text. All of them leave a text as it is of which nothing would be left: what is there never
/// becomes missing.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[schema(as = FoldStep)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Without white space, and what prints nothing, at both ends.
    Trim,
    /// In lower case, as Unicode has it for no language in particular.
    Lowercase,
    /// An e-mail address with its domain in lower case and without `+tag`; any other text as it is.
    Email,
    /// In normalisation form C: the same letters in the same bytes.
    Nfc,
    /// The digits 0 to 9 alone, of a telephone number; a text that has other digits as it is.
    Digits,
}

impl Step {
    /// In the order in which they are applied.
    pub const ALL: [Self; 5] = [Self::Trim, Self::Lowercase, Self::Email, Self::Nfc, Self::Digits];

    pub fn name(self) -> &'static str {
        match self {
            Self::Trim => "trim",
            Self::Lowercase => "lowercase",
            Self::Nfc => "nfc",
            Self::Email => "email",
            Self::Digits => "digits",
        }
    }

    /// What is left out of account, for a sentence.
    fn sentence(self) -> &'static str {
        match self {
            Self::Trim => "without spaces around it",
            Self::Lowercase => "in lower case",
            Self::Nfc => "with letters and their accents composed",
            Self::Email => "as an e-mail address, without +tag and with its domain in lower case",
            Self::Digits => "as its digits alone",
        }
    }

    fn apply(self, text: &str) -> Cow<'_, str> {
        let folded = match self {
            Self::Trim => text.trim_matches(prints_nothing).into(),
            Self::Lowercase => text.to_lowercase().into(),
            Self::Nfc => ComposingNormalizer::new_nfc().normalize(text),
            Self::Email => email(text),
            Self::Digits => digits(text),
        };
        match folded.is_empty() {
            true => text.into(),
            false => folded,
        }
    }
}

impl FromStr for Step {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|step| step.name() == name).ok_or(())
    }
}

/// In quotes a name may have anything in it, and of one that begins with `+` nothing would be left.
fn email(text: &str) -> Cow<'_, str> {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return text.into();
    };
    if local.is_empty() || domain.is_empty() {
        return text.into();
    }
    let name = match local.split_once('+') {
        Some((name, _)) if !name.is_empty() && !name.starts_with('"') => name,
        _ => local,
    };
    format!("{name}@{}", domain.to_lowercase()).into()
}

/// Two numbers that differ in digits of another script would become one.
fn digits(text: &str) -> Cow<'_, str> {
    match text.chars().any(|c| c.is_numeric() && !c.is_ascii()) {
        true => text.into(),
        false => text.chars().filter(char::is_ascii_digit).collect(),
    }
}

/// How an attribute is folded: one step or several, in the order of [`Step::ALL`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "BTreeSet<Step>")]
pub struct Fold(BTreeSet<Step>);

impl TryFrom<BTreeSet<Step>> for Fold {
    type Error = &'static str;

    fn try_from(steps: BTreeSet<Step>) -> Result<Self, &'static str> {
        match steps.is_empty() {
            true => Err("names no step"),
            false => Ok(Self(steps)),
        }
    }
}

/// As it is displayed: the steps joined by `+`.
impl FromStr for Fold {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let steps: Result<BTreeSet<Step>, ()> = text.split('+').map(str::parse).collect();
        steps.map_err(|()| "names a step that there is not")?.try_into()
    }
}

impl fmt::Display for Fold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(|step| step.name()).collect();
        f.write_str(&names.join("+"))
    }
}

impl Fold {
    /// A text folded; of an array each element.
    pub fn value<'a>(&self, value: &'a str) -> Cow<'a, str> {
        match array::several(value) {
            None => self.text(value),
            Some(elements) => array::of(elements.into_iter().map(|each| self.text(each).into_owned())).into(),
        }
    }

    /// A text folded. Folding it once more changes nothing. One that would become longer than a value may be stays as it is.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let folded = self.0.iter().fold(Cow::Borrowed(text), |text, step| match text {
            Cow::Borrowed(text) => step.apply(text),
            Cow::Owned(text) => step.apply(&text).into_owned().into(),
        });
        match folded.len() > VALUE_BYTES_MAX {
            true => text.into(),
            false => folded,
        }
    }

    /// How a text reads that was folded.
    pub fn sentence(&self) -> String {
        let parts: Vec<&str> = self.0.iter().map(|step| step.sentence()).collect();
        parts.join(", ")
    }
}

/// How a revision folds attributes, by their text form: `user`, `claim:email`, `client:phone`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(transparent)]
pub struct Folds(#[serde(deserialize_with = "once_each")] BTreeMap<String, Fold>);

impl FromIterator<(String, Fold)> for Folds {
    fn from_iter<T: IntoIterator<Item = (String, Fold)>>(folds: T) -> Self {
        Self(folds.into_iter().collect())
    }
}

impl Folds {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Fold)> {
        self.0.iter().map(|(name, fold)| (name.as_str(), fold))
    }

    pub fn of(&self, attribute: &Attribute) -> Option<&Fold> {
        match attribute {
            Attribute::User | Attribute::Claim(_) | Attribute::Client(_) => {
                self.0.get(&attribute.to_string())
            }
            _ => None,
        }
    }

    /// Has the plan of a rule say how attributes are folded that its precheck is handed, which declares these. Its nodes do
    /// not need what is added: the plan's digest covers it, and a release that folds nothing refuses the plan.
    pub fn note_handed(&self, plan: &mut Plan, declared: &[Attribute]) {
        let named = self.0.iter().filter_map(|(name, fold)| {
            let attribute = foldable(name).ok()?;
            let is_handed =
                attribute.is_given() || declared.iter().any(|declared| declared.declares(&attribute));
            is_handed.then(|| Expr::Attribute(attribute.folded(fold.clone())))
        });
        plan.nodes.extend(named);
    }

    /// A value of an attempt by the text form of its attribute.
    pub fn value<'a>(&self, attribute: &str, value: &'a str) -> Cow<'a, str> {
        self.0
            .get(attribute)
            .map_or(Cow::Borrowed(value), |fold| fold.value(value))
    }

    /// A rule's plan that reads folded copies where it read attributes that are folded: in expressions, in the keys of
    /// counters, which are then other counters, and where lists are asked, which are then folded, too. What an order must carry it must carry as before.
    pub fn apply(&self, plan: Plan) -> Plan {
        let fold = |attribute: Attribute| match self.of(&attribute) {
            Some(fold) => attribute.folded(fold.clone()),
            None => attribute,
        };
        let nodes = plan.nodes.into_iter().map(|expr| match expr {
            Expr::Attribute(attribute) => Expr::Attribute(fold(attribute)),
            Expr::Member { audience, of } => Expr::Member {
                audience: self
                    .of(&of)
                    .map_or(audience.clone(), |fold| folded_list(&audience, fold)),
                of: fold(of),
            },
            other => other,
        });
        let counters = plan.counters.into_iter().map(|mut counter| {
            counter.key = counter.key.into_iter().map(&fold).collect();
            counter.id = counter_id(counter.id, &counter.key);
            counter
        });
        Plan {
            nodes: nodes.collect(),
            counters: counters.collect(),
            ..plan
        }
    }
}

/// The attribute of this name, if it can be folded; `Err` says why not.
pub fn foldable(name: &str) -> Result<Attribute, String> {
    let attribute = match name.split_once(':') {
        None if name == "user" => Attribute::User,
        Some(("claim", claim)) if TOKEN_CLAIMS.contains(&claim) => {
            return Err(
                "it is about the token itself, and no rule is handed it; who orders is \"user\"".to_owned(),
            );
        }
        Some(("claim" | "client", ANY_NAME)) => {
            return Err("each attribute is folded by its own name".to_owned());
        }
        Some(("claim", claim)) => Attribute::Claim(claim.to_owned()),
        Some(("client", client)) => {
            check_client_attribute(client)?;
            Attribute::Client(client.to_owned())
        }
        _ => return Err("what can be is \"user\", \"claim:<name>\" and \"client:<name>\"".to_owned()),
    };
    check_attribute(&attribute).map_err(|(_, message)| message)?;
    check_shown(name, false)?;
    Ok(attribute)
}

/// The id of a counter with this key. What counts by folded texts is another counter than what counts by those that were sent:
/// neither goes on with what the other has counted, in the engine or in the database.
fn counter_id(id: String, key: &[Attribute]) -> String {
    let folds: Vec<&Fold> = key
        .iter()
        .filter_map(|attribute| match attribute {
            Attribute::Folded { fold, .. } => Some(fold),
            _ => None,
        })
        .collect();
    if folds.is_empty() {
        return id;
    }
    let named = format!("{id}-folded-{}", folds[0].to_string().replace('+', "-"));
    if key.len() == 1 && named.len() <= NAME_BYTES_MAX {
        return named;
    }
    // Of several attributes it matters which are folded how.
    let key: Vec<String> = key.iter().map(ToString::to_string).collect();
    let suffix = format!(
        "-folded-{:08x}",
        crc32fast::hash(format!("{id} {}", key.join(" ")).as_bytes())
    );
    let kept = id.get(..NAME_BYTES_MAX - suffix.len()).unwrap_or(&id);
    format!("{kept}{suffix}")
}

/// What rules read of an order in expressions and count by; of prechecks, what they are handed folded.
pub fn read_by(plan: &Plan) -> impl Iterator<Item = &Attribute> {
    let read = plan.nodes.iter().filter_map(|expr| match expr {
        Expr::Attribute(of) | Expr::Member { of, .. } => Some(of),
        _ => None,
    });
    read.chain(plan.counters.iter().flat_map(|counter| &counter.key))
}

/// The key of a list whose members are folded, among those that a revision pins.
fn folded_list(audience: &str, fold: &Fold) -> String {
    format!("{audience}{FOLDED}{fold}")
}

/// The list that a key among those that a revision pins is of, and how its members are folded; `None` where it says a step
/// that this build does not know.
pub fn list_of(key: &str) -> (&str, Option<Fold>) {
    match key.split_once(FOLDED) {
        None => (key, None),
        Some((list, fold)) => (list, fold.parse().ok()),
    }
}

#[cfg(test)]
mod tests;
