//! The trait a rule implements, and the way from the exports of the component to it.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::marker::PhantomData;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::bindings::exports::rushgate::policy::rule::Guest;
use crate::bindings::exports::rushgate::policy::types as wit;
use crate::plan::Finished;
use crate::{Attribute, Context, Example, Plan};

/// Why an order can be rejected.
#[derive(Clone, Copy, Debug)]
pub struct Reason {
    pub(crate) code: &'static str,
    title: &'static str,
    retryable: bool,
}

impl Reason {
    /// `code` is lower-case words joined by hyphens. The same order stays rejected until somebody changes
    /// something.
    pub const fn new(code: &'static str, title: &'static str) -> Self {
        Self {
            code,
            title,
            retryable: false,
        }
    }

    /// The same order may be admitted later without anybody changing anything.
    pub const fn retryable(self) -> Self {
        Self {
            retryable: true,
            ..self
        }
    }
}

/// An attribute the plan may read.
#[derive(Clone, Debug)]
pub struct Need {
    attribute: Attribute,
    required: bool,
}

impl Need {
    /// An order without it is refused before the rule is asked.
    pub fn required(attribute: Attribute) -> Self {
        Self {
            attribute,
            required: true,
        }
    }

    /// Reads as the empty text where an order has none.
    pub fn optional(attribute: Attribute) -> Self {
        Self {
            attribute,
            required: false,
        }
    }
}

/// What is wrong with the parameters, beyond their schema.
#[derive(Clone, Debug)]
pub struct Diagnostic(wit::Diagnostic);

impl Diagnostic {
    /// `pointer` is an RFC 6901 pointer into the parameters: `/limit`; empty for all of them.
    pub fn error(pointer: &str, code: &str, message: impl Into<String>) -> Self {
        Self(wit::Diagnostic {
            severity: wit::Severity::Error,
            pointer: pointer.to_owned(),
            code: code.to_owned(),
            message: message.into(),
            hint: None,
        })
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }
}

/// Goes on where nothing is wrong: `refuse(problems)?`.
pub fn refuse(problems: Vec<Diagnostic>) -> Result<(), Vec<Diagnostic>> {
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems)
    }
}

/// A rule.
pub trait Rule {
    /// The merchant's parameters. Their JSON Schema is derived from the type, and checked by the host
    /// before [`Rule::compile`] is called. `#[serde(deny_unknown_fields)]` catches misspelt names.
    type Params: DeserializeOwned + JsonSchema;

    /// Lower-case words joined by hyphens.
    const ID: &'static str;
    /// Semantic version: `env!("CARGO_PKG_VERSION")`.
    const VERSION: &'static str;
    const TITLE: &'static str;
    const SUMMARY: &'static str;
    /// Every reason a plan of this rule may name.
    const REASONS: &'static [Reason];

    /// The `ip`, `claim` and `client` attributes a plan of this rule may read.
    fn attributes() -> Vec<Need> {
        Vec::new()
    }

    /// Golden cases, which the host runs.
    fn examples() -> Vec<Example> {
        Vec::new()
    }

    /// The plan for these parameters, or everything that is wrong with them.
    fn compile(context: &Context, params: Self::Params) -> Result<Plan, Vec<Diagnostic>>;
}

/// The component's exports for a rule; see [`crate::export!`].
pub struct Exported<R>(PhantomData<R>);

impl<R: Rule> Guest for Exported<R> {
    fn describe() -> wit::Descriptor {
        let reasons = R::REASONS.iter().map(|reason| wit::Reason {
            code: reason.code.to_owned(),
            title: reason.title.to_owned(),
            retryable: reason.retryable,
        });
        let attributes = R::attributes().into_iter().map(|need| wit::AttributeNeed {
            attribute: need.attribute.0,
            required: need.required,
        });
        wit::Descriptor {
            id: R::ID.to_owned(),
            version: R::VERSION.to_owned(),
            title: R::TITLE.to_owned(),
            summary: R::SUMMARY.to_owned(),
            params_schema: schemars::schema_for!(R::Params).as_value().to_string(),
            reasons: reasons.collect(),
            attributes: attributes.collect(),
            examples: R::examples().into_iter().map(Example::finish).collect(),
            annotations: Vec::new(),
        }
    }

    fn compile(context: Context, params: String) -> Result<wit::Plan, Vec<wit::Diagnostic>> {
        finished::<R>(&context, &params)?.plain().ok_or_else(|| {
            let message = "these parameters need a gateway that asks rushgate:policy/rule2";
            vec![Diagnostic::error("", "needs-rule2", message).0]
        })
    }
}

/// The plan for parameters as text.
pub(crate) fn finished<R: Rule>(context: &Context, params: &str) -> Result<Finished, Vec<wit::Diagnostic>> {
    let params = serde_json::from_str(params).map_err(|error| {
        let message = format!("the parameters cannot be read: {error}");
        vec![Diagnostic::error("", "params", message).0]
    })?;
    R::compile(context, params)
        .map(Plan::finish)
        .map_err(|problems| problems.into_iter().map(|problem| problem.0).collect())
}

/// Makes a type that implements [`Rule`] the module's rule. Once per module.
#[macro_export]
macro_rules! export {
    ($rule:ty) => {
        #[doc(hidden)]
        type RushgateExported = $crate::Exported<$rule>;
        $crate::bindings::export_rule!(RushgateExported with_types_in $crate::bindings);
    };
}
