//! What spreadsheet programs export, line by line, and what is no table.

use proptest::prelude::*;

use super::*;

fn options(column: &str) -> TableOptions {
    TableOptions {
        column: (!column.is_empty()).then(|| column.to_owned()),
        ..TableOptions::default()
    }
}

fn read_pieces(
    pieces: &[&[u8]],
    strict: bool,
    options: TableOptions,
) -> Result<(Vec<String>, TableRead), AudienceError> {
    let mut ids = Vec::new();
    let mut each = |id: &str| ids.push(id.to_owned());
    let mut table = Table::new(strict, false, options);
    for piece in pieces {
        table.push(piece, &mut each)?;
    }
    let read = table.end(&mut each)?;
    Ok((ids, read))
}

fn read(text: &[u8], column: &str) -> (Vec<String>, TableRead) {
    read_pieces(&[text], true, options(column)).expect("a table")
}

fn wrong(text: &[u8], options: TableOptions) -> String {
    let outcome = read_pieces(&[text], true, options);
    outcome.expect_err("refused").to_string()
}

fn table(column: usize, name: &str, delimiter: Delimiter, counts: [u64; 3]) -> TableRead {
    let [rows, blank, trimmed] = counts;
    TableRead {
        column,
        name: (!name.is_empty()).then(|| name.to_owned()),
        delimiter,
        rows,
        blank,
        trimmed,
    }
}

#[test]
fn excel_writes_semicolons_behind_a_mark() {
    let text = "\u{feff}Kunden-Nr;Name;Notiz\r\nada;Lovelace, Ada;\r\nbob\u{a0};Bob;\"zwei\r\nZeilen\"\r\n;Nobody;\r\n\u{200b}cid ;\"C \"\"C\"\" D\";x\r\n";
    let (ids, read) = read(text.as_bytes(), "Kunden-Nr");
    assert_eq!(ids, ["ada", "bob", "cid"]);
    assert_eq!(read, table(1, "Kunden-Nr", Delimiter::Semicolon, [4, 1, 2]));
    let named = read_pieces(&[b"sep=;\r\nid;n\r\nada;1,5\r\n"], true, options("id")).expect("a table");
    assert_eq!(
        (named.0, named.1.delimiter),
        (vec!["ada".to_owned()], Delimiter::Semicolon)
    );
}

#[test]
fn google_sheets_writes_commas() {
    let text = b"Name,email,tier\r\n\"Lovelace, Ada\",ada@example.com,gold\r\nBob,bob@example.com,\r\n";
    let (ids, read) = read(text, "EMAIL");
    assert_eq!(ids, ["ada@example.com", "bob@example.com"]);
    assert_eq!(read, table(2, "email", Delimiter::Comma, [2, 0, 0]));
}

#[test]
fn libreoffice_quotes_every_cell() {
    let text = b"\"user_id\",\"name\"\n\"ada\",\"Lovelace, Ada\"\n\" bob \",\"Bob\"\n\"\",\"Nobody\"\n";
    let (ids, read) = read(text, "1");
    assert_eq!(ids, ["ada", "bob"]);
    assert_eq!(read, table(1, "user_id", Delimiter::Comma, [3, 1, 1]));
}

#[test]
fn numbers_writes_one_column_without_a_header_and_empty_rows() {
    let text = b"ada\r\nbob\r\n\r\n\"cid\"\r\n";
    let asked = wrong(text, options(""));
    assert!(
        asked.contains("\"ada\" is an id: say ?header=true or ?header=false"),
        "{asked}"
    );
    let without = TableOptions {
        header: Some(false),
        ..TableOptions::default()
    };
    let (ids, read) = read_pieces(&[text], true, without).expect("a table");
    assert_eq!(ids, ["ada", "bob", "cid"]);
    assert_eq!(read, table(1, "", Delimiter::Comma, [3, 0, 0]));
    // A word that names columns everywhere needs no telling.
    let named = read_pieces(&[b"User ID\nada"], true, options("")).expect("a table");
    assert_eq!(
        (named.0, named.1.name),
        (vec!["ada".to_owned()], Some("User ID".to_owned()))
    );
}

#[test]
fn lines_end_in_every_way_and_tabs_separate() {
    for end in ["\n", "\r\n", "\r"] {
        let text = ["id\tn", "ada\t1", "", "bob\t", "cid"].join(end);
        let (ids, read) = read(text.as_bytes(), "id");
        assert_eq!(ids, ["ada", "bob", "cid"], "{end:?}");
        assert_eq!(read, table(1, "id", Delimiter::Tab, [3, 0, 0]));
        let bad = format!("{text}{end}\"x\"y");
        assert!(
            wrong(bad.as_bytes(), options("id")).starts_with("line 6: something stands"),
            "{end:?}"
        );
    }
}

