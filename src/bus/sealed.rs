//! The seal of a record: a header that says which key signed it, for which partition, and the tag.
//!
//! The tag covers the topic and the partition the record is meant for, its key, its payload, and every header that
//! says where a moved record was first, how often it was tried and when it is due ([`super::origin`]). Other headers
//! may be added on the way.

use super::origin::{OURS, POSITION, SEAL, get};
use super::{Forward, Headers, Outbound, Record};
use crate::record;
pub use crate::seal::Seal;
use crate::seal::{Keyring, Verification};

const VERSION: &str = "1";
/// What the tag is computed over begins with this: the keys are good for nothing else.
const PURPOSE: &[u8] = b"rushgate record 1";
const ANY_PARTITION: &str = "-";

/// What is sealed.
#[derive(Clone, Copy)]
struct Body<'a> {
    topic: &'a str,
    key: &'a [u8],
    payload: &'a [u8],
    headers: &'a Headers,
}

impl<'a> Body<'a> {
    fn parts(self, id: &'a str, partition: &'a str) -> impl Iterator<Item = Option<&'a [u8]>> {
        let fixed = [
            PURPOSE,
            id.as_bytes(),
            self.topic.as_bytes(),
            partition.as_bytes(),
            self.key,
            self.payload,
        ];
        let headers = OURS.iter().map(move |name| get(self.headers, name));
        // Where there is none, a seal is what it was before records had positions.
        let position = get(self.headers, POSITION).map(Some);
        fixed.into_iter().map(Some).chain(headers).chain(position)
    }

    fn seal(self, keys: &Keyring, partition: Option<i32>) -> (String, Vec<u8>) {
        let partition = partition.map_or(ANY_PARTITION.to_owned(), |partition| partition.to_string());
        let id = keys.first().id().as_str();
        let tag = keys.sign(self.parts(id, &partition));
        (
            SEAL.to_owned(),
            format!("{VERSION}:{id}:{partition}:{tag}").into_bytes(),
        )
    }
}

/// The seal of an order on its way to its topic.
pub(super) fn of_order(keys: &Keyring, topic: &str, order: &Outbound) -> (String, Vec<u8>) {
    let headers = &Headers::new();
    let body = Body {
        topic,
        key: order.key.as_bytes(),
        payload: &order.payload,
        headers,
    };
    body.seal(keys, order.partition)
}

/// Puts a seal of its own on a record that is moved; what it carried was another record's.
pub(super) fn put(keys: &Keyring, record: &mut Forward) {
    record.headers.retain(|(name, _)| name != SEAL);
    let body = Body {
        topic: &record.topic,
        key: &record.key,
        payload: &record.payload,
        headers: &record.headers,
    };
    let seal = body.seal(keys, record.partition);
    record.headers.push(seal);
}

/// What the seal says of a record that was read from here. Without `keys`, every key is an unknown one.
pub fn read(keys: Option<&Keyring>, topic: &str, partition: i32, record: &Record) -> Seal {
    let Some(value) = get(&record.headers, SEAL) else {
        return Seal::Missing;
    };
    let Some([VERSION, id, meant_for, tag]) = split(value) else {
        return Seal::Wrong("its seal is of no known form");
    };
    let body = Body {
        topic,
        key: &record.key,
        payload: &record.payload,
        headers: &record.headers,
    };
    let verification = keys.map_or(Verification::UnknownKey, |keys| {
        keys.verify(id, body.parts(id, meant_for), tag.as_bytes())
    });
    match verification {
        // Nothing of such a record says where it belongs but this.
        Verification::Genuine if meant_for == ANY_PARTITION && record::is_record(&record.payload) => {
            Seal::Wrong("its seal names no partition")
        }
        Verification::Genuine if meant_for == ANY_PARTITION || meant_for.parse() == Ok(partition) => {
            Seal::Genuine
        }
        Verification::Genuine => Seal::Wrong("its seal is for another partition"),
        Verification::Wrong => Seal::Wrong("its seal is not what its key makes of it"),
        Verification::UnknownKey => match id.parse::<crate::seal::KeyId>() {
            Ok(id) => Seal::UnknownKey(id.to_string()),
            Err(_) => Seal::Wrong("its seal names no key"),
        },
    }
}

