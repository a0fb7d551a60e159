//! Arguments of a script call: one behind the other in one buffer, so that a call with hundreds of them takes two allocations.

use std::fmt;
use std::io::Write;

/// ARGV of one call.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Args {
    bytes: Vec<u8>,
    /// Where each ends in `bytes`.
    ends: Vec<usize>,
}

impl Args {
    /// Room for so many of so many bytes in all.
    pub fn with_capacity(args: usize, bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            ends: Vec::with_capacity(args),
        }
    }

    pub fn push(&mut self, arg: impl AsRef<[u8]>) {
        self.bytes.extend_from_slice(arg.as_ref());
        self.ends.push(self.bytes.len());
    }

    /// The argument is what `write` writes.
    pub fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    /// A number, or whatever else has a text.
    pub fn push_text(&mut self, text: impl fmt::Display) {
        self.push_with(|bytes| write!(bytes, "{text}").expect("a vector takes everything"));
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    #[cfg(feature = "testing")]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// How many bytes all of them have.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.len()).map(|number| &self[number])
    }
}

/// An argument that is the text of a value.
pub(super) fn text(value: impl ToString) -> Vec<u8> {
    value.to_string().into_bytes()
}

impl std::ops::Index<usize> for Args {
    type Output = [u8];

    fn index(&self, number: usize) -> &[u8] {
        let begin = match number {
            0 => 0,
            _ => self.ends[number - 1],
        };
        &self.bytes[begin..self.ends[number]]
    }
}

impl<A: AsRef<[u8]>> Extend<A> for Args {
    fn extend<I: IntoIterator<Item = A>>(&mut self, args: I) {
        args.into_iter().for_each(|arg| self.push(arg));
    }
}

impl<A: AsRef<[u8]>> FromIterator<A> for Args {
    fn from_iter<I: IntoIterator<Item = A>>(args: I) -> Self {
        let mut all = Self::default();
        all.extend(args);
        all
    }
}

impl<A: AsRef<[u8]>> From<Vec<A>> for Args {
    fn from(args: Vec<A>) -> Self {
        args.into_iter().collect()
    }
}

impl<A: AsRef<[u8]>, const N: usize> From<[A; N]> for Args {
    fn from(args: [A; N]) -> Self {
        args.into_iter().collect()
    }
}

impl fmt::Debug for Args {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.iter().map(|arg| arg.escape_ascii().to_string());
        f.debug_list().entries(shown).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_come_out_as_they_went_in() {
        let mut args = Args::from([b"one".to_vec(), Vec::new()]);
        args.push_text(-7);
        args.push_with(|bytes| bytes.extend([0, 255]));
        args.extend(["last"]);
        let all: Vec<&[u8]> = args.iter().collect();
        assert_eq!(all, [&b"one"[..], b"", b"-7", &[0, 255], b"last"]);
        assert_eq!((args.len(), args.bytes(), &args[4]), (5, 11, &b"last"[..]));
        assert!(Args::default().is_empty());
    }
}
