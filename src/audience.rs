//! Audiences: uploaded lists of ids. What a line may be, how members are spread over buckets, and
//! the form a bucket is kept in.

mod address;
mod scan;
mod slip;
mod suspicion;
mod table;

use crate::order::VALUE_BYTES_MAX;
pub use address::{AddressError, AddressRange, ListKind, PREFIX_LENGTHS_MAX, PrefixLengths, is_range};
pub use scan::Scan;
pub use slip::Slip;
use suspicion::{Inspector, suspicion_or_slip_of};
pub use suspicion::{Suspicion, Suspicious};
pub use table::{Delimiter, Table, TableOptions, TableRead};

/// Distinct members of one list.
pub const AUDIENCE_MEMBERS_MAX: u64 = 5_000_000;
/// Bytes of one upload after decompression: also what a compressed body may grow to.
pub const AUDIENCE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Members a bucket holds on average at most, until the buckets are [`AUDIENCE_BUCKETS_MAX`]. Redis
/// keeps a hash this small as one packed list: 27 bytes a member instead of 80 as a table (measured with a
/// million ids of 20 bytes), and reading it from end to end takes about half a microsecond.
pub const AUDIENCE_BUCKET_MEMBERS: u64 = 64;
/// Members of the fullest bucket. Ids that no hash spreads (made to collide) are refused rather than
/// becoming one large key.
pub const AUDIENCE_BUCKET_MEMBERS_MAX: usize = 1024;
pub const AUDIENCE_BUCKETS_MAX: u64 = 65_536;

/// What stands before the first line of many exported files: not part of the first id.
const BYTE_ORDER_MARK: &str = "\u{feff}";
/// How files begin that are no list, and what their sender can do about it.
const OTHER_FILES: [(&[u8], LineError); 6] = [
    (b"\x1f\x8b", LineError::Gzip),
    (b"PK\x03\x04", LineError::Workbook),
    (b"\xd0\xcf\x11\xe0", LineError::Workbook),
    (b"\xff\xfe", LineError::Utf16),
    (b"\xfe\xff", LineError::Utf16),
    (b"\0\0\xfe\xff", LineError::Utf16),
];

/// Buckets of a list with so many distinct members: a power of two, so that a coarser spread (by
/// fewer buckets) never parts what a finer one keeps together.
pub fn buckets_for(members: u64) -> u32 {
    let enough = members / AUDIENCE_BUCKET_MEMBERS + 1;
    enough.next_power_of_two().min(AUDIENCE_BUCKETS_MAX) as u32
}

/// Why a list is refused. The text says where and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AudienceError {
    #[error("line {line}: {what}")]
    Line { line: u64, what: LineError },
    #[error("the list has {members} different ids; at most {AUDIENCE_MEMBERS_MAX} are allowed")]
    TooMany { members: u64 },
    #[error("the list is larger than {} MiB", AUDIENCE_BYTES_MAX / (1024 * 1024))]
    TooLarge,
    #[error("the list has no members; to upload one that nobody is on, send it with ?strict=false")]
    Empty,
    #[error("{0}")]
    Suspicious(Suspicious),
    /// Of a member that is put on a list by itself.
    #[error("{0}")]
    Member(String),
    #[error("the list is of addresses, and {told}; ?kind=texts takes all of its members as texts")]
    NoAddresses { told: String },
    /// All others are addresses, so that nothing else can be meant.
    #[error("{told}")]
    Ranges { told: String },
    #[error(
        "{range} is a range of addresses, and {told}. Say what the members are: ?kind=addresses, or \
         ?kind=texts, where the range matches nobody"
    )]
    Mixed { range: String, told: String },
    #[error(
        "the list has ranges of more than {PREFIX_LENGTHS_MAX} different lengths: write the shortest ones as several \
         longer ones"
    )]
    TooManyLengths,
    /// The table as a whole: its columns, its first line.
    #[error("{0}")]
    Table(String),
    #[error(
        "{members} of the ids fall into one bucket, which holds at most {AUDIENCE_BUCKET_MEMBERS_MAX}; they look made for \
         that: use ids that differ otherwise"
    )]
    Crowded { members: usize },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    #[error("the id is longer than {VALUE_BYTES_MAX} bytes; a list has one id per line")]
    TooLong,
    #[error("the id is not UTF-8: save the file in that encoding (Excel calls it \"CSV UTF-8\")")]
    NotUtf8,
    #[error("the id contains the control character U+{0:04X}")]
    Control(u32),
    #[error("this is gzip: send it with the header Content-Encoding: gzip")]
    Gzip,
    #[error("this is the file of a spreadsheet program: export the sheet as CSV, and send that as text/csv")]
    Workbook,
    #[error(
        "this is UTF-16 (Excel's \"Unicode Text\"): save the file as UTF-8 (Excel calls it \"CSV UTF-8\")"
    )]
    Utf16,
    #[error("a quote that opens here is not closed")]
    QuoteOpen,
    #[error(
        "something stands between a closing quote and the next column; a quote inside of quotes is written twice"
    )]
    QuoteClosed,
}

