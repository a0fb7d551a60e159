//! Lists as tables: CSV as spreadsheets export it, of which one column holds the ids.
//!
//! The parser is our own. Those of libraries take what is wrongly quoted as well as they can, and with it the lines up to the
//! next quote, unnoticed; here that is an error with its line. It is pushed to, like what decompresses before it, and keeps one
//! cell in memory, however long a line is.

use std::fmt;
use std::str::FromStr;

use super::suspicion::{Inspector, Suspicion, is_column_name, trim};
use super::{AudienceError, BYTE_ORDER_MARK, LineError, id, other_file};
use crate::wire::echo;

/// Bytes of the first line, which is kept until its end shows what separates columns.
const FIRST_LINE_BYTES_MAX: usize = 64 * 1024;
const COLUMNS_MAX: usize = 1000;
/// Bytes of a cell that are kept: an id, and what may be trimmed from it.
const CELL_BYTES_MAX: usize = 4096;
/// Columns named in an error.
const NAMED_MAX: usize = 20;

/// What separates the columns of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delimiter {
    Comma,
    Semicolon,
    Tab,
}

impl Delimiter {
    pub const ALL: [Self; 3] = [Self::Comma, Self::Semicolon, Self::Tab];

    fn byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Semicolon => b';',
            Self::Tab => b'\t',
        }
    }

    fn of(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|delimiter| delimiter.byte() == byte)
    }
}

impl fmt::Display for Delimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Comma => "comma",
            Self::Semicolon => "semicolon",
            Self::Tab => "tab",
        })
    }
}

impl FromStr for Delimiter {
    type Err = String;

    /// By its name, or the character itself.
    fn from_str(text: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|known| known.to_string() == text);
        let one = || match text.as_bytes() {
            [byte] => Self::of(*byte),
            _ => None,
        };
        named.or_else(one).ok_or_else(|| {
            format!(
                "the delimiter {} is not known: use comma, semicolon or tab",
                echo(text)
            )
        })
    }
}

/// How a table is to be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableOptions {
    /// The column of the ids: its name, or its number from 1. A table of one column needs none.
    pub column: Option<String>,
    /// Found in the first line where it is not given.
    pub delimiter: Option<Delimiter>,
    /// Whether the first line names the columns; needed only where it cannot be told.
    pub header: Option<bool>,
}

/// How a table was read, for whom has to see that it was meant so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableRead {
    /// The column of the ids, from 1, and its name where the first line has names.
    pub column: usize,
    pub name: Option<String>,
    pub delimiter: Delimiter,
    /// Rows besides the names of the columns.
    pub rows: u64,
    /// Rows with nothing in the column: no members.
    pub blank: u64,
    /// Members that lost spaces or invisible marks around them.
    pub trimmed: u64,
}

/// Where in a row the parser is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before a cell, or in the spaces before it.
    Start,
    Bare,
    Quoted,
    /// Behind a quote in a quoted cell: its end, or the first of two that stand for one.
    Closed,
}

/// Takes a table apart, whatever pieces it arrives in.
#[derive(Debug)]
pub struct Table {
    options: TableOptions,
    inspector: Inspector,
    /// The first line, until it has ended.
    head: Option<Vec<u8>>,
    read: TableRead,
    state: State,
    /// Whether the last byte was a CR that ended a row: an LF behind it ends nothing more.
    after_cr: bool,
    /// The line that is read, and the one in which its row began.
    line: u64,
    row_line: u64,
    /// Cells of the row that have ended.
    cells: usize,
    cell: Vec<u8>,
    /// Whether spaces stood before the quote of the cell.
    padded: bool,
    /// Cells of the first row, until it has ended.
    first: Option<Vec<Vec<u8>>>,
    /// Columns of the first row.
    columns: usize,
    /// The ids' cell of this row, and whether it was padded.
    member: Option<(Vec<u8>, bool)>,
}

