//! Dead letters as a person reads them: a table, totals, and everything about one.
//!
//! Keys, errors and payloads come from outside: what would steer a terminal is written as an escape.

use std::fmt::Write as _;

use super::line::rfc3339;
use crate::letters::{of_replay, readable};
use crate::order::shown_sku;
use crate::store::{DeadLetter, LetterTotal};

/// Characters of a key and of an error in the table.
const KEY_CHARS: usize = 32;
const ERROR_CHARS: usize = 60;
/// Column of the moment of a replay that somebody asked for.
const REPLAY_AT: usize = 6;
/// Bytes of a line of a hex dump, and of a dump.
const DUMP_LINE: usize = 16;
const DUMP_BYTES_MAX: usize = 4096;

/// One line, harmless to a terminal, at most `most` characters.
pub(super) fn plain(text: &str, most: usize) -> String {
    let mut shown = String::new();
    for (at, c) in text.chars().enumerate() {
        if at == most {
            shown.push('…');
            break;
        }
        match c.is_control() {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    shown
}

pub(super) fn table(letters: &[DeadLetter]) -> String {
    let mut head: Vec<String> = [
        "ID", "STAGE", "CLASS", "TRIES", "REPLAYS", "SINCE", "KEY", "ERROR",
    ]
    .map(str::to_owned)
    .into();
    // Few tables have any, and lines are long.
    let is_scheduled = letters.iter().any(|letter| letter.replay_at.is_some());
    if is_scheduled {
        head.insert(REPLAY_AT, "REPLAY AT".to_owned());
    }
    let row = |letter: &DeadLetter| {
        let mut row = vec![
            letter.origin.to_string(),
            letter.stage.to_string(),
            letter.class.clone(),
            letter.attempts.to_string(),
            letter.replays.to_string(),
            rfc3339(letter.changed_at.unwrap_or(letter.failed_at)),
            plain(&String::from_utf8_lossy(&letter.key), KEY_CHARS),
            plain(&letter.error, ERROR_CHARS),
        ];
        if is_scheduled {
            row.insert(REPLAY_AT, letter.replay_at.map_or("-".to_owned(), rfc3339));
        }
        row
    };
    let rows: Vec<_> = std::iter::once(head).chain(letters.iter().map(row)).collect();
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// `1,234 dead: 1,200 failing, 34 undecodable`, one line per stage.
pub(super) fn totals(totals: &[LetterTotal]) -> String {
    let mut text = String::new();
    let mut stages: Vec<_> = totals.iter().map(|total| total.stage).collect();
    stages.dedup();
    for stage in stages {
        let of_stage: Vec<_> = totals.iter().filter(|total| total.stage == stage).collect();
        let all: u64 = of_stage.iter().map(|total| total.letters).sum();
        let classes: Vec<String> = of_stage
            .iter()
            .map(|total| format!("{} {}", total.letters, plain(&total.class, KEY_CHARS)))
            .collect();
        let _ = writeln!(text, "{all} {stage}: {}", classes.join(", "));
    }
    text
}

pub(super) fn letter(letter: &DeadLetter, group: &str) -> String {
    let mut text = String::new();
    let mut field = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<12}{value}");
    };
    field("id", &letter.origin.to_string());
    field("key", &plain(&String::from_utf8_lossy(&letter.key), usize::MAX));
    field("stage", letter.stage.as_str());
    field("class", &plain(&letter.class, usize::MAX));
    field("error", &plain(&letter.error, usize::MAX));
    field("tries", &letter.attempts.to_string());
    field("replays", &letter.replays.to_string());
    for (name, moment) in [
        ("recorded at", letter.recorded_at),
        ("failed at", Some(letter.failed_at)),
        ("changed at", letter.changed_at),
        ("replay at", letter.replay_at),
    ] {
        if let Some(at) = moment {
            field(name, &rfc3339(at));
        }
    }
    if let Some(topic) = &letter.replay_to {
        field("replay to", &plain(topic, usize::MAX));
    }
    if let (Some(order), Some(campaign)) = (&letter.order, &letter.campaign) {
        let sku = letter.sku.as_deref().map_or("?".into(), shown_sku);
        let quantity = letter.quantity.unwrap_or(0);
        field(
            "order",
            &format!("{order}: {quantity} × {sku} in campaign {campaign}"),
        );
    }
    let _ = writeln!(text, "headers of a replay");
    for (name, value) in of_replay(letter, group) {
        let _ = writeln!(text, "  {name}: {}", plain(&readable(&name, &value), usize::MAX));
    }
    let _ = writeln!(text, "payload, {} bytes", letter.payload.len());
    text + &payload(&letter.payload)
}

/// JSON on several lines; everything else as a hex dump.
fn payload(bytes: &[u8]) -> String {
    let json: Option<serde_json::Value> = serde_json::from_slice(bytes).ok();
    // Escapes in its texts are JSON's own.
    if let Some(pretty) = json.and_then(|json| serde_json::to_string_pretty(&json).ok()) {
        return pretty + "\n";
    }
    let mut text = String::new();
    for (at, chunk) in bytes
        .chunks(DUMP_LINE)
        .take(DUMP_BYTES_MAX / DUMP_LINE)
        .enumerate()
    {
        let hex: Vec<String> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
        let seen: String = chunk
            .iter()
            .map(|byte| match byte {
                0x20..0x7f => char::from(*byte),
                _ => '.',
            })
            .collect();
        let _ = writeln!(text, "{:08x}  {:<47}  |{seen}|", at * DUMP_LINE, hex.join(" "));
    }
    if bytes.len() > DUMP_BYTES_MAX {
        let _ = writeln!(
            text,
            "… {} more bytes: `rushgate dlt export` has them all",
            bytes.len() - DUMP_BYTES_MAX
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Stage;

    #[test]
    fn nothing_from_outside_steers_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\nc", 99), "a\\u{1b}[2Jb\\nc");
        assert_eq!(plain("abcdef", 3), "abc…");
    }

    #[test]
    fn payloads_are_pretty_or_dumped() {
        assert_eq!(payload(br#"{"v":1}"#), "{\n  \"v\": 1\n}\n");
        let dump = payload(b"{\"v\":\xff\x00 and more of it");
        assert!(
            dump.starts_with(
                "00000000  7b 22 76 22 3a ff 00 20 61 6e 64 20 6d 6f 72 65  |{\"v\":.. and more|\n"
            ),
            "{dump}"
        );
        assert!(dump.contains("00000010  20 6f 66 20 69 74"), "{dump}");
    }

    #[test]
    fn totals_name_stages_and_classes() {
        let total = |stage, class: &str, letters| LetterTotal {
            stage,
            class: class.to_owned(),
            letters,
        };
        let all = [
            total(Stage::Dead, "failing", 3),
            total(Stage::Dead, "refused", 1),
            total(Stage::Parked, "failing", 2),
        ];
        assert_eq!(
            totals(&all),
            "4 dead: 3 failing, 1 refused\n2 parked: 2 failing\n"
        );
    }
}