/// Takes a list apart, whatever pieces it arrives in: one id per line, lines end with LF or CRLF,
/// blank ones are skipped. Spaces belong to the id, because two buyers may differ in one; where the list is read
/// strictly they are suspicious, like all that spreadsheets leave there.
#[derive(Debug)]
pub struct Lines {
    /// The line that has not ended yet.
    open: Vec<u8>,
    /// Lines that have ended.
    ended: u64,
    inspector: Inspector,
}

impl Lines {
    /// `texts`: whether it was said that the ids are texts, whatever they look like.
    pub fn new(strict: bool, texts: bool) -> Self {
        Self {
            open: Vec::new(),
            ended: 0,
            inspector: Inspector::new(strict, texts),
        }
    }

    /// Hands each id of the lines that end in this piece to `each`.
    pub fn push(&mut self, piece: &[u8], each: &mut impl FnMut(&str)) -> Result<(), AudienceError> {
        let mut rest = piece;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = (&rest[..end], &rest[end + 1..]);
            if self.open.is_empty() {
                self.line(line, each)?;
            } else {
                self.open.extend_from_slice(line);
                let whole = std::mem::take(&mut self.open);
                self.line(&whole, each)?;
            }
            rest = after;
        }
        self.open.extend_from_slice(rest);
        // Three bytes for the mark at the start, one for a CR: what is longer is wrong already.
        if self.open.len() > VALUE_BYTES_MAX + BYTE_ORDER_MARK.len() + 1 {
            let what = self.other_file(&self.open).unwrap_or(LineError::TooLong);
            return Err(self.wrong(what));
        }
        Ok(())
    }

    /// The last line need not end with a line feed. Answers how many ids there were, repeated ones
    /// counted as often as they came.
    pub fn end(mut self, each: &mut impl FnMut(&str)) -> Result<u64, AudienceError> {
        let last = std::mem::take(&mut self.open);
        self.line(&last, each)?;
        self.inspector.end()
    }

    fn line(&mut self, line: &[u8], each: &mut impl FnMut(&str)) -> Result<(), AudienceError> {
        if let Some(what) = self.other_file(line) {
            return Err(self.wrong(what));
        }
        let mut line = line.strip_suffix(b"\r").unwrap_or(line);
        if self.ended == 0
            && let Some(after) = line.strip_prefix(BYTE_ORDER_MARK.as_bytes())
        {
            line = after;
            if self.inspector.is_strict() {
                let text = String::from_utf8_lossy(line);
                self.inspector.note(1, &text, Suspicion::ByteOrderMark);
            }
        }
        if !line.is_empty() {
            let id = id(line, self.inspector.is_strict()).map_err(|what| self.wrong(what))?;
            if self.inspector.admits(self.ended + 1, id) {
                each(id);
            }
        }
        self.ended += 1;
        Ok(())
    }

    fn other_file(&self, line: &[u8]) -> Option<LineError> {
        (self.ended == 0).then(|| other_file(line)).flatten()
    }

    fn wrong(&self, what: LineError) -> AudienceError {
        AudienceError::Line {
            line: self.ended + 1,
            what,
        }
    }
}

/// A line, or the cell of a table, as an id. `inspected`: control characters are found elsewhere, with all else that is
/// suspicious.
fn id(line: &[u8], inspected: bool) -> Result<&str, LineError> {
    if line.len() > VALUE_BYTES_MAX {
        return Err(LineError::TooLong);
    }
    let id = std::str::from_utf8(line).map_err(|_| LineError::NotUtf8)?;
    match id.chars().find(|c| c.is_control()) {
        Some(c) if !inspected => Err(LineError::Control(u32::from(c))),
        _ => Ok(id),
    }
}

/// Whether a member may be put on a list of texts by itself: what a line of it may be.
pub fn check_member(member: &str, strict: bool) -> Result<(), AudienceError> {
    let refused = |why: String| Err(AudienceError::Member(why));
    if let Err(what) = id(member.as_bytes(), strict) {
        return refused(what.to_string());
    }
    match suspicion_or_slip_of(member).filter(|_| strict) {
        Some(why @ Suspicion::Control(_)) => refused(why.to_string()),
        Some(why) => refused(format!(
            "this does not look like an id: {why}; ?strict=false takes it as it is"
        )),
        None => Ok(()),
    }
}

/// What a file is that is no list, by its first bytes.
fn other_file(text: &[u8]) -> Option<LineError> {
    OTHER_FILES
        .iter()
        .find(|(magic, _)| text.starts_with(magic))
        .map(|(_, what)| *what)
}

/// A bucket as it is kept: each member followed by a line feed, which no member contains.
pub fn pack<'a>(members: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut packed = Vec::new();
    for member in members {
        packed.extend_from_slice(member);
        packed.push(b'\n');
    }
    packed
}

/// The members of a packed bucket.
pub fn unpack(packed: &[u8]) -> impl Iterator<Item = &[u8]> {
    packed
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\n").unwrap_or(line))
}

#[cfg(test)]
mod tests;