fn split(value: &[u8]) -> Option<[&str; 4]> {
    let mut fields = std::str::from_utf8(value).ok()?.splitn(4, ':');
    Some([fields.next()?, fields.next()?, fields.next()?, fields.next()?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::origin::{ATTEMPTS, DUE, OFFSET, Origin, POSITION};
    use crate::seal::Key;

    fn keys(id: &str, fill: u8) -> Keyring {
        let key = Key::new(id.parse().expect("an id"), &[fill; 32]).expect("a key");
        Keyring::new(vec![key]).expect("a ring")
    }

    fn moved() -> Forward {
        let origin = Origin {
            topic: "o".into(),
            partition: 3,
            offset: 7,
            position: 2,
            timestamp: 5,
            group: "g".into(),
        };
        let mut headers = origin.headers();
        headers.extend([(ATTEMPTS.into(), vec![0, 0, 0, 1]), (DUE.into(), vec![9])]);
        let mut record = Forward {
            topic: "o.retry.5s".into(),
            partition: Some(3),
            key: b"spring/ada".to_vec(),
            payload: b"{}".to_vec(),
            headers,
        };
        put(&keys("k", 1), &mut record);
        record
    }

    fn read_at(topic: &str, partition: i32, record: &Forward) -> Seal {
        let record = Record {
            offset: 0,
            key: record.key.clone(),
            payload: record.payload.clone(),
            headers: record.headers.clone(),
            timestamp: 0,
        };
        read(Some(&keys("k", 1)), topic, partition, &record)
    }

    #[test]
    fn whatever_a_moved_record_says_is_sealed() {
        let good = moved();
        assert_eq!(read_at("o.retry.5s", 3, &good), Seal::Genuine);
        let change = |name: &str, value: Vec<u8>| {
            let mut bad = moved();
            bad.headers.push((name.to_owned(), value));
            bad
        };
        let mut other_payload = moved();
        other_payload.payload = b"{ }".to_vec();
        let mut other_key = moved();
        other_key.key = b"spring/eve".to_vec();
        let mut no_due = moved();
        no_due.headers.retain(|(name, _)| name != DUE);
        let mut no_position = moved();
        no_position.headers.retain(|(name, _)| name != POSITION);
        for bad in [
            change(DUE, (1_i64 << 62).to_be_bytes().to_vec()),
            change(ATTEMPTS, vec![0]),
            change(OFFSET, vec![0; 8]),
            other_payload,
            other_key,
            no_due,
            no_position,
            change(POSITION, 3_i32.to_be_bytes().to_vec()),
        ] {
            assert!(
                matches!(read_at("o.retry.5s", 3, &bad), Seal::Wrong(_)),
                "{bad:?}"
            );
        }
        assert!(matches!(read_at("o", 3, &good), Seal::Wrong(_)), "another topic");
        assert!(
            matches!(read_at("o.retry.5s", 4, &good), Seal::Wrong(_)),
            "another partition"
        );
        assert_eq!(read_at("o.retry.5s", 3, &change("trace", vec![1])), Seal::Genuine);
    }

    #[test]
    fn a_record_that_is_moved_again_carries_one_seal() {
        let mut twice = moved();
        twice.topic = "o.dlt".into();
        put(&keys("k", 1), &mut twice);
        let seals = twice.headers.iter().filter(|(name, _)| name == SEAL);
        assert_eq!(seals.count(), 1);
        assert_eq!(read_at("o.dlt", 3, &twice), Seal::Genuine);
    }

    fn order(partition: Option<i32>) -> Outbound {
        Outbound {
            partition,
            key: "k".to_owned(),
            payload: b"p".to_vec(),
        }
    }

    #[test]
    fn an_order_of_a_lane_is_sealed_for_its_partition_alone() {
        let (_, value) = of_order(&keys("k", 1), "o", &order(Some(7)));
        let at = |partition, value: &[u8]| {
            let record = Record {
                offset: 0,
                key: b"k".to_vec(),
                payload: b"p".to_vec(),
                headers: vec![(SEAL.to_owned(), value.to_vec())],
                timestamp: 0,
            };
            read(Some(&keys("k", 1)), "o", partition, &record)
        };
        assert_eq!(at(7, &value), Seal::Genuine);
        for partition in [0, 6, 8, 11] {
            assert_eq!(
                at(partition, &value),
                Seal::Wrong("its seal is for another partition")
            );
        }
        // Whoever copies it cannot say that it was meant for there, or for any.
        let text = String::from_utf8(value).expect("text");
        for claimed in ["8", "-", "07", "+7", ""] {
            let value = text.replacen(":7:", &format!(":{claimed}:"), 1);
            for partition in [7, 8] {
                assert_eq!(
                    at(partition, value.as_bytes()),
                    Seal::Wrong("its seal is not what its key makes of it"),
                    "{claimed}"
                );
            }
        }
    }

    #[test]
    fn an_order_without_a_partition_is_sealed_for_whichever_its_key_belongs_to() {
        let sealed = |value: &[u8]| Record {
            offset: 0,
            key: b"k".to_vec(),
            payload: b"p".to_vec(),
            headers: vec![(SEAL.to_owned(), value.to_vec())],
            timestamp: 0,
        };
        let (_, value) = of_order(&keys("k", 1), "o", &order(None));
        let record = sealed(&value);
        for partition in [0, 11] {
            assert_eq!(read(Some(&keys("k", 1)), "o", partition, &record), Seal::Genuine);
        }
        assert_eq!(
            read(Some(&keys("new", 1)), "o", 0, &record),
            Seal::UnknownKey("k".into())
        );
        assert_eq!(read(None, "o", 0, &record), Seal::UnknownKey("k".into()));
        assert!(matches!(
            read(Some(&keys("k", 2)), "o", 0, &record),
            Seal::Wrong(_)
        ));
        for odd in [
            &b"\xff"[..],
            b"",
            b"1:k:-",
            b"2:k:-:00",
            b"1::-:00",
            b"1:a b:-:00",
        ] {
            let odd = read(Some(&keys("k", 1)), "o", 0, &sealed(odd));
            assert!(matches!(odd, Seal::Wrong(_)), "{odd:?}");
        }
        let by_key = Outbound {
            key: "k".to_owned(),
            payload: vec![record::VERSION],
            partition: None,
        };
        let packed = Record {
            payload: by_key.payload.clone(),
            headers: vec![of_order(&keys("k", 1), "o", &by_key)],
            ..record.clone()
        };
        let read_packed = read(Some(&keys("k", 1)), "o", 0, &packed);
        assert_eq!(read_packed, Seal::Wrong("its seal names no partition"));
        let bare = Record {
            headers: Vec::new(),
            ..record
        };
        assert_eq!(read(Some(&keys("k", 1)), "o", 0, &bare), Seal::Missing);
    }
}
