//! Pieces: recorded attempts of one write and one band of buyers, compressed. Inside are lines as in a file of attempts
//! (`super::lines`), with their place in the write, so that attempts of one moment keep their order over all bands.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::DecidedAttempt;
use super::lines;
use super::share::{BANDS, lot};

/// Bytes that a piece may have unpacked: far more than any that is written.
const UNPACKED_BYTES_MAX: u64 = 256 << 20;

/// Attempts of one band of buyers, in the order of their moments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Of every buyer in it: see [`super::share::Lot`].
    pub band: u32,
    /// Moments of the first and the last attempt, milliseconds since 1970-01-01 UTC.
    pub first_at: i64,
    pub last_at: i64,
    pub attempts: u64,
    /// Gzip.
    pub payload: Vec<u8>,
}

/// A piece that is being filled.
struct Open {
    first_at: i64,
    last_at: i64,
    attempts: u64,
    lines: GzEncoder<Vec<u8>>,
}

/// Cuts what a gateway decided in a campaign, in the order in which it did, into a piece per band; the lowest band first.
pub fn cut(campaign: &str, attempts: impl Iterator<Item = DecidedAttempt>) -> Vec<Piece> {
    let mut attempts: Vec<DecidedAttempt> = attempts.collect();
    // Stable: what was decided in one moment keeps its order.
    attempts.sort_by_key(|recorded| recorded.at);
    let mut open: [Option<Open>; BANDS] = [const { None }; BANDS];
    let mut line = Vec::new();
    for (place, recorded) in attempts.iter().enumerate() {
        let band = lot(campaign, &recorded.attempt.user).band;
        let piece = open[band as usize].get_or_insert_with(|| Open {
            first_at: recorded.at,
            last_at: recorded.at,
            attempts: 0,
            lines: GzEncoder::new(Vec::new(), Compression::fast()),
        });
        add(&mut piece.lines, place as u64, recorded, &mut line);
        piece.last_at = recorded.at;
        piece.attempts += 1;
    }
    let closed = (0..).zip(open).filter_map(|(band, open)| Some((band, open?)));
    closed
        .map(|(band, open)| Piece {
            band,
            first_at: open.first_at,
            last_at: open.last_at,
            attempts: open.attempts,
            payload: open.lines.finish().expect("memory takes it"),
        })
        .collect()
}

/// Adds an attempt; `line` is for what it takes meanwhile.
fn add(lines: &mut GzEncoder<Vec<u8>>, place: u64, recorded: &DecidedAttempt, line: &mut Vec<u8>) {
    line.clear();
    lines::write(recorded, place, line);
    lines.write_all(line).expect("memory takes it");
}

/// The attempts of a piece, in their order, each with its place in the write; what is wrong with it, in words.
pub fn unpack(payload: &[u8]) -> Result<Vec<(u64, DecidedAttempt)>, String> {
    let mut text = Vec::new();
    let unpacked = GzDecoder::new(payload)
        .take(UNPACKED_BYTES_MAX)
        .read_to_end(&mut text);
    unpacked.map_err(|error| error.to_string())?;
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(lines::read).collect()
}

/// What is left of a piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rest {
    /// Gzip.
    pub payload: Vec<u8>,
    pub attempts: u64,
    /// Attempts that it has no more.
    pub gone: u64,
}

