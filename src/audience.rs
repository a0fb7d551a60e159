//! Audiences: uploaded lists of ids. What a line may be, how members are spread over buckets, and
//! the form a bucket is kept in.

use crate::order::VALUE_BYTES_MAX;

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
/// The first bytes of every gzip file.
const GZIP_MAGIC: &[u8] = b"\x1f\x8b";

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
    #[error("the id is not UTF-8")]
    NotUtf8,
    #[error("the id contains the control character U+{0:04X}")]
    Control(u32),
    #[error("this is gzip: send it with the header Content-Encoding: gzip")]
    Gzip,
}

/// Takes a list apart, whatever pieces it arrives in: one id per line, lines end with LF or CRLF,
/// blank ones are skipped. Spaces belong to the id, because two buyers may differ in one.
#[derive(Debug, Default)]
pub struct Lines {
    /// The line that has not ended yet.
    open: Vec<u8>,
    /// Lines that have ended.
    ended: u64,
    ids: u64,
}

impl Lines {
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
            let what = line_error(&self.open).unwrap_or(LineError::TooLong);
            return Err(self.wrong(what));
        }
        Ok(())
    }

    /// The last line need not end with a line feed. Answers how many ids there were, repeated ones
    /// counted as often as they came.
    pub fn end(mut self, each: &mut impl FnMut(&str)) -> Result<u64, AudienceError> {
        let last = std::mem::take(&mut self.open);
        self.line(&last, each)?;
        Ok(self.ids)
    }

    fn line(&mut self, line: &[u8], each: &mut impl FnMut(&str)) -> Result<(), AudienceError> {
        let mut line = line.strip_suffix(b"\r").unwrap_or(line);
        if self.ended == 0 {
            line = line.strip_prefix(BYTE_ORDER_MARK.as_bytes()).unwrap_or(line);
        }
        if line.is_empty() {
            self.ended += 1;
            return Ok(());
        }
        let id = id(line).map_err(|what| self.wrong(what))?;
        self.ended += 1;
        self.ids += 1;
        each(id);
        Ok(())
    }

    fn wrong(&self, what: LineError) -> AudienceError {
        AudienceError::Line {
            line: self.ended + 1,
            what,
        }
    }
}

fn id(line: &[u8]) -> Result<&str, LineError> {
    if let Some(error) = line_error(line) {
        return Err(error);
    }
    let id = std::str::from_utf8(line).map_err(|_| LineError::NotUtf8)?;
    match id.chars().find(|c| c.is_control()) {
        Some(c) => Err(LineError::Control(u32::from(c))),
        None => Ok(id),
    }
}

/// What can be said of a line before it has ended.
fn line_error(line: &[u8]) -> Option<LineError> {
    match line {
        _ if line.starts_with(GZIP_MAGIC) => Some(LineError::Gzip),
        _ if line.len() > VALUE_BYTES_MAX => Some(LineError::TooLong),
        _ => None,
    }
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