impl Table {
    /// `texts` as of lines.
    pub fn new(strict: bool, texts: bool, options: TableOptions) -> Self {
        let read = TableRead {
            column: 1,
            name: None,
            delimiter: options.delimiter.unwrap_or(Delimiter::Comma),
            rows: 0,
            blank: 0,
            trimmed: 0,
        };
        Self {
            options,
            inspector: Inspector::new(strict, texts),
            head: Some(Vec::new()),
            read,
            state: State::Start,
            after_cr: false,
            line: 1,
            row_line: 1,
            cells: 0,
            cell: Vec::new(),
            padded: false,
            first: Some(Vec::new()),
            columns: 0,
            member: None,
        }
    }

    /// Hands the id of each row that ends in this piece to `each`.
    pub fn push(&mut self, piece: &[u8], each: &mut impl FnMut(&str)) -> Result<(), AudienceError> {
        let Some(head) = &mut self.head else {
            return self.bytes(piece, each);
        };
        head.extend_from_slice(piece);
        if let Some(what) = other_file(head) {
            return Err(AudienceError::Line { line: 1, what });
        }
        match first_line(head) {
            None if head.len() > FIRST_LINE_BYTES_MAX => Err(AudienceError::Table(format!(
                "the first line is longer than {} KiB, or a quote in it is not closed",
                FIRST_LINE_BYTES_MAX / 1024
            ))),
            None => Ok(()),
            Some(_) => self.begin(each),
        }
    }

    /// The end of the table: how it was read.
    pub fn end(mut self, each: &mut impl FnMut(&str)) -> Result<TableRead, AudienceError> {
        self.begin(each)?;
        if self.state == State::Quoted {
            return Err(self.wrong(LineError::QuoteOpen));
        }
        self.end_row(each)?;
        if self.first.is_some() && self.inspector.is_strict() {
            return Err(AudienceError::Empty);
        }
        self.inspector.end()?;
        Ok(self.read)
    }

    /// Finds the delimiter in the first line and reads what is there.
    fn begin(&mut self, each: &mut impl FnMut(&str)) -> Result<(), AudienceError> {
        let Some(head) = self.head.take() else {
            return Ok(());
        };
        let mut text = head.strip_prefix(BYTE_ORDER_MARK.as_bytes()).unwrap_or(&head);
        // What Excel writes and reads to say so, before the first line.
        let line = first_line(text).unwrap_or(text);
        let named = named_delimiter(line);
        if named.is_some() {
            text = &text[line.len()..];
        }
        self.read.delimiter = match self.options.delimiter.or(named) {
            Some(delimiter) => delimiter,
            None => delimiter_of(line)?,
        };
        self.bytes(text, each)
    }

    fn bytes(&mut self, bytes: &[u8], each: &mut impl FnMut(&str)) -> Result<(), AudienceError> {
        for byte in bytes {
            self.byte(*byte, each)?;
        }
        Ok(())
    }

    fn byte(&mut self, byte: u8, each: &mut impl FnMut(&str)) -> Result<(), AudienceError> {
        let after_cr = std::mem::take(&mut self.after_cr);
        match (self.state, byte) {
            (State::Quoted, b'"') => self.state = State::Closed,
            (State::Quoted, _) => {
                self.line += u64::from(byte == b'\n');
                self.keep(byte);
            }
            (_, b'\n') if after_cr => {}
            (_, b'\r' | b'\n') => {
                self.after_cr = byte == b'\r';
                self.end_row(each)?;
                self.line += 1;
                self.row_line = self.line;
            }
            (_, _) if byte == self.read.delimiter.byte() => self.end_cell()?,
            (State::Start, b'"') => {
                self.padded = !self.cell.is_empty();
                self.cell.clear();
                self.state = State::Quoted;
            }
            (State::Closed, b'"') => {
                self.keep(byte);
                self.state = State::Quoted;
            }
            (State::Closed, b' ') => self.padded = true,
            (State::Closed, _) => return Err(self.wrong(LineError::QuoteClosed)),
            (State::Start, b' ') => self.keep(byte),
            (State::Start | State::Bare, _) => {
                self.keep(byte);
                self.state = State::Bare;
            }
        }
        Ok(())
    }