/// The piece without what a buyer attempted at a moment and before; `None` where it has nothing of that. Places stay.
pub fn without(payload: &[u8], user: &str, until: i64) -> Result<Option<Rest>, String> {
    let mut attempts = unpack(payload)?;
    let before = attempts.len();
    attempts.retain(|(_, one)| one.attempt.user != user || one.at > until);
    if attempts.len() == before {
        return Ok(None);
    }
    let (mut text, mut line) = (GzEncoder::new(Vec::new(), Compression::fast()), Vec::new());
    for (place, one) in &attempts {
        add(&mut text, *place, one, &mut line);
    }
    Ok(Some(Rest {
        payload: text.finish().expect("memory takes it"),
        attempts: attempts.len() as u64,
        gone: (before - attempts.len()) as u64,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::{Attempt, OrderId};

    fn recorded(number: u32, at: i64) -> DecidedAttempt {
        let user = format!("user \u{1} ü\n\"{number}");
        DecidedAttempt {
            at,
            attempt: Attempt {
                order: OrderId::keyed("spring", &user, ""),
                user,
                sku: ["mug", "T-SHIRT RED/M", "\u{c4}pfel \"1\""][number as usize % 3].into(),
                quantity: 1 + number,
                attributes: match number % 2 {
                    0 => Default::default(),
                    _ => [("unreadable:claim:tier".to_owned(), "is a list".to_owned())].into(),
                },
            },
            revision: (!number.is_multiple_of(3)).then_some(number % 3),
            outcome: (!number.is_multiple_of(5)).then(|| "sold-out".to_owned()),
        }
    }

    #[test]
    fn what_is_cut_comes_back_in_its_order() {
        let now = 1_795_176_000_123;
        // Two a millisecond, and now and then one that is late.
        let decided: Vec<DecidedAttempt> = (0..1000)
            .map(|n| recorded(n, now + i64::from(n / 2) - i64::from(n % 7 == 0) * 3))
            .collect();
        let pieces = cut("spring", decided.iter().cloned());
        assert!(pieces.len() > 5, "{}", pieces.len());
        let mut back = Vec::new();
        for piece in &pieces {
            let inside = unpack(&piece.payload).expect("readable");
            assert_eq!(inside.len() as u64, piece.attempts);
            let (first, last) = (&inside[0].1, &inside[inside.len() - 1].1);
            assert_eq!((first.at, last.at), (piece.first_at, piece.last_at));
            assert!(
                inside
                    .iter()
                    .all(|(_, one)| lot("spring", &one.attempt.user).band == piece.band)
            );
            back.extend(inside);
        }
        back.sort_by_key(|(place, _)| *place);
        let mut expected = decided;
        expected.sort_by_key(|one| one.at);
        assert_eq!(back.into_iter().map(|(_, one)| one).collect::<Vec<_>>(), expected);
        assert_eq!(cut("spring", std::iter::empty()), []);
    }

    #[test]
    fn a_buyer_is_taken_out_and_the_others_stay_as_they_are() {
        let pieces = cut("spring", (0..40).map(|n| recorded(n / 2, i64::from(n))));
        let piece = pieces
            .iter()
            .find(|piece| piece.attempts >= 4)
            .expect("a piece of two buyers");
        let inside = unpack(&piece.payload).expect("readable");
        let (_, first) = &inside[0];
        let of_first = |one: &DecidedAttempt| one.attempt.user == first.attempt.user;
        let rest = without(&piece.payload, &first.attempt.user, i64::MAX);
        let rest = rest.expect("readable").expect("it had some");
        let left: Vec<_> = inside.iter().filter(|(_, one)| !of_first(one)).cloned().collect();
        assert_eq!(unpack(&rest.payload).expect("readable"), left);
        assert_eq!((rest.attempts, rest.gone), (left.len() as u64, 2));
        let rest = without(&piece.payload, &first.attempt.user, first.at).expect("readable");
        assert_eq!(rest.expect("one of them").gone, 1, "the later one stays");
        assert_eq!(without(&piece.payload, "nobody", i64::MAX), Ok(None));
    }

    #[test]
    fn broken_pieces_say_what_is_wrong() {
        let mut lines = GzEncoder::new(Vec::new(), Compression::fast());
        lines.write_all(b"{\"at\":7}\n").expect("memory");
        let other = lines.finish().expect("memory");
        for (broken, what) in [
            (&b"this is no gzip"[..], "gzip"),
            (&other, "invalid type"),
            (&other[..12], ""),
        ] {
            let error = unpack(broken).expect_err("refused");
            assert!(error.contains(what), "{error}");
        }
    }
}
