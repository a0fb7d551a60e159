//! Checks a descriptor: everything in it is shown to people, stored, or relied on when plans are merged.

use std::collections::BTreeSet;

use super::bounds::{DESCRIPTOR_ENTRIES_MAX, EXAMPLE_ATTEMPTS_MAX, SUMMARY_BYTES_MAX, TITLE_BYTES_MAX};
use super::schema::ParamsSchema;
use super::{Descriptor, Example, ExampleAttempt, Expected, ModuleError, Reason};
use crate::campaign::{ID_BYTES_MAX, SKUS_MAX, check_id};
use crate::order::{QUANTITY_MAX, VALUE_BYTES_MAX, check_sku};
use crate::plan::{ANY_NAME, Attribute, PLAN_TEXT_BYTES_MAX};
use crate::rejection::is_reserved;
use crate::wire::{check_seen, check_shown, check_shown_json};

/// A descriptor that is wrong; `message` is a sentence about what.
pub(super) fn refused(message: String) -> ModuleError {
    ModuleError::Refused {
        code: "descriptor",
        message: format!("describe: {message}"),
    }
}

pub(super) fn check(descriptor: &Descriptor) -> Result<(), ModuleError> {
    checked(descriptor).map_err(refused)
}

fn checked(descriptor: &Descriptor) -> Result<(), String> {
    code("id", &descriptor.id)?;
    semver::Version::parse(&descriptor.version).map_err(|error| {
        format!(
            "version {:?} is not a semantic version such as 1.0.0: {error}",
            descriptor.version
        )
    })?;
    text("version", &descriptor.version, 1, TITLE_BYTES_MAX)?;
    text("title", &descriptor.title, 1, TITLE_BYTES_MAX)?;
    text("summary", &descriptor.summary, 0, SUMMARY_BYTES_MAX)?;
    reasons(&descriptor.reasons)?;
    entries("attributes", descriptor.attributes.len())?;
    let mut seen = BTreeSet::new();
    for need in &descriptor.attributes {
        attribute(&need.attribute)?;
        if need.required && is_any(&need.attribute) {
            return Err(format!(
                "attribute {} stands for many and cannot be required; let the plan say what must be there",
                need.attribute
            ));
        }
        if !seen.insert(&need.attribute) {
            return Err(format!("attribute {} is listed twice", need.attribute));
        }
    }
    entries("annotations", descriptor.annotations.len())?;
    for (key, value) in &descriptor.annotations {
        text("an annotation's key", key, 1, TITLE_BYTES_MAX)?;
        text("an annotation's value", value, 0, SUMMARY_BYTES_MAX)?;
    }
    check_shown_json(&descriptor.params_schema)
        .map_err(|(pointer, why)| format!("params-schema: {pointer:?} {why}"))?;
    let schema = ParamsSchema::new(&descriptor.params_schema)?;
    entries("examples", descriptor.examples.len())?;
    let mut names = BTreeSet::new();
    for example in &descriptor.examples {
        text("an example's name", &example.name, 1, TITLE_BYTES_MAX)?;
        if !names.insert(&example.name) {
            return Err(format!("two examples are named {:?}", example.name));
        }
        check_example(descriptor, &schema, example)
            .map_err(|message| format!("example {:?}: {message}", example.name))?;
    }
    Ok(())
}

fn reasons(reasons: &[Reason]) -> Result<(), String> {
    entries("reasons", reasons.len())?;
    let mut seen = BTreeSet::new();
    for reason in reasons {
        code("a reason's code", &reason.code)?;
        text("a reason's title", &reason.title, 1, TITLE_BYTES_MAX)?;
        if is_reserved(&reason.code) {
            return Err(format!(
                "reason {:?} is one of the gateway's own; give it another code",
                reason.code
            ));
        }
        if !seen.insert(&reason.code) {
            return Err(format!("reason {:?} is listed twice", reason.code));
        }
    }
    Ok(())
}

fn check_example(
    descriptor: &Descriptor,
    schema: &ParamsSchema<'_>,
    example: &Example,
) -> Result<(), String> {
    let context = &example.context;
    check_id(&context.campaign).map_err(|error| format!("the campaign's id {error}"))?;
    if context.opens_at >= context.closes_at {
        return Err("the campaign closes before it opens".into());
    }
    if context.skus.is_empty() || context.skus.len() > SKUS_MAX {
        return Err(format!("the campaign must have 1 to {SKUS_MAX} SKUs"));
    }
    for sku in &context.skus {
        check_sku(&sku.id).map_err(|error| format!("the SKU's id {error}"))?;
    }
    if let Some(problem) = schema.problems(&example.params).first() {
        return Err(format!("params{}: {}", problem.pointer, problem.message));
    }
    entries("audiences", example.audiences.len())?;
    if example.attempts.is_empty() || example.attempts.len() > EXAMPLE_ATTEMPTS_MAX {
        return Err(format!("there must be 1 to {EXAMPLE_ATTEMPTS_MAX} attempts"));
    }
    example
        .attempts
        .iter()
        .enumerate()
        .try_for_each(|(index, attempt)| {
            check_attempt(descriptor, example, attempt)
                .map_err(|message| format!("attempt {index}: {message}"))
        })
}

