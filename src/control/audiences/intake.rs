//! Reading the body of an upload: decompressed within bounds, taken apart, spooled.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;

use super::spool::{Spool, Summary};
use crate::audience::{AudienceError, Lines, ListKind, Table, TableOptions, TableRead};

/// Why an upload is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum IntakeError {
    #[error("{0}")]
    Audience(#[from] AudienceError),
    #[error("the body is not intact gzip: {0}")]
    Gzip(io::Error),
    #[error("the upload cannot be kept in the folder for temporary files: {0}")]
    Spool(io::Error),
}

/// What the text of a list is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// One id per line.
    Lines,
    Table(TableOptions),
}

/// How a list is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Whether what does not look like an id is refused.
    pub strict: bool,
    pub format: Format,
    /// What the members are; found out where it is not said.
    pub kind: Option<ListKind>,
}

/// The body so far.
pub(super) enum Intake {
    Plain(Box<Sink>),
    Gzip(Box<MultiGzDecoder<Sink>>),
}

impl Intake {
    /// For a list of at most so many bytes after decompression.
    pub(super) fn new(gzip: bool, reading: Reading, bytes_max: u64) -> Self {
        let sink = Sink::new(reading, bytes_max);
        match gzip {
            true => Self::Gzip(Box::new(MultiGzDecoder::new(sink))),
            false => Self::Plain(Box::new(sink)),
        }
    }

    pub(super) fn take(&mut self, piece: &[u8]) -> Result<(), IntakeError> {
        match self {
            Self::Plain(sink) => sink.take(piece),
            Self::Gzip(decoder) => {
                let outcome = decoder.write_all(piece);
                outcome.map_err(|error| gzip_error(decoder.get_mut(), error))
            }
        }
    }

    /// The end of the body.
    pub(super) fn end(self) -> Result<Taken, IntakeError> {
        let sink = match self {
            Self::Plain(sink) => *sink,
            Self::Gzip(mut decoder) => {
                if let Err(error) = decoder.try_finish() {
                    return Err(gzip_error(decoder.get_mut(), error));
                }
                let lines = Reading {
                    strict: true,
                    format: Format::Lines,
                    kind: None,
                };
                std::mem::replace(decoder.get_mut(), Sink::new(lines, 0))
            }
        };
        sink.end()
    }
}

/// The decoder hands on what its sink said; anything else is its own.
fn gzip_error(sink: &mut Sink, error: io::Error) -> IntakeError {
    sink.refused.take().unwrap_or(IntakeError::Gzip(error))
}

/// A list that was read to its end.
pub(super) struct Taken {
    pub(super) summary: Summary,
    pub(super) kind: ListKind,
    pub(super) spool: Spool,
    pub(super) table: Option<TableRead>,
}

/// What takes the text apart.
enum Reader {
    Lines(Lines),
    Table(Box<Table>),
}

impl Reader {
    fn new(strict: bool, texts: bool, format: Format) -> Self {
        match format {
            Format::Lines => Self::Lines(Lines::new(strict, texts)),
            Format::Table(options) => Self::Table(Box::new(Table::new(strict, texts, options))),
        }
    }

    fn push(&mut self, text: &[u8], each: &mut impl FnMut(&str)) -> Result<(), AudienceError> {
        match self {
            Self::Lines(lines) => lines.push(text, each),
            Self::Table(table) => table.push(text, each),
        }
    }

    fn end(self, each: &mut impl FnMut(&str)) -> Result<Option<TableRead>, AudienceError> {
        match self {
            Self::Lines(lines) => lines.end(each).map(|_| None),
            Self::Table(table) => table.end(each).map(Some),
        }
    }
}

/// Where the text of the list goes.
pub(super) struct Sink {
    reader: Reader,
    kind: Option<ListKind>,
    spool: Spool,
    /// Bytes that may still come.
    room: u64,
    /// Why `write` failed: a decoder only passes on an I/O error.
    refused: Option<IntakeError>,
}

