//! Words that are stored: whoever reads the tables relies on them.

use std::collections::BTreeSet;
use std::io::Read;

use anyhow::Result;
use flate2::read::GzDecoder;
use serde_json::Value;
use sqlx::{MySqlPool, Row};

use crate::Page;

/// A column of words.
const COLUMNS: [(&str, &str); 5] = [
    ("orders", "state"),
    ("audit", "action"),
    ("module_versions", "origin"),
    ("dead_letters", "stage"),
    ("dead_letters", "class"),
];

pub async fn write(page: &mut Page, database: &MySqlPool) -> Result<()> {
    page.section("stored words");
    for (table, column) in COLUMNS {
        let sql = format!("SELECT DISTINCT CAST({column} AS CHAR) FROM {table} ORDER BY 1");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(database).await?;
        let words: Vec<String> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        page.line(format!("{table}.{column}: {}", words.join(", ")));
    }
    let (mut outcomes, mut members) = (BTreeSet::new(), BTreeSet::new());
    for row in sqlx::query("SELECT payload FROM attempt_pieces")
        .fetch_all(database)
        .await?
    {
        let piece: Vec<u8> = row.try_get(0)?;
        let mut lines = String::new();
        GzDecoder::new(piece.as_slice()).read_to_string(&mut lines)?;
        for line in lines.lines() {
            let attempt: Value = serde_json::from_str(line)?;
            outcomes.extend(attempt["outcome"].as_str().map(str::to_owned));
            members.extend(
                attempt
                    .as_object()
                    .into_iter()
                    .flat_map(|each| each.keys().cloned()),
            );
        }
    }
    for (what, words) in [("members", members), ("outcomes", outcomes)] {
        page.line(format!("{what} of recorded attempts:"));
        words.iter().for_each(|word| page.line(format!("    {word}")));
    }
    for (what, sql) in [
        ("receipts", "SELECT receipt FROM orders"),
        ("audit.detail", "SELECT detail FROM audit"),
    ] {
        let mut members = BTreeSet::new();
        for row in sqlx::query(sql).fetch_all(database).await? {
            let value: Value = serde_json::from_str(&row.try_get::<String, _>(0)?)?;
            members.extend(
                value
                    .as_object()
                    .into_iter()
                    .flat_map(|each| each.keys().cloned()),
            );
        }
        page.line(format!(
            "members of {what}: {}",
            Vec::from_iter(members).join(", ")
        ));
    }
    Ok(())
}
