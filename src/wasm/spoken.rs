//! What a module says of a plan or of parameters: read by merchants and buyers, so that nothing hidden may stand in it.

use super::{Diagnostic, ModuleError};
use crate::plan::{Attribute, Expr, Plan};
use crate::wire::check_shown;

fn refused(what: &str, why: &str) -> ModuleError {
    ModuleError::Misbehaved {
        function: "compile",
        code: "output",
        message: format!("{what} {why}"),
    }
}

/// Sentences, and the names of attributes, which the host's own sentences repeat.
pub(super) fn check_plan(plan: &Plan) -> Result<(), ModuleError> {
    let constraints = plan.constraints.iter().map(|constraint| &constraint.sentence);
    let early = plan.early_access.iter().map(|early| &early.sentence);
    for sentence in constraints.chain(early) {
        check_shown(sentence, false).map_err(|why| refused("a sentence of the plan", &why))?;
    }
    let read = plan.nodes.iter().filter_map(|expr| match expr {
        Expr::Attribute(attribute) | Expr::Member { of: attribute, .. } => Some(attribute),
        _ => None,
    });
    let keys = plan.counters.iter().flat_map(|counter| &counter.key);
    for attribute in read.chain(keys).chain(&plan.required) {
        if let Attribute::Claim(name) | Attribute::Client(name) | Attribute::OfSku(name) = attribute {
            check_shown(name, false).map_err(|why| refused("the name of an attribute", &why))?;
        }
    }
    Ok(())
}

pub(super) fn check_diagnostics(diagnostics: &[Diagnostic]) -> Result<(), ModuleError> {
    for diagnostic in diagnostics {
        let Diagnostic {
            pointer,
            code,
            message,
            hint,
            ..
        } = diagnostic;
        let hint = hint.as_deref().unwrap_or_default();
        for text in [pointer, code, message, hint] {
            check_shown(text, true).map_err(|why| refused("a diagnostic", &why))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::samples::samples;

    #[test]
    fn nothing_hidden_is_said_of_a_plan() {
        for sample in samples() {
            assert_eq!(check_plan(&sample.plan), Ok(()), "{}", sample.name);
        }
        type Spoil = fn(&mut Plan);
        let spoils: [Spoil; 3] = [
            |plan| plan.constraints[0].sentence = "At most 2\u{202e}".into(),
            |plan| plan.counters[0].key.push(Attribute::Claim("ti\u{200b}er".into())),
            |plan| plan.required.push(Attribute::Client("de\u{feff}vice".into())),
        ];
        for spoil in spoils {
            let mut plan = samples().remove(0).plan;
            spoil(&mut plan);
            let error = check_plan(&plan).expect_err("hidden");
            assert!(
                matches!(error, ModuleError::Misbehaved { code: "output", .. }),
                "{error}"
            );
        }
    }

    #[test]
    fn nothing_hidden_is_said_of_parameters() {
        let diagnostic = |message: &str, hint: Option<&str>| Diagnostic {
            severity: "error".into(),
            pointer: "/limit".into(),
            code: "too-low".into(),
            message: message.into(),
            hint: hint.map(Into::into),
        };
        assert_eq!(
            check_diagnostics(&[diagnostic("is below 1", Some("use 1\nor more"))]),
            Ok(())
        );
        assert!(check_diagnostics(&[diagnostic("is \u{202e}below 1", None)]).is_err());
        assert!(check_diagnostics(&[diagnostic("is below 1", Some("\u{1b}[2J"))]).is_err());
    }
}