impl Sink {
    fn new(reading: Reading, room: u64) -> Self {
        Self {
            reader: Reader::new(
                reading.strict,
                reading.kind == Some(ListKind::Texts),
                reading.format,
            ),
            kind: reading.kind,
            spool: Spool::default(),
            room,
            refused: None,
        }
    }

    fn take(&mut self, text: &[u8]) -> Result<(), IntakeError> {
        let room = self.room.checked_sub(text.len() as u64);
        self.room = room.ok_or(AudienceError::TooLarge)?;
        let mut spooled = Ok(());
        let spool = &mut self.spool;
        self.reader.push(text, &mut |id| {
            if spooled.is_ok() {
                spooled = spool.add(id);
            }
        })?;
        spooled.map_err(IntakeError::Spool)
    }

    fn end(self) -> Result<Taken, IntakeError> {
        let Self {
            reader,
            kind,
            mut spool,
            ..
        } = self;
        let mut spooled = Ok(());
        let table = reader.end(&mut |id| {
            if spooled.is_ok() {
                spooled = spool.add(id);
            }
        })?;
        spooled.map_err(IntakeError::Spool)?;
        let kind = spool.kind(kind.as_ref()).map_err(IntakeError::Spool)??;
        if let ListKind::Addresses(_) = kind {
            spool = spool.of_addresses().map_err(IntakeError::Spool)?;
        }
        let summary = spool.summary().map_err(IntakeError::Spool)??;
        Ok(Taken {
            summary,
            kind,
            spool,
            table,
        })
    }
}

impl Write for Sink {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.take(text).map_err(|refused| {
            let error = io::Error::other(refused.to_string());
            self.refused = Some(refused);
            error
        })?;
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    const LINES: Reading = Reading {
        strict: true,
        format: Format::Lines,
        kind: None,
    };

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).expect("into memory");
        encoder.finish().expect("into memory")
    }

    fn read(gzip: bool, pieces: &[&[u8]]) -> Result<Summary, String> {
        let mut intake = Intake::new(gzip, LINES, 1 << 20);
        for piece in pieces {
            intake.take(piece).map_err(|error| error.to_string())?;
        }
        intake
            .end()
            .map(|taken| taken.summary)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn compressed_and_plain_are_the_same_list() {
        let plain = read(false, &[b"ann\nbob\n"]).expect("a list");
        let zipped = gzip(b"bob\r\nann");
        assert_eq!(read(true, &[&zipped]), Ok(plain.clone()));
        let (head, tail) = zipped.split_at(7);
        assert_eq!(read(true, &[head, tail]), Ok(plain.clone()), "in pieces");
        // Files joined end to end are one file to gzip.
        assert_eq!(read(true, &[&gzip(b"ann\n"), &gzip(b"bob\n")]), Ok(plain));
    }

    #[test]
    fn what_is_no_gzip_or_cut_off_is_refused() {
        let zipped = gzip("ann\n".repeat(100).as_bytes());
        for bad in [b"ann\nbob\n".as_slice(), &zipped[..zipped.len() - 3], b""] {
            let error = read(true, &[bad]).expect_err("refused");
            assert!(error.starts_with("the body is not intact gzip"), "{error}");
        }
        let error = read(true, &[&gzip(b"ann\n\xff\n")]).expect_err("refused");
        assert!(error.starts_with("line 2: the id is not UTF-8"), "{error}");
    }

    #[test]
    fn a_body_that_grows_without_end_is_stopped_at_its_bound() {
        let bomb = gzip(&vec![b'\n'; 1 << 24]);
        let mut intake = Intake::new(true, LINES, 1 << 20);
        let error = intake.take(&bomb).expect_err("refused");
        assert!(
            matches!(error, IntakeError::Audience(AudienceError::TooLarge)),
            "{error}"
        );
        let Intake::Gzip(decoder) = &intake else {
            unreachable!("made for gzip");
        };
        assert!(decoder.get_ref().room < 1 << 16, "stopped close to the bound");
    }
}
