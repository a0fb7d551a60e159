//! Prechecks as admission sees them: asked for each attempt before the script is. They may only reject.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::order::Attempt;
use crate::order::array::is_array;
use crate::plan::unfit::Reads;
use crate::plan::{Attribute, CheckedPlan, Folds};

/// An attempt with every attribute the gateway has of it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub attempt: &'a Attempt,
    /// Attributes that the active plan does not read, by their text form.
    pub unread: &'a BTreeMap<String, String>,
}

impl Asked<'_> {
    /// The value of an `ip`, `claim` or `client` attribute; the empty text where the attempt has none.
    pub fn text(&self, attribute: &Attribute) -> &str {
        let name = attribute.to_string();
        let found = self.attempt.attributes.get(&name);
        let found = found.or_else(|| self.unread.get(&name));
        found.map_or("", String::as_str)
    }

    /// Every attribute by its text form, with its value, but for those whose value is no single one.
    pub fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        let both = self.attempt.attributes.iter().chain(self.unread);
        both.filter(|(_, value)| !is_array(value))
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// What a precheck says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    Reject(Objection),
    /// The module trapped, overran its budget, or answered what it did not declare. Never a pass.
    Failed,
}

/// A reason that the module's descriptor declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objection {
    pub code: String,
    pub title: String,
    pub retryable: bool,
}

/// The precheck of one rule of a revision, ready to be asked.
pub trait Precheck: fmt::Debug + Send + Sync {
    /// Name of the rule in its revision.
    fn rule(&self) -> &str;

    /// What it is handed of an order besides user, SKU and quantity; the name `*` stands for all of a kind.
    fn reads(&self) -> &[Attribute];

    /// Blocks for as long as the module runs, which is bounded: not for a serving thread.
    fn check(&self, asked: &Asked<'_>) -> Verdict;
}

/// A precheck that is handed folded copies, as the plan of its revision reads them.
#[derive(Debug)]
pub struct Folding {
    pub precheck: Arc<dyn Precheck>,
    pub folds: Folds,
}

impl Precheck for Folding {
    fn rule(&self) -> &str {
        self.precheck.rule()
    }

    fn reads(&self) -> &[Attribute] {
        self.precheck.reads()
    }

    fn check(&self, asked: &Asked<'_>) -> Verdict {
        let folded = |attributes: &BTreeMap<String, String>| -> BTreeMap<String, String> {
            let each = attributes.iter();
            each.map(|(name, value)| (name.clone(), self.folds.value(name, value).into_owned()))
                .collect()
        };
        let user = self
            .folds
            .value(&Attribute::User.to_string(), &asked.attempt.user);
        let attempt = Attempt {
            user: user.into_owned(),
            attributes: folded(&asked.attempt.attributes),
            ..asked.attempt.clone()
        };
        self.precheck.check(&Asked {
            attempt: &attempt,
            unread: &folded(asked.unread),
        })
    }
}

/// What a plan and the prechecks of its revision read of an order.
pub fn reads_of(plan: &CheckedPlan, prechecks: &[Arc<dyn Precheck>]) -> Reads {
    let handed = prechecks.iter().flat_map(|precheck| precheck.reads());
    plan.reads().clone().and_handed(handed)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::order::OrderId;

    /// Passes everything, and remembers what it was handed.
    #[derive(Debug, Default)]
    struct Witness(Mutex<Vec<String>>);

    impl Precheck for Witness {
        fn rule(&self) -> &'static str {
            "witness"
        }

        fn reads(&self) -> &[Attribute] {
            &[]
        }

        fn check(&self, asked: &Asked<'_>) -> Verdict {
            let mut handed = self.0.lock().expect("no panic holds this lock");
            handed.push(asked.attempt.user.clone());
            handed.push(asked.text(&Attribute::Claim("email".to_owned())).to_owned());
            handed.extend(asked.all().map(|(name, value)| format!("{name}={value}")));
            Verdict::Pass
        }
    }

    #[test]
    fn a_precheck_is_handed_what_its_rules_read() {
        let (user, email) = ("Ada".to_owned(), ("claim:email".to_owned(), " A@X".to_owned()));
        let attempt = Attempt {
            order: OrderId::keyed("spring", &user, ""),
            user,
            sku: "mug".to_owned(),
            quantity: 1,
            attributes: [email].into(),
        };
        let unread = [("client:note".to_owned(), "As It Is".to_owned())].into();
        let folds = [("user", "lowercase"), ("claim:email", "trim+lowercase")]
            .map(|(name, steps)| (name.to_owned(), steps.parse().expect("steps")));
        let witness = Arc::new(Witness::default());
        let folding = Folding {
            precheck: witness.clone(),
            folds: folds.into_iter().collect(),
        };
        let asked = Asked {
            attempt: &attempt,
            unread: &unread,
        };
        assert_eq!(folding.check(&asked), Verdict::Pass);
        let handed = witness.0.lock().expect("no panic holds this lock").clone();
        assert_eq!(handed, ["ada", "a@x", "claim:email=a@x", "client:note=As It Is"]);
    }
}
