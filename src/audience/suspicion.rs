//! What a spreadsheet or a program leaves in and around the ids of a list. Such a line is a member like any other,
//! and no buyer is ever called so: the list lets everybody out, or everybody in.

use std::fmt;

use super::AudienceError;
use super::address::slipped;
use super::slip::Slip;
use crate::wire::{echo, prints_nothing};

/// Suspicious lines that are told one by one.
const TOLD_MAX: usize = 10;
/// Bytes of a line that are shown.
const SHOWN_BYTES: usize = 60;

/// Why a line does not look like an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Suspicion {
    #[error("quotes stand around the id")]
    Quotes,
    #[error("it contains {0:?}, which separates columns")]
    Separator(char),
    #[error("spaces stand before or after the id")]
    Spaces,
    #[error("it contains the invisible character U+{0:04X}")]
    Invisible(u32),
    #[error("it is written as JSON")]
    Json,
    #[error("a byte order mark stands before the first line")]
    ByteOrderMark,
    #[error("it contains the control character U+{0:04X}")]
    Control(u32),
    #[error("it looks like the name of a column")]
    Header,
    #[error(
        "a spreadsheet has written an id of digits as this number: format the column as text and export again"
    )]
    Number,
    #[error("it is a formula, or the error of one")]
    Formula,
    #[error("it {0}")]
    Address(Slip),
    #[error("the row has {found} columns and the first one {expected}")]
    Columns { found: usize, expected: usize },
}

/// The suspicious lines of a list: the first ones, and how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Suspicious {
    /// Line, what stands there (cut), and why.
    pub first: Vec<(u64, String, Suspicion)>,
    pub count: u64,
}

impl fmt::Display for Suspicious {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            1 => f.write_str("one line does not look like an id")?,
            count => write!(f, "{count} lines do not look like ids")?,
        }
        for (index, told) in self.told().enumerate() {
            write!(f, "{} {told}", if index == 0 { ":" } else { ";" })?;
        }
        match self.count - self.first.len() as u64 {
            0 => {}
            more => write!(f, "; and {more} more")?,
        }
        match self
            .first
            .iter()
            .any(|(.., why)| matches!(why, Suspicion::Address(_)))
        {
            true => f.write_str(". ?kind=texts takes addresses as texts, compared byte for byte"),
            false => Ok(()),
        }
    }
}

impl Suspicious {
    /// A sentence for each of the first ones.
    pub fn told(&self) -> impl Iterator<Item = String> + '_ {
        let tell = |(line, shown, why): &(u64, String, Suspicion)| format!("line {line}, {shown}: {why}");
        self.first.iter().map(tell)
    }
}

/// Looks at the ids of a list one by one, unless it was told to take them as they are.
#[derive(Debug)]
pub(super) struct Inspector {
    strict: bool,
    /// Whether somebody has said that the members are texts.
    texts: bool,
    ids: u64,
    found: Suspicious,
    /// The first id and its line: what the others have in common may show that it is the name of a column.
    first: Option<(u64, String)>,
    others: Others,
}

/// What all ids but the first are.
#[derive(Debug)]
struct Others {
    addresses: bool,
    digits: bool,
}

impl Inspector {
    /// `texts`: somebody has said that the members are; then what looks like an address is an id like any other.
    pub(super) fn new(strict: bool, texts: bool) -> Self {
        Self {
            strict,
            texts,
            ids: 0,
            found: Suspicious::default(),
            first: None,
            others: Others {
                addresses: true,
                digits: true,
            },
        }
    }

    pub(super) fn is_strict(&self) -> bool {
        self.strict
    }

    /// Whether the id is to be taken.
    pub(super) fn admits(&mut self, line: u64, id: &str) -> bool {
        self.ids += 1;
        if !self.strict {
            return true;
        }
        let mut why = match self.texts {
            true => suspicion_of(id),
            false => suspicion_or_slip_of(id),
        };
        if self.first.is_none() {
            why = why.or_else(|| is_column_name(id).then_some(Suspicion::Header));
            self.first = Some((line, id.to_owned()));
        } else {
            self.others.addresses &= id.contains('@');
            self.others.digits &= is_digits(id);
        }
        if let Some(why) = why {
            self.note(line, id, why);
        }
        // Nothing of a list that will be refused need be kept.
        self.found.count == 0
    }

    pub(super) fn note(&mut self, line: u64, text: &str, why: Suspicion) {
        self.found.count += 1;
        if self.found.first.len() < TOLD_MAX {
            self.found.first.push((line, shown(text), why));
        }
    }

    /// The end of the list: how many ids there were, repeated ones counted as often as they came.
    pub(super) fn end(mut self) -> Result<u64, AudienceError> {
        if !self.strict {
            return Ok(self.ids);
        }
        if self.ids == 0 && self.found.count == 0 {
            return Err(AudienceError::Empty);
        }
        if let Some((line, id)) = self.first.take()
            && self.ids > 2
            && suspicion_of(&id).is_none()
            && !is_column_name(&id)
            && ((self.others.addresses && !id.contains('@'))
                || (self.others.digits && !id.contains(|c: char| c.is_ascii_digit())))
        {
            self.note(line, &id, Suspicion::Header);
            // Found last and stands first.
            self.found.first.sort_by_key(|(line, ..)| *line);
        }
        match self.found.count {
            0 => Ok(self.ids),
            _ => Err(AudienceError::Suspicious(self.found)),
        }
    }
}