    /// One more byte of a cell, if anybody will read it. One too many shows that it is too long.
    fn keep(&mut self, byte: u8) {
        let read = self.first.is_some() || self.cells + 1 == self.read.column;
        if read && self.cell.len() <= CELL_BYTES_MAX {
            self.cell.push(byte);
        }
    }

    fn end_cell(&mut self) -> Result<(), AudienceError> {
        let (cell, padded) = (std::mem::take(&mut self.cell), std::mem::take(&mut self.padded));
        self.state = State::Start;
        self.cells += 1;
        match &mut self.first {
            Some(first) if first.len() == COLUMNS_MAX => {
                return Err(AudienceError::Table(format!(
                    "the table has more than {COLUMNS_MAX} columns"
                )));
            }
            Some(first) => first.push(cell),
            None if self.cells == self.read.column => self.member = Some((cell, padded)),
            None => {}
        }
        Ok(())
    }

    fn end_row(&mut self, each: &mut impl FnMut(&str)) -> Result<(), AudienceError> {
        // A line with nothing on it is no row.
        if self.cells == 0 && self.state == State::Start && self.cell.is_empty() {
            return Ok(());
        }
        self.end_cell()?;
        let cells = std::mem::take(&mut self.cells);
        if let Some(first) = self.first.take() {
            self.columns = cells;
            let header = self.choose(&first)?;
            if header {
                return Ok(());
            }
            self.member = first
                .into_iter()
                .nth(self.read.column - 1)
                .map(|cell| (cell, false));
        }
        self.read.rows += 1;
        let member = self.member.take();
        if self.inspector.is_strict() && (cells > self.columns || member.is_none()) {
            let (found, expected) = (cells, self.columns);
            let text = member.map(|(cell, _)| String::from_utf8_lossy(&cell).into_owned());
            let why = Suspicion::Columns { found, expected };
            self.inspector.note(self.row_line, &text.unwrap_or_default(), why);
            return Ok(());
        }
        match member {
            Some((cell, padded)) => self.member(&cell, padded, each),
            None => {
                self.read.blank += 1;
                Ok(())
            }
        }
    }

    fn member(
        &mut self,
        cell: &[u8],
        padded: bool,
        each: &mut impl FnMut(&str),
    ) -> Result<(), AudienceError> {
        if cell.len() > CELL_BYTES_MAX {
            return Err(self.wrong(LineError::TooLong));
        }
        let text = std::str::from_utf8(cell).map_err(|_| self.wrong(LineError::NotUtf8))?;
        let member = trim(text);
        if member.is_empty() {
            self.read.blank += 1;
            return Ok(());
        }
        let member = id(member.as_bytes(), self.inspector.is_strict()).map_err(|what| self.wrong(what))?;
        self.read.trimmed += u64::from(padded || member.len() < text.len());
        if self.inspector.admits(self.row_line, member) {
            each(member);
        }
        Ok(())
    }

    /// Chooses the column by the first row; `true` if that names the columns.
    fn choose(&mut self, first: &[Vec<u8>]) -> Result<bool, AudienceError> {
        let mut names = Vec::with_capacity(first.len());
        for cell in first {
            let name = std::str::from_utf8(cell).map_err(|_| self.wrong(LineError::NotUtf8))?;
            names.push(trim(name).to_owned());
        }
        let (column, by_name) = match self.options.column.as_deref().map(trim) {
            None if names.len() == 1 => (1, false),
            None => return Err(unfit("say with ?column= which column has the ids", &names)),
            Some(number) if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => {
                let found = number
                    .parse()
                    .ok()
                    .filter(|number| (1..=names.len()).contains(number));
                let what = || unfit(&format!("there is no column {}", echo(number)), &names);
                (found.ok_or_else(what)?, false)
            }
            Some(name) => (named(name, &names)?, true),
        };
        self.read.column = column;
        let name = &names[column - 1];
        let header = match self.options.header {
            Some(false) if by_name => {
                let what = "with header=false no column has a name: say its number in ?column=";
                return Err(AudienceError::Table(what.to_owned()));
            }
            Some(header) => header,
            None if by_name || is_column_name(name) => true,
            None => {
                return Err(AudienceError::Table(format!(
                    "nothing shows whether the first line names the columns or {} is an id: say ?header=true or ?header=false",
                    echo(name)
                )));
            }
        };
        self.read.name = header.then(|| name.clone());
        Ok(header)
    }

