//! Where parameters say a text, as JSON pointers: what a module makes of them is traced back to what the merchant wrote.

use serde_json::Value;

use crate::wire::json::escape;

/// A pointer to each text in `params`, and each member of that name, that is `wanted`; `at` points at the parameters.
pub(super) fn places_of(params: &Value, wanted: &str, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    find(params, wanted, at, &mut found);
    found
}

/// The first of them; `at` where there is none.
pub(super) fn place_of(params: &Value, wanted: &str, at: String) -> String {
    places_of(params, wanted, &at).into_iter().next().unwrap_or(at)
}

fn find(value: &Value, wanted: &str, at: &str, found: &mut Vec<String>) {
    match value {
        Value::String(text) if text == wanted => found.push(at.to_owned()),
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                find(value, wanted, &format!("{at}/{index}"), found);
            }
        }
        Value::Object(members) => {
            for (name, value) in members {
                let at = format!("{at}/{}", escape(name));
                match name == wanted {
                    true => found.push(at),
                    false => find(value, wanted, &at, found),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::places_of;

    #[test]
    fn a_text_is_found_where_the_parameters_say_it() {
        let params = json!({"limit": 2, "deny": ["bots", {"a/b": "vip"}], "tiers": {"vip": 3}});
        let found = |wanted: &str| places_of(&params, wanted, "/rules/0/params");
        assert_eq!(found("bots"), ["/rules/0/params/deny/0"]);
        assert_eq!(
            found("vip"),
            ["/rules/0/params/deny/1/a~1b", "/rules/0/params/tiers/vip"]
        );
        assert!(found("gold").is_empty());
    }
}
