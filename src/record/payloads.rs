//! Payloads of several orders in one buffer, each behind its length: what an outbox entry carries, and what a record
//! has behind its header.

use std::ops::Range;

/// In the order of their orders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payloads {
    bytes: Vec<u8>,
    /// Where each payload is in `bytes`.
    places: Vec<Range<usize>>,
}

impl Payloads {
    pub fn with_capacity(orders: usize, bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            places: Vec::with_capacity(orders),
        }
    }

    pub fn push(&mut self, payload: &[u8]) {
        self.push_with(|bytes| bytes.extend_from_slice(payload));
    }

    /// The payload is what `write` appends.
    pub(crate) fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let begin = self.bytes.len();
        write(&mut self.bytes);
        let mut room = [0; 10];
        let length = (self.bytes.len() - begin) as u64;
        let length = postcard::to_slice(&length, &mut room).expect("ten bytes take every number");
        let behind = begin + length.len();
        self.bytes.splice(begin..begin, length.iter().copied());
        self.places.push(behind..self.bytes.len());
    }

    /// Takes the last one off.
    pub(crate) fn pop(&mut self) {
        self.places.pop();
        let end = self.places.last().map_or(0, |place| place.end);
        self.bytes.truncate(end);
    }

    pub fn len(&self) -> usize {
        self.places.len()
    }

    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// All of them, each behind its length.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> + Clone {
        self.places.iter().map(|place| &self.bytes[place.clone()])
    }
}

impl<P: AsRef<[u8]>> FromIterator<P> for Payloads {
    fn from_iter<I: IntoIterator<Item = P>>(payloads: I) -> Self {
        let mut all = Self::default();
        payloads
            .into_iter()
            .for_each(|payload| all.push(payload.as_ref()));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_come_out_as_they_went_in_and_stand_behind_their_lengths() {
        let long = vec![7; 300];
        let mut all: Payloads = [&b"one"[..], b"", &long].into_iter().collect();
        assert_eq!(all.iter().collect::<Vec<_>>(), [&b"one"[..], b"", &long]);
        let before = [&b"\x03one\x00\xac\x02"[..], &long].concat();
        assert_eq!(all.as_bytes(), before);
        all.push(b"last");
        all.pop();
        assert_eq!((all.len(), all.as_bytes()), (3, &before[..]));
        all.pop();
        all.pop();
        all.pop();
        assert_eq!(all, Payloads::default());
        assert!(all.is_empty());
    }
}
