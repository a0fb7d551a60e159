//! The result: a table for people, JSON for comparing runs.

use std::path::Path;

use anyhow::Result;
use serde::Serialize;

/// One line. A ratio is measured in the same run as its reference.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    pub what: String,
    pub value: f64,
    pub unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
    /// As it is to be read: `≤ 1.8`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aim: Option<&'static str>,
}

#[derive(Debug, Default, Serialize)]
pub struct Table {
    lines: Vec<Line>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

impl Table {
    /// A figure that stands for itself.
    pub fn figure(&mut self, what: impl Into<String>, value: f64, unit: &'static str) {
        self.add(Line {
            what: what.into(),
            value,
            unit,
            reference: None,
            ratio: None,
            aim: None,
        });
    }

    /// A figure beside its reference.
    pub fn ratio(
        &mut self,
        what: impl Into<String>,
        value: f64,
        unit: &'static str,
        reference: f64,
        aim: Option<&'static str>,
    ) {
        self.add(Line {
            what: what.into(),
            value,
            unit,
            reference: Some(reference),
            ratio: Some(value / reference),
            aim,
        });
    }

    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Shown as it is measured: a whole run takes minutes.
    fn add(&mut self, line: Line) {
        eprintln!("  {}: {:.2} {}", line.what, line.value, line.unit);
        self.lines.push(line);
    }

    pub fn print(&self) {
        println!(
            "\n{:<58} {:>11} {:<9} {:>11} {:>7}  aim",
            "", "measured", "", "reference", "ratio"
        );
        for line in &self.lines {
            let number = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.2}"));
            println!(
                "{:<58} {:>11.2} {:<9} {:>11} {:>7}  {}",
                line.what,
                line.value,
                line.unit,
                number(line.reference),
                number(line.ratio),
                line.aim.unwrap_or("")
            );
        }
        for note in &self.notes {
            println!("  {note}");
        }
    }

    pub fn write(&self, path: &Path) -> Result<()> {
        Ok(std::fs::write(path, serde_json::to_vec_pretty(self)?)?)
    }
}