/// A text as it may be shown: cut, and with what is not seen written out.
fn shown(text: &str) -> String {
    let cut = text.floor_char_boundary(SHOWN_BYTES);
    match cut < text.len() {
        true => format!("{}…", echo(&text[..cut])),
        false => echo(text),
    }
}

/// What in an id gives away that it was not meant as it is, the most telling thing first.
pub(super) fn suspicion_of(id: &str) -> Option<Suspicion> {
    let bare = trim(id);
    let (first, last) = (bare.chars().next(), bare.chars().next_back());
    let ends = |matches: fn(char) -> bool| first.is_some_and(matches) || last.is_some_and(matches);
    if let Some(c) = id.chars().find(|c| c.is_control() && *c != '\t') {
        return Some(Suspicion::Control(u32::from(c)));
    }
    if first.is_some_and(|c| matches!(c, '[' | '{')) || last.is_some_and(|c| matches!(c, ']' | '}')) {
        return Some(Suspicion::Json);
    }
    if let Some(c) = id.chars().find(|c| is_separator(*c)) {
        return Some(Suspicion::Separator(c));
    }
    if is_formula(bare) {
        return Some(Suspicion::Formula);
    }
    if ends(is_quote) {
        return Some(Suspicion::Quotes);
    }
    if let Some(c) = id.chars().find(|c| is_invisible(*c)) {
        return Some(Suspicion::Invisible(u32::from(c)));
    }
    if bare.len() < id.len() {
        return Some(Suspicion::Spaces);
    }
    is_spreadsheet_number(id).then_some(Suspicion::Number)
}

/// The same where the id may be meant as an address.
pub(super) fn suspicion_or_slip_of(id: &str) -> Option<Suspicion> {
    match suspicion_of(id) {
        // Brackets stand around addresses, too.
        why @ (None | Some(Suspicion::Json)) => slipped(id).map(Suspicion::Address).or(why),
        why => why,
    }
}

/// A text without the spaces around it, whichever they are, and without marks that are not seen.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || is_invisible(c))
}

/// Every space but the common one, and what leaves nothing to be seen. The joiners too: emoji and some scripts need
/// them, ids rarely.
fn is_invisible(c: char) -> bool {
    !c.is_ascii() && prints_nothing(c) && (c.is_whitespace() || !c.is_control())
}

/// What parts columns. Not the bar: ids of some identity providers contain it.
fn is_separator(c: char) -> bool {
    matches!(c, ',' | ';' | '\t' | '\u{ff0c}' | '\u{ff1b}' | '\u{3001}')
}

fn is_quote(c: char) -> bool {
    matches!(
        c,
        '"' | '\'' | '`' | '´' | '«' | '»' | '‹' | '›' | '\u{2018}'..='\u{201f}' | '\u{ff02}' | '\u{ff07}'
    )
}

/// `="00123"`, #REF!, #N/A: an id may begin with #, but does not cry out at its end.
fn is_formula(text: &str) -> bool {
    text.starts_with('=')
        || text.starts_with('#') && (text.ends_with(['!', '?']) || matches!(text, "#N/A" | "#NV"))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// 1.23457E+11, and 4711.0: what becomes of a long id of digits in a cell that is not of text.
fn is_spreadsheet_number(id: &str) -> bool {
    let (mantissa, exponent) = match id.split_once(['E', 'e']) {
        Some((mantissa, exponent)) => (mantissa, exponent.strip_prefix('+')),
        None => return id.strip_suffix(".0").is_some_and(is_digits),
    };
    let whole = mantissa.replacen('.', "", 1);
    exponent.is_some_and(is_digits) && is_digits(&whole)
}

/// Names that a column of ids usually has, whatever its letters and what joins its words.
pub(super) fn is_column_name(text: &str) -> bool {
    const NAMES: [&str; 44] = [
        "account",
        "accountid",
        "accountnumber",
        "address",
        "audience",
        "buyer",
        "buyerid",
        "client",
        "clientid",
        "customer",
        "customerid",
        "customernumber",
        "device",
        "deviceid",
        "email",
        "emailaddress",
        "emails",
        "externalid",
        "guid",
        "id",
        "identifier",
        "ids",
        "ip",
        "ipaddress",
        "kunde",
        "kundennummer",
        "list",
        "login",
        "mail",
        "member",
        "memberid",
        "members",
        "phone",
        "phonenumber",
        "sub",
        "subject",
        "uid",
        "user",
        "userid",
        "userids",
        "username",
        "users",
        "uuid",
        "value",
    ];
    let letters: String = text.chars().filter(|c| c.is_alphanumeric()).collect();
    NAMES.contains(&letters.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests;
