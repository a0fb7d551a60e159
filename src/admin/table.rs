//! What is downloaded: tables for spreadsheet programs, which are CSV as RFC 4180 has it, and which no program takes for formulas;
//! and lines of JSON.

use bytes::Bytes;
use csv::{Terminator, Writer, WriterBuilder};
use futures_util::{Stream, StreamExt};
use serde::Serialize;

use crate::control::ControlError;

/// The media type of a table with a first line that names its columns.
pub(super) const CSV_TYPE: &str = "text/csv; charset=utf-8; header=present";
/// The media type of JSON lines.
pub(super) const LINES_TYPE: &str = "application/x-ndjson";
/// Stands before the first line: without it a common program reads UTF-8 as the code page of its machine.
pub(super) const MARK: &str = "\u{feff}";

/// Says in the log that a download ends with an error, which cuts it off: a client of HTTP sees that.
pub(super) fn cut_off<T>(
    pages: impl Stream<Item = Result<T, ControlError>>,
    of: &'static str,
) -> impl Stream<Item = Result<T, ControlError>> {
    pages.inspect(move |outcome| {
        if let Err(error) = outcome {
            tracing::warn!(%error, "the download of {of} is cut off");
        }
    })
}

/// A line of JSON for each of these; about so many bytes each.
pub(super) fn json_lines<T: Serialize>(
    each: impl ExactSizeIterator<Item = T>,
    bytes: usize,
) -> Result<Bytes, ControlError> {
    let mut lines = Vec::with_capacity(each.len() * bytes);
    for one in each {
        let written = serde_json::to_writer(&mut lines, &one);
        written.map_err(|error| ControlError::Internal(format!("writing JSON: {error}")))?;
        lines.push(b'\n');
    }
    Ok(Bytes::from(lines))
}

/// Lines in the making.
pub(super) struct Table(Writer<Vec<u8>>);

impl Table {
    /// About so many bytes long.
    pub(super) fn sized(bytes: usize) -> Self {
        let mut writer = WriterBuilder::new();
        writer.terminator(Terminator::CRLF);
        Self(writer.from_writer(Vec::with_capacity(bytes)))
    }

    /// A line; what stands in its cells is text, whatever a program could read into it.
    pub(super) fn line<'a>(&mut self, cells: impl IntoIterator<Item = &'a [u8]>) -> Result<(), ControlError> {
        for cell in cells {
            let field = match is_formula(cell) {
                true => self.0.write_field([b"'", cell].concat()),
                false => self.0.write_field(cell),
            };
            field.map_err(|error| lost(&error))?;
        }
        self.0.write_record(None::<&[u8]>).map_err(|error| lost(&error))
    }

    pub(super) fn bytes(self) -> Result<Bytes, ControlError> {
        Ok(Bytes::from(self.0.into_inner().map_err(|error| lost(&error))?))
    }
}

/// What a spreadsheet program would compute: it stands behind an apostrophe, which makes it text.
fn is_formula(cell: &[u8]) -> bool {
    matches!(cell.first(), Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r'))
}

fn lost(error: &dyn std::fmt::Display) -> ControlError {
    ControlError::Internal(format!("writing CSV: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spreadsheet_reads_text_and_no_formula() {
        let written = |cells: &[&[u8]]| {
            let mut table = Table::sized(0);
            table.line(cells.iter().copied()).expect("written");
            table.bytes().expect("written")
        };
        let line = written(&[
            b"ann", b"=1+1", b"-5", b"@x", b"+49", b"\t=2", b"\r=2", b"", b"1-1",
        ]);
        assert_eq!(line, "ann,'=1+1,'-5,'@x,'+49,'\t=2,\"'\r=2\",,1-1\r\n");
        let line = written(&[b"b;c,d", b"\"q\"", b"two\nlines"]);
        assert_eq!(line, "\"b;c,d\",\"\"\"q\"\"\",\"two\nlines\"\r\n");
    }
}
