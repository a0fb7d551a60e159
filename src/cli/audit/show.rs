//! Lines of the audit trail for people: what others wrote does nothing to a terminal.

use serde_json::Value;

use crate::audit::AuditView;

/// Characters of what was changed, in a table: a digest is cut short.
const TARGET_MAX: usize = 48;
/// Characters of what was done.
const DETAIL_MAX: usize = 120;

/// One line each.
pub(super) fn table(lines: &[AuditView]) -> String {
    let width = |of: fn(&AuditView) -> usize| lines.iter().map(of).max().unwrap_or(0);
    let (seq, action) = (
        width(|line| line.seq.to_string().len()),
        width(|line| line.action.len()),
    );
    let each = lines.iter().map(|line| {
        let mut text = format!(
            "{:>seq$}  {}  {:action$}  {}  {}",
            line.seq,
            line.at,
            line.action,
            cut(plain(&line.target), TARGET_MAX),
            who(line),
        );
        let what = what(&line.detail);
        if !what.is_empty() {
            text += &format!("  {what}");
        }
        if let Some(note) = &line.note {
            text += &format!("  “{}”", plain(note));
        }
        text
    });
    each.collect::<Vec<_>>().join("\n")
}

/// Everything about one.
pub(super) fn in_full(line: &AuditView) -> anyhow::Result<String> {
    let place = match line.number {
        Some(number) => format!("{number} of {}", line.merchant),
        None => format!("in no chain, of {}", line.merchant),
    };
    let mut rows = vec![
        ("seq", line.seq.to_string()),
        ("at", line.at.to_string()),
        ("who", who(line)),
        ("action", line.action.clone()),
        ("target", plain(&line.target)),
        ("chain", place),
    ];
    for (name, value) in [("note", &line.note), ("hash", &line.hash)] {
        rows.extend(value.as_ref().map(|value| (name, plain(value))));
    }
    let text = rows
        .iter()
        .map(|(name, value)| format!("{name:8}{value}\n"))
        .collect::<String>();
    Ok(text + &serde_json::to_string_pretty(&line.detail)?)
}

fn who(line: &AuditView) -> String {
    let mut who = plain(&line.actor);
    if let Some(person) = &line.person {
        who += &format!(" ({})", plain(person));
    }
    if let Some(address) = &line.address {
        who += &format!("@{}", plain(address));
    }
    who
}

/// From what to what, or else what is said.
fn what(detail: &Value) -> String {
    let (from, to) = (&detail["from"], &detail["to"]);
    let what = match (from.is_null(), to.is_null()) {
        (false, false) => format!("{} → {}", short(from), short(to)),
        (true, false) => format!("→ {}", short(to)),
        (false, true) => format!("was {}", short(from)),
        (true, true) => match detail.as_object().is_none_or(|members| members.is_empty()) {
            true => String::new(),
            false => detail.to_string(),
        },
    };
    cut(plain(&what), DETAIL_MAX)
}

/// So many characters of a text.
fn cut(text: String, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

fn short(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn plain(text: &str) -> String {
    text.chars()
        .flat_map(|each| match each.is_control() {
            true => each.escape_default().collect::<Vec<_>>(),
            false => vec![each],
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::audit::{AskedBy, AuditEntry, AuditLine};

    #[test]
    fn a_line_is_read_at_a_glance() {
        let by = AskedBy {
            person: Some("Ann"),
            address: Some("10.0.0.7"),
            ..AskedBy::from("desk")
        };
        let detail = json!({"from": "running", "to": {"paused_until": "soon"}});
        let line = AuditLine::new(0, by, "campaign.pause", "spring", detail).noted(Some("rain\u{1b}"));
        let view = AuditView::from(AuditEntry::of(&line));
        assert_eq!(
            table(&[view]),
            "0  1970-01-01T00:00:00.000Z  campaign.pause  spring  desk (Ann)@10.0.0.7  running → \
             {\"paused_until\":\"soon\"}  “rain\\u{1b}”"
        );
    }
}
