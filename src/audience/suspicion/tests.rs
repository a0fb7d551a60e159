//! What is suspicious, what is not, and how it is told.

use super::super::{AudienceError, Lines};
use super::*;

fn lines(text: &str, strict: bool) -> Result<Vec<String>, AudienceError> {
    let mut ids = Vec::new();
    let mut each = |id: &str| ids.push(id.to_owned());
    let mut lines = Lines::new(strict, false);
    lines.push(text.as_bytes(), &mut each)?;
    lines.end(&mut each)?;
    Ok(ids)
}

#[test]
fn what_spreadsheets_and_programs_leave_is_refused_with_its_line() {
    for (line, why) in [
        ("\"ada\"", "quotes"),
        ("'ada'", "quotes"),
        ("\u{201e}ada\u{201c}", "quotes"),
        ("'00123", "quotes"),
        ("ada;gold", "';'"),
        ("ada,", "','"),
        ("ada\tgold", "'\\t'"),
        (" ada", "spaces"),
        ("ada ", "spaces"),
        ("ada\u{a0}", "U+00A0"),
        ("\u{200b}ada", "U+200B"),
        ("a\u{ad}da", "U+00AD"),
        ("ada\u{3000}", "U+3000"),
        ("ada\u{200d}", "U+200D"),
        ("\u{feff}ada", "U+FEFF"),
        ("[\"ada\"]", "JSON"),
        ("{\"user\":\"ada\"}", "JSON"),
        ("[", "JSON"),
        ("a\u{1b}da", "U+001B"),
        ("a\0d\0a", "U+0000"),
        ("1.23457E+11", "number"),
        ("4711.0", "number"),
        ("=A1", "formula"),
        ("#N/A", "formula"),
    ] {
        let error = lines(&format!("eve\n{line}\nzoe\n"), true)
            .expect_err(line)
            .to_string();
        assert!(
            error.contains("line 2") && error.contains(why),
            "{line:?}: {error}"
        );
        assert!(!error.chars().any(is_invisible), "{error:?}");
        let control = line.chars().any(char::is_control);
        assert_eq!(
            lines(&format!("eve\n{line}"), false).is_err(),
            control,
            "{line:?} as it is"
        );
    }
}

#[test]
fn ids_of_every_kind_are_taken() {
    let ids = "ann\nO'Brien\nann@example.com\nauth0|5f7c8ec7\n00123\n+4915112345\n-7\n@handle\n#17\n#tag\na b\n\
               192.0.2.7\n2001:db8::1\n::1\nYWRh==\nzü\n买家\ndev:user?x=1\n1e3\nUSER\nhttps://id.example/u/1\n";
    assert_eq!(lines(ids, true).expect("a list").len(), ids.lines().count());
}

#[test]
fn the_name_of_a_column_is_no_buyer() {
    for (first, others) in [
        ("User_ID", "ada\nbob"),
        ("e-mail", "ada\nbob"),
        ("Kontakt", "a@x.example\nb@x.example"),
        ("Nummer", "17\n18"),
    ] {
        let error = lines(&format!("{first}\n{others}\n"), true)
            .expect_err(first)
            .to_string();
        assert!(
            error.contains("line 1") && error.contains("name of a column"),
            "{error}"
        );
        assert_eq!(
            lines(&format!("{first}\n{others}\n"), false)
                .expect("as it is")
                .len(),
            3
        );
    }
    assert_eq!(lines("ada\n17\nbob\n", true).expect("a list").len(), 3);
    assert_eq!(lines("c0ffee\n17\n18\n", true).expect("a list").len(), 3);
}

#[test]
fn marks_and_empty_lists_are_refused_unless_wished() {
    let error = lines("\u{feff}ada\nbob", true).expect_err("refused").to_string();
    assert!(error.contains("line 1, \"ada\": a byte order mark"), "{error}");
    assert_eq!(
        lines("\u{feff}ada\nbob", false).expect("as it is"),
        ["ada", "bob"]
    );
    for empty in ["", "\n\r\n"] {
        assert_eq!(lines(empty, true), Err(AudienceError::Empty));
        assert_eq!(lines(empty, false), Ok(Vec::new()));
    }
}

#[test]
fn the_first_ten_are_told_and_all_are_counted() {
    let text: String = (0..25).map(|n| format!("good{n}\n\"bad{n}\"\n")).collect();
    let Err(AudienceError::Suspicious(found)) = lines(&text, true) else {
        panic!("refused");
    };
    assert_eq!((found.count, found.told().count()), (25, 10));
    let text = found.to_string();
    assert!(
        text.starts_with("25 lines do not look like ids: line 2, ") && text.ends_with("; and 15 more"),
        "{text}"
    );
}