fn check_attempt(descriptor: &Descriptor, example: &Example, attempt: &ExampleAttempt) -> Result<(), String> {
    text("the user", &attempt.user, 1, VALUE_BYTES_MAX)?;
    check_sku(&attempt.sku).map_err(|error| format!("the SKU's id {error}"))?;
    if !(1..=QUANTITY_MAX).contains(&attempt.quantity) {
        return Err(format!("the quantity must be 1 to {QUANTITY_MAX}"));
    }
    if example.context.opens_at.checked_add(attempt.at_ms).is_none() {
        return Err(format!("at-ms {} is out of range", attempt.at_ms));
    }
    entries("attributes", attempt.attributes.len())?;
    for (name, value) in &attempt.attributes {
        if matches!(name.as_str(), "user" | "sku" | "quantity") {
            return Err(format!(
                "{name} is a field of the attempt, not one of its attributes"
            ));
        }
        let declared = descriptor
            .attributes
            .iter()
            .any(|need| declares(&need.attribute, name));
        if !declared {
            return Err(format!("attribute {name} is not declared by the module"));
        }
        text("an attribute's value", value, 0, VALUE_BYTES_MAX)?;
    }
    match &attempt.expect {
        Expected::Rejected(reason)
            if !is_reserved(reason) && !descriptor.reasons.iter().any(|known| known.code == *reason) =>
        {
            Err(format!("it expects the reason {reason:?}, which is not declared"))
        }
        _ => Ok(()),
    }
}

/// Lower-case words joined by single hyphens, at most [`ID_BYTES_MAX`] bytes.
fn code(what: &str, code: &str) -> Result<(), String> {
    let word = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    if code.len() <= ID_BYTES_MAX && code.split('-').all(word) {
        return Ok(());
    }
    Err(format!(
        "{what} is {code:?}; use lower-case words joined by hyphens, at most {ID_BYTES_MAX} bytes"
    ))
}

fn attribute(attribute: &Attribute) -> Result<(), String> {
    match attribute {
        Attribute::Claim(name) | Attribute::Client(name) | Attribute::OfSku(name) => text(
            "an attribute's name",
            name,
            1,
            PLAN_TEXT_BYTES_MAX.min(VALUE_BYTES_MAX),
        ),
        // No module can name another one.
        _ => Ok(()),
    }
}

/// Whether a declared attribute covers the one an example's attempt gives, in its text form.
fn declares(declared: &Attribute, given: &str) -> bool {
    let given = match given.split_once(':') {
        Some(("claim", name)) => Attribute::Claim(name.to_owned()),
        Some(("client", name)) => Attribute::Client(name.to_owned()),
        _ => return declared.to_string() == given,
    };
    declared.declares(&given)
}

fn is_any(attribute: &Attribute) -> bool {
    matches!(attribute, Attribute::Claim(name) | Attribute::Client(name) if name == ANY_NAME)
}

/// Bounded, and without hidden characters except the line break of longer texts.
fn text(what: &str, text: &str, least: usize, most: usize) -> Result<(), String> {
    if text.len() < least {
        return Err(format!("{what} is empty"));
    }
    if text.len() > most {
        return Err(format!(
            "{what} has {} bytes; at most {most} are allowed",
            text.len()
        ));
    }
    let seen = check_shown(text, true).and_then(|()| match least {
        0 => Ok(()),
        _ => check_seen(text),
    });
    seen.map_err(|why| format!("{what} {why}"))
}

