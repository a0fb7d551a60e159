//! A merchant's parameters on their way to the schema and the module.

use super::Diagnostic;
use super::bounds::PARAMS_BYTES_MAX;

/// Parameters as the schema and the module read them, with their text: whole numbers written as `2.0` are
/// integers in JSON Schema, but not for most deserialisers.
pub(super) fn accept(params: serde_json::Value) -> Result<(serde_json::Value, String), Diagnostic> {
    let params = match params {
        serde_json::Value::Null => serde_json::Value::Object(serde_json::Map::new()),
        mut given => {
            whole_numbers(&mut given);
            given
        }
    };
    let text = params.to_string();
    if text.len() > PARAMS_BYTES_MAX {
        return Err(Diagnostic {
            severity: "error".into(),
            pointer: String::new(),
            code: "too-large".into(),
            message: format!(
                "the parameters have {} bytes; at most {PARAMS_BYTES_MAX} are allowed",
                text.len()
            ),
            hint: None,
        });
    }
    Ok((params, text))
}

fn whole_numbers(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Number(number) if number.is_f64() => {
            let whole = number
                .as_f64()
                .filter(|n| n.fract() == 0.0 && n.abs() <= crate::plan::INTEGER_MAX as f64);
            if let Some(whole) = whole {
                *value = (whole as i64).into();
            }
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        serde_json::Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        _ => {}
    }
}
