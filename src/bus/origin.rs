//! The headers of a record that was moved: where it came from, how often it was tried, what was wrong.
//!
//! Names and forms are those of Spring Kafka's retry topics and dead letters, so that tools made for them read
//! ours: text in UTF-8, numbers big-endian. However often a record is moved, its first origin stays and only the
//! last error is kept, so that headers do not grow.

use super::{Headers, Record};

/// `1:<key id>:<partition, or - for the one its key belongs to>:<tag, 64 hex digits>`. Of orders, those of campaigns from
/// before lanes had partitions alone are sealed for their key's.
pub const SEAL: &str = "rushgate-seal";
pub const TOPIC: &str = "kafka_dlt-original-topic";
/// `i32`.
pub const PARTITION: &str = "kafka_dlt-original-partition";
/// `i64`.
pub const OFFSET: &str = "kafka_dlt-original-offset";
/// `i64`, milliseconds since 1970-01-01 UTC.
pub const TIMESTAMP: &str = "kafka_dlt-original-timestamp";
pub const TIMESTAMP_TYPE: &str = "kafka_dlt-original-timestamp-type";
pub const GROUP: &str = "kafka_dlt-original-consumer-group";
/// The error's class: one of rushgate's own words.
pub const CLASS: &str = "kafka_dlt-exception-fqcn";
pub const MESSAGE: &str = "kafka_dlt-exception-message";
/// `i32`: landings that were tried.
pub const ATTEMPTS: &str = "retry_topic-attempts";
/// As few bytes as hold the milliseconds: when the record is due.
pub const DUE: &str = "retry_topic-backoff-timestamp";
/// The same: the timestamp of the first record.
pub const FIRST: &str = "retry_topic-original-timestamp";

/// `i32`: the position of the order in its record. Rushgate's own, and left out where it is 0, as for every record of
/// one order.
pub const POSITION: &str = "rushgate-original-position";

/// All of them but the position, in the order in which a seal covers them.
pub(super) const OURS: [&str; 11] = [
    TOPIC,
    PARTITION,
    OFFSET,
    TIMESTAMP,
    TIMESTAMP_TYPE,
    GROUP,
    CLASS,
    MESSAGE,
    ATTEMPTS,
    DUE,
    FIRST,
];
/// Bytes of a topic's name that the database holds.
const TOPIC_BYTES_MAX: usize = 190;
/// Bytes of other headers that a moved record keeps: the record has to fit into a message again.
const FOREIGN_BYTES_MAX: usize = 8192;

/// Where a record was first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    /// Of the order in its record; 0 where it was the only one.
    pub position: u32,
    /// Milliseconds since 1970-01-01 UTC; 0 where the record had none.
    pub timestamp: i64,
    /// The consumer group that could not land it.
    pub group: String,
}

/// Why and how a record is moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move<'a> {
    pub class: &'a str,
    pub error: &'a str,
    /// Landings that were tried.
    pub attempts: i32,
    /// When it is to be tried again.
    pub due: Option<i64>,
}

impl Origin {
    /// The origin that the headers carry, if they carry one that can be.
    pub fn read(headers: &Headers) -> Option<Self> {
        if headers.is_empty() {
            return None;
        }
        let text = |name| String::from_utf8(get(headers, name)?.to_vec()).ok();
        let origin = Self {
            topic: text(TOPIC)?,
            partition: i32::from_be_bytes(get(headers, PARTITION)?.try_into().ok()?),
            offset: i64::from_be_bytes(get(headers, OFFSET)?.try_into().ok()?),
            position: match get(headers, POSITION) {
                None => 0,
                Some(bytes) => u32::try_from(i32::from_be_bytes(bytes.try_into().ok()?)).ok()?,
            },
            timestamp: get(headers, TIMESTAMP).and_then(integer).unwrap_or(0),
            group: text(GROUP).unwrap_or_default(),
        };
        let named = (1..=TOPIC_BYTES_MAX).contains(&origin.topic.len());
        (named && origin.partition >= 0 && origin.offset >= 0).then_some(origin)
    }