    fn wrong(&self, what: LineError) -> AudienceError {
        AudienceError::Line {
            line: self.row_line,
            what,
        }
    }
}

/// The number of the column of this name: written so, or else the only one that differs in case alone.
fn named(name: &str, names: &[String]) -> Result<usize, AudienceError> {
    let having = |same: &dyn Fn(&str) -> bool| -> Vec<usize> {
        let numbered = names.iter().enumerate();
        numbered
            .filter(|(_, known)| same(known))
            .map(|(index, _)| index + 1)
            .collect()
    };
    let mut found = having(&|known| known == name);
    if found.is_empty() {
        found = having(&|known| known.to_lowercase() == name.to_lowercase());
    }
    match found.as_slice() {
        [only] => Ok(*only),
        [] => Err(unfit(&format!("there is no column {}", echo(name)), names)),
        _ => Err(unfit(
            &format!(
                "several columns are named {}: say the number in ?column=",
                echo(name)
            ),
            names,
        )),
    }
}

/// What is wrong with the columns, and which there are.
fn unfit(what: &str, names: &[String]) -> AudienceError {
    let numbered = (1..).zip(names).take(NAMED_MAX);
    let listed: Vec<String> = numbered
        .map(|(number, name)| format!("{number} {}", echo(name)))
        .collect();
    let more = match names.len() > NAMED_MAX {
        true => format!(", and {} more", names.len() - NAMED_MAX),
        false => String::new(),
    };
    AudienceError::Table(format!("{what}; the first line has: {}{more}", listed.join(", ")))
}

/// The first line that has something on it, with what stands before it and without its end; none if it has not ended.
fn first_line(text: &[u8]) -> Option<&[u8]> {
    let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let mark = text.strip_prefix(BYTE_ORDER_MARK.as_bytes()).unwrap_or(text);
    let blank = mark.iter().take_while(|byte| is_end(byte)).count();
    let start = text.len() - mark.len() + blank;
    let mut quoted = false;
    let end = text[start..].iter().position(|byte| {
        quoted ^= *byte == b'"';
        !quoted && is_end(byte)
    });
    end.map(|end| &text[..start + end])
}

/// `sep=;` on a line of its own.
fn named_delimiter(line: &[u8]) -> Option<Delimiter> {
    match line.trim_ascii_start() {
        [name @ .., byte] if name.eq_ignore_ascii_case(b"sep=") => Delimiter::of(*byte),
        _ => None,
    }
}

/// The delimiter that stands in the line outside of quotes. A line without one is a table of one column.
fn delimiter_of(line: &[u8]) -> Result<Delimiter, AudienceError> {
    let mut quoted = false;
    let mut found: Vec<Delimiter> = Vec::new();
    for byte in line {
        quoted ^= *byte == b'"';
        if let Some(delimiter) = Delimiter::of(*byte).filter(|new| !quoted && !found.contains(new)) {
            found.push(delimiter);
        }
    }
    match found.as_slice() {
        [] => Ok(Delimiter::Comma),
        [only] => Ok(*only),
        several => {
            let names: Vec<String> = several.iter().map(Delimiter::to_string).collect();
            Err(AudienceError::Table(format!(
                "the first line contains {}: say with ?delimiter= which of them separates columns",
                names.join(" and ")
            )))
        }
    }
}

#[cfg(test)]
mod tests;
