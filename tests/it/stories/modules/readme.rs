//! The stories of `rules/README.md`: the commands of a section, and what the page says they print.

use serde_json::Value;

/// Commands, and what follows them on the page.
#[derive(Debug)]
pub struct Step {
    pub commands: String,
    pub expected: Option<Expected>,
}

#[derive(Debug)]
pub enum Expected {
    /// Lines that are printed, in this order.
    Text(String),
    /// Members of the last JSON document that is printed.
    Json(Value),
}

/// The steps of a section: every `sh` block, each with the `text` or `json` block behind it.
pub fn steps(page: &str, section: &str) -> Vec<Step> {
    let heading = format!("## {section}\n");
    let (_, rest) = page
        .split_once(&heading)
        .unwrap_or_else(|| panic!("the page has no section {section:?}"));
    let section = rest.split_once("\n## ").map_or(rest, |(section, _)| section);
    let mut steps: Vec<Step> = Vec::new();
    for (language, text) in blocks(section) {
        let expected = match language {
            "sh" => {
                steps.push(Step {
                    commands: text.to_owned(),
                    expected: None,
                });
                continue;
            }
            "text" => Expected::Text(text.to_owned()),
            "json" => Expected::Json(serde_json::from_str(text).expect("a json block is JSON")),
            _ => continue,
        };
        let step = steps.last_mut().expect("what is printed follows a command");
        step.expected = Some(expected);
    }
    assert!(!steps.is_empty(), "the section {section:?} has no commands");
    steps
}

/// Fenced blocks with their language.
fn blocks(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split("\n```")
        .skip(1)
        .step_by(2)
        .map(|block| block.split_once('\n').expect("a language, then the block"))
}

impl Expected {
    #[track_caller]
    pub fn check(&self, printed: &str) {
        match self {
            Self::Text(text) => {
                let mut lines = printed.lines().map(str::trim_end);
                for line in text.lines().map(str::trim_end) {
                    assert!(
                        lines.any(|printed| printed.starts_with(line)),
                        "{line:?} is not printed, or not in this order:\n{printed}"
                    );
                }
            }
            Self::Json(members) => {
                let last = serde_json::Deserializer::from_str(printed)
                    .into_iter::<Value>()
                    .map(|document| document.unwrap_or_else(|error| panic!("{error}:\n{printed}")))
                    .last();
                let found = last.unwrap_or_else(|| panic!("nothing is printed, not {members}"));
                for (name, value) in members.as_object().expect("an object") {
                    assert_eq!(&found[name], value, "{name} of {found}");
                }
            }
        }
    }
}

#[test]
fn the_readme_shows_the_rule_that_a_new_folder_starts_with() {
    let page = include_str!("../../../../rules/README.md");
    let rule = include_str!("../../../../rules/templates/rust/lib.rs");
    assert!(
        page.contains(&format!("\n```rust\n{rule}```\n")),
        "the rust block of rules/README.md must be rules/templates/rust/lib.rs"
    );
}