    /// The headers that name this origin.
    pub fn headers(&self) -> Headers {
        let mut headers = vec![
            (TOPIC.into(), self.topic.clone().into_bytes()),
            (PARTITION.into(), self.partition.to_be_bytes().to_vec()),
            (OFFSET.into(), self.offset.to_be_bytes().to_vec()),
        ];
        if self.position != 0 {
            headers.push((POSITION.into(), self.position.to_be_bytes().to_vec()));
        }
        if self.timestamp != 0 {
            headers.push((TIMESTAMP.into(), self.timestamp.to_be_bytes().to_vec()));
            headers.push((TIMESTAMP_TYPE.into(), b"CreateTime".to_vec()));
        }
        headers.push((GROUP.into(), self.group.clone().into_bytes()));
        headers
    }

    /// The headers of the moved record: its own, as far as they fit, and what the move adds.
    pub fn moved(&self, record: &Record, how: &Move<'_>) -> Headers {
        let mut room = FOREIGN_BYTES_MAX;
        let fits = |header: &&(String, Vec<u8>)| {
            let bytes = header.0.len() + header.1.len();
            // A seal is of the record as it was.
            let own = OURS.contains(&header.0.as_str()) || header.0 == POSITION || header.0 == SEAL;
            let kept = !own && bytes <= room;
            room -= if kept { bytes } else { 0 };
            kept
        };
        let mut headers: Headers = record.headers.iter().filter(fits).cloned().collect();
        headers.extend(self.headers());
        headers.extend([
            (CLASS.into(), how.class.as_bytes().to_vec()),
            (MESSAGE.into(), how.error.as_bytes().to_vec()),
            (ATTEMPTS.into(), how.attempts.to_be_bytes().to_vec()),
            (FIRST.into(), shortest(self.timestamp)),
        ]);
        headers.extend(how.due.map(|due| (DUE.into(), shortest(due))));
        headers
    }
}

/// Landings that were tried, as the headers say: 0 for a record that was never moved.
pub fn attempts(headers: &Headers) -> i32 {
    let attempts = get(headers, ATTEMPTS).and_then(integer);
    attempts.map_or(0, |attempts| attempts.clamp(0, i64::from(i32::MAX)) as i32)
}

/// When the record is due, as the headers say.
pub fn due(headers: &Headers) -> Option<i64> {
    get(headers, DUE).and_then(integer)
}

/// The newest header of a name.
pub(super) fn get<'a>(headers: &'a Headers, name: &str) -> Option<&'a [u8]> {
    let found = headers.iter().rev().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_slice())
}

/// A big-endian number of up to eight bytes, as Java's `BigInteger.toByteArray` writes it.
fn integer(bytes: &[u8]) -> Option<i64> {
    let sign = *bytes.first().filter(|_| bytes.len() <= 8)?;
    let start = if sign & 0x80 == 0 { 0 } else { -1 };
    Some(
        bytes
            .iter()
            .fold(start, |n: i64, byte| (n << 8) | i64::from(*byte)),
    )
}