#[test]
fn a_column_that_is_not_there_is_answered_with_those_that_are() {
    let text = b"name,mail,mail\nAda,a@x,b@x\n";
    let missing = wrong(text, options("user"));
    assert_eq!(
        missing,
        "there is no column \"user\"; the first line has: 1 \"name\", 2 \"mail\", 3 \"mail\""
    );
    assert!(wrong(text, options("4")).starts_with("there is no column \"4\""));
    assert!(wrong(text, options("0")).starts_with("there is no column \"0\""));
    assert!(wrong(text, options("")).starts_with("say with ?column="));
    assert!(wrong(text, options("mail")).starts_with("several columns are named \"mail\""));
    let both = wrong(b"id;Name, first\nada;x\n", options("id"));
    assert!(
        both.contains("semicolon and comma") && both.contains("?delimiter="),
        "{both}"
    );
    let given = TableOptions {
        delimiter: Some(Delimiter::Semicolon),
        ..options("id")
    };
    assert_eq!(
        read_pieces(&[b"id;Name, first\nada;x\n"], true, given)
            .expect("a table")
            .0,
        ["ada"]
    );
    let nameless = TableOptions {
        header: Some(false),
        ..options("name")
    };
    assert!(wrong(text, nameless).contains("header=false"));
    assert!(matches!("pipe".parse::<Delimiter>(), Err(why) if why.contains("semicolon")));
}

#[test]
fn what_would_swallow_lines_or_match_nobody_is_refused() {
    let id = || options("id");
    assert_eq!(
        wrong(b"id,n\nada,\"x\nbob,y\n", id()),
        "line 2: a quote that opens here is not closed"
    );
    assert!(wrong(b"id,n\nada,\"x\nbob,\"y\"\n", id()).starts_with("line 2: something stands"));
    assert!(wrong(b"id,n\nada;gold,1\n", id()).contains("line 2, \"ada;gold\": it contains ';'"));
    assert!(wrong(b"id\nada,gold\n", id()).contains("the row has 2 columns and the first one 1"));
    assert!(wrong(b"n,id\nx\n", id()).contains("the row has 1 columns and the first one 2"));
    assert!(wrong(b"id\n1.23457E+11\n", id()).contains("format the column as text"));
    assert!(wrong(b"id\n\"=\"\"0042\"\"\"\n", id()).contains("formula"));
    assert!(wrong(b"id\n#REF!\n", id()).contains("formula"));
    assert!(wrong(b"\xff\xfei\0d\0\n\0", id()).contains("UTF-16"));
    assert!(wrong(b"PK\x03\x04zip", id()).contains("export the sheet as CSV"));
    assert!(wrong(b"id\nz\xfc\n", id()).contains("CSV UTF-8"));
    assert!(wrong(b"id\n", id()).contains("no members"));
    assert!(wrong(b"", id()).contains("no members"));
    assert!(
        wrong(&[b"id\n".as_slice(), &[b'x'; 300]].concat(), id()).starts_with("line 2: the id is longer")
    );
    // As it is, where that is wished.
    let loose = read_pieces(&[b"id,n\nada;gold,1\n[x]\n"], false, id()).expect("a table");
    assert_eq!(loose.0, ["ada;gold", "[x]"]);
}

#[test]
fn a_long_cell_and_a_long_first_line_keep_no_memory() {
    let mut table = Table::new(true, false, options("id"));
    let mut each = |_: &str| {};
    table.push(b"id,n\nada,", &mut each).expect("read");
    for _ in 0..1000 {
        table.push(&[b'x'; 1024], &mut each).expect("read");
        assert!(table.cell.capacity() <= 2 * CELL_BYTES_MAX);
    }
    let mut endless = Table::new(true, false, options("id"));
    let error = (0..1000).find_map(|_| endless.push(&[b'x'; 1024], &mut each).err());
    assert!(error.expect("refused").to_string().contains("64 KiB"));
}

proptest! {
    /// What a library writes is what comes out, whatever pieces it arrives in.
    #[test]
    fn what_was_written_is_read(
        rows in proptest::collection::vec(("[ab \"',;\t\r\n\u{e4}]{0,6}", "[a-z]{1,6}"), 1..8),
        cuts in proptest::collection::vec(0usize..200, 0..6),
        comma: bool, crlf: bool,
    ) {
        let mut writer = csv::WriterBuilder::new();
        writer.delimiter(if comma { b',' } else { b';' });
        if crlf {
            writer.terminator(csv::Terminator::CRLF);
        }
        let mut writer = writer.from_writer(Vec::new());
        writer.write_record(["note", "key"]).expect("into memory");
        for (note, id) in &rows {
            writer.write_record([note, id]).expect("into memory");
        }
        let text = writer.into_inner().expect("into memory");
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
        cuts.sort_unstable();
        let (mut pieces, mut start) = (Vec::new(), 0);
        for cut in cuts.into_iter().chain([text.len()]) {
            pieces.push(&text[start..cut]);
            start = cut;
        }
        let (ids, read) = read_pieces(&pieces, false, options("key")).expect("a table");
        prop_assert_eq!(&ids, &rows.iter().map(|(_, id)| id.clone()).collect::<Vec<_>>());
        prop_assert_eq!(read.rows, rows.len() as u64);
    }
}