fn entries(what: &str, count: usize) -> Result<(), String> {
    match count <= DESCRIPTOR_ENTRIES_MAX {
        true => Ok(()),
        false => Err(format!(
            "there are {count} {what}; at most {DESCRIPTOR_ENTRIES_MAX} are allowed"
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{AttributeNeed, Context};
    use super::*;
    use crate::campaign::Sku;

    fn good() -> Descriptor {
        Descriptor {
            id: "n-per-user".into(),
            version: "1.0.0".into(),
            title: "So many per user".into(),
            summary: String::new(),
            params_schema: json!({"type": "object", "required": ["limit"]}),
            reasons: vec![Reason {
                code: "limit-per-user".into(),
                title: "Limit reached".into(),
                retryable: false,
            }],
            attributes: vec![AttributeNeed {
                attribute: Attribute::Claim("tier".into()),
                required: false,
            }],
            examples: vec![Example {
                name: "one".into(),
                context: Context {
                    campaign: "example".into(),
                    opens_at: 0,
                    closes_at: 1,
                    skus: vec![Sku::new("ticket", 1)],
                },
                params: json!({"limit": 1}),
                audiences: Vec::new(),
                attempts: vec![ExampleAttempt {
                    at_ms: 0,
                    user: "ann".into(),
                    sku: "ticket".into(),
                    quantity: 1,
                    attributes: vec![("claim:tier".into(), "gold".into())],
                    expect: Expected::Rejected("limit-per-user".into()),
                }],
            }],
            annotations: Vec::new(),
            precheck: false,
        }
    }

    #[test]
    fn a_star_declares_every_claim_or_client_attribute() {
        let mut descriptor = good();
        descriptor.attributes[0].attribute = Attribute::Claim("*".into());
        assert_eq!(check(&descriptor), Ok(()));
        descriptor.attributes[0].attribute = Attribute::Client("*".into());
        assert!(
            check(&descriptor).is_err(),
            "a claim is given, client attributes are declared"
        );
    }

    #[test]
    fn every_part_is_checked() {
        assert_eq!(check(&good()), Ok(()));
        type Spoil = fn(&mut Descriptor);
        let cases: &[(&str, Spoil)] = &[
            ("id is", |d| d.id = "N per user".into()),
            ("id is", |d| d.id = "a--b".into()),
            ("id is", |d| d.id = "a".repeat(65)),
            ("semantic version", |d| d.version = "1.0".into()),
            ("title is empty", |d| d.title.clear()),
            ("control character", |d| d.title = "a\0b".into()),
            ("title contains the character U+202E", |d| {
                d.title = "2\u{202e}1".into()
            }),
            ("title contains the character U+200B", |d| {
                d.reasons[0].title = "Limit\u{200b}".into();
            }),
            ("value contains the character U+2066", |d| {
                d.annotations = vec![("k".into(), "\u{2066}".into())];
            }),
            ("id is", |d| d.id = "n-p\u{435}r-user".into()),
            ("a reason's code is", |d| {
                d.reasons[0].code = "limit\u{200b}".into()
            }),
            ("/properties/limit/title", |d| {
                d.params_schema = json!({"properties": {"limit": {"title": "\u{202e}"}}});
            }),
            ("summary has", |d| d.summary = "x".repeat(SUMMARY_BYTES_MAX + 1)),
            ("JSON Schema", |d| d.params_schema = json!({"type": 7})),
            ("gateway's own", |d| d.reasons[0].code = "sold-out".into()),
            ("listed twice", |d| d.reasons.push(d.reasons[0].clone())),
            ("listed twice", |d| d.attributes.push(d.attributes[0].clone())),
            ("name is empty", |d| {
                d.attributes[0].attribute = Attribute::Client(String::new());
            }),
            ("stands for many", |d| {
                d.attributes[0] = AttributeNeed {
                    attribute: Attribute::Claim("*".into()),
                    required: true,
                };
            }),
            ("two examples", |d| d.examples.push(d.examples[0].clone())),
            ("params/limit: \"limit\" is missing", |d| {
                d.examples[0].params = json!({})
            }),
            ("closes before", |d| d.examples[0].context.closes_at = 0),
            ("1 to 256 attempts", |d| d.examples[0].attempts.clear()),
            ("attempt 0: the quantity", |d| {
                d.examples[0].attempts[0].quantity = 0;
            }),
            ("not declared", |d| {
                d.examples[0].attempts[0].attributes[0].0 = "client:device".into();
            }),
            ("\"no-such\", which is not declared", |d| {
                d.examples[0].attempts[0].expect = Expected::Rejected("no-such".into());
            }),
            ("out of range", |d| {
                d.examples[0].context.opens_at = -1;
                d.examples[0].attempts[0].at_ms = i64::MIN;
            }),
            ("at most 64", |d| {
                d.annotations = vec![("k".into(), "v".into()); DESCRIPTOR_ENTRIES_MAX + 1];
            }),
        ];
        for (word, spoil) in cases {
            let mut descriptor = good();
            spoil(&mut descriptor);
            match check(&descriptor) {
                Err(ModuleError::Refused { code, message }) => {
                    assert_eq!(code, "descriptor");
                    assert!(message.contains(word), "{message:?} does not say {word:?}");
                }
                other => panic!("{word}: {other:?}"),
            }
        }
    }
}