/// As few bytes as hold a number and its sign.
fn shortest(n: i64) -> Vec<u8> {
    let bytes = n.to_be_bytes();
    let spare = (0..7).take_while(|at| {
        let (this, next) = (bytes[*at], bytes[at + 1]);
        (this == 0 && next & 0x80 == 0) || (this == 0xff && next & 0x80 != 0)
    });
    bytes[spare.count()..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Origin {
        Origin {
            topic: "rushgate.orders".into(),
            partition: 3,
            offset: 1 << 33,
            position: 0,
            timestamp: 1_795_176_000_123,
            group: "rushgate-landing".into(),
        }
    }

    fn record(headers: Headers) -> Record {
        Record {
            offset: 0,
            key: Vec::new(),
            payload: Vec::new(),
            headers,
            timestamp: 0,
        }
    }

    #[test]
    fn the_first_origin_stays_and_the_last_error_replaces() {
        let how = |class, attempts, due| Move {
            class,
            error: "no",
            attempts,
            due,
        };
        let once = origin().moved(
            &record(vec![("trace".into(), b"t".to_vec())]),
            &how("failing", 1, Some(1_795_176_005_123)),
        );
        assert_eq!(Origin::read(&once), Some(origin()));
        assert_eq!((attempts(&once), due(&once)), (1, Some(1_795_176_005_123)));
        let again = Origin::read(&once).expect("an origin");
        let twice = again.moved(&record(once.clone()), &how("refused", 2, None));
        assert_eq!(Origin::read(&twice), Some(origin()));
        assert_eq!((attempts(&twice), due(&twice)), (2, None));
        assert_eq!(get(&twice, CLASS), Some(&b"refused"[..]));
        assert_eq!(get(&twice, "trace"), Some(&b"t"[..]));
        assert_eq!(twice.len(), once.len() - 1, "headers do not pile up");
    }

    #[test]
    fn an_order_of_many_keeps_its_position_and_an_only_one_says_nothing() {
        let how = Move {
            class: "failing",
            error: "",
            attempts: 1,
            due: None,
        };
        assert!(get(&origin().headers(), POSITION).is_none());
        let seventh = Origin {
            position: 7,
            ..origin()
        };
        let once = seventh.moved(&record(Vec::new()), &how);
        assert_eq!(Origin::read(&once), Some(seventh.clone()));
        let twice = seventh.moved(&record(once.clone()), &how);
        assert_eq!((Origin::read(&twice), twice.len()), (Some(seventh), once.len()));
        for odd in [vec![0, 0, 7], vec![0x80, 0, 0, 0]] {
            let mut headers = origin().headers();
            headers.push((POSITION.to_owned(), odd));
            assert_eq!(Origin::read(&headers), None);
        }
    }

    #[test]
    fn a_flood_of_foreign_headers_is_cut() {
        let flood = (0..100).map(|n| (format!("h{n}"), vec![0; 1000])).collect();
        let how = Move {
            class: "undecodable",
            error: "",
            attempts: 1,
            due: None,
        };
        let moved = origin().moved(&record(flood), &how);
        assert_eq!(moved.iter().filter(|(name, _)| name.starts_with('h')).count(), 8);
        assert_eq!(Origin::read(&moved), Some(origin()));
    }

    #[test]
    fn numbers_are_as_java_writes_them() {
        for (n, bytes) in [
            (0, vec![0]),
            (127, vec![127]),
            (128, vec![0, 128]),
            (-1, vec![255]),
            (-129, vec![255, 127]),
            (1_795_176_000_123, vec![1, 161, 248, 211, 234, 123]),
        ] {
            assert_eq!(integer(&shortest(n)), Some(n));
            assert_eq!(shortest(n), bytes, "{n}");
        }
        assert_eq!(integer(&i64::MIN.to_be_bytes()), Some(i64::MIN));
        assert_eq!(integer(&[]), None);
        assert_eq!(integer(&[0; 9]), None);
    }

    #[test]
    fn headers_of_another_making_are_no_origin() {
        assert_eq!(Origin::read(&Headers::new()), None);
        let odd = vec![(TOPIC.to_owned(), b"t".to_vec()), (PARTITION.to_owned(), vec![1])];
        assert_eq!(Origin::read(&odd), None);
        assert_eq!(attempts(&vec![(ATTEMPTS.to_owned(), vec![7])]), 7);
        for wrong in [
            Origin {
                topic: "t".repeat(191),
                ..origin()
            },
            Origin {
                topic: String::new(),
                ..origin()
            },
            Origin {
                partition: -1,
                ..origin()
            },
            Origin {
                offset: -1,
                ..origin()
            },
        ] {
            assert_eq!(Origin::read(&wrong.headers()), None, "{wrong:?}");
        }
    }
}
