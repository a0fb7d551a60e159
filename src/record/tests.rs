//! Records byte by byte: kept ones, odd ones, and the same ones whoever publishes them.

use data_encoding::HEXLOWER;
use proptest::prelude::*;

use super::*;
use crate::order::OrderId;
use crate::seal::{Key, Keyring, Seal};

/// Hex of a record of two orders, as the first build that wrote records wrote it.
const KEPT: &str = include_str!("../../tests/fixtures/record-v2.hex");

fn ring(keys: &[(&str, u8)]) -> Keyring {
    let key = |(id, fill): &(&str, u8)| Key::new(id.parse().expect("an id"), &[*fill; 32]).expect("a key");
    Keyring::new(keys.iter().map(key).collect()).expect("a ring")
}

fn header() -> Header<'static> {
    Header {
        campaign: "spring",
        uid: "3c1f",
        shard: 3,
        epoch: 7,
        revision: 2,
        plan: "d17a",
        evaluator: 1,
        at: 1_795_176_000_123,
        entry: EntryId {
            ms: 1_795_176_000_123,
            seq: 4,
        },
        first: 1000,
    }
}

fn attempt(user: &str, attributes: &[(&str, &str)]) -> Attempt {
    let pairs = attributes.iter();
    Attempt {
        order: OrderId::keyed("spring", user, "k"),
        user: user.to_owned(),
        sku: "shoe".to_owned(),
        quantity: 2,
        attributes: pairs
            .map(|(name, text)| ((*name).into(), (*text).into()))
            .collect(),
    }
}

fn two() -> Vec<Vec<u8>> {
    let (scope, keys) = (header().scope(), ring(&[("k1", 1)]));
    let with = attempt("ada", &[("claim:tier", "gold"), ("client:device", "ä-1")]);
    vec![
        encode_payload(&with, 1_795_175_999_990, &scope, Some(&keys)),
        encode_payload(&attempt("bob", &[]), 1_795_175_999_991, &scope, None),
    ]
}

fn encoded(payloads: &[Vec<u8>]) -> Vec<u8> {
    encode(&header(), payloads.iter().map(Vec::as_slice)).expect("it fits")
}

#[test]
fn a_kept_record_is_still_read_and_still_written_so() {
    let bytes = encoded(&two());
    assert_eq!(
        HEXLOWER.encode(&bytes),
        KEPT.trim(),
        "what was written once is read for ever"
    );
    let record = decode(&bytes).expect("a record");
    assert_eq!(record.header, header());
    let read: Vec<Payload<'_>> = record
        .payloads
        .iter()
        .map(|payload| Payload::read(payload).expect("a payload"))
        .collect();
    assert_eq!(
        (read[0].asked_at, read[1].asked_at),
        (1_795_175_999_990, 1_795_175_999_991)
    );
    let (scope, keys) = (header().scope(), ring(&[("k1", 1)]));
    assert_eq!(read[0].seal(&scope, Some(&keys)), Seal::Genuine);
    assert_eq!(read[0].seal(&scope, None), Seal::UnknownKey("k1".into()));
    assert_eq!(read[1].seal(&scope, Some(&keys)), Seal::Missing);
    let ada = read[0].attempt().expect("an order");
    assert_eq!(
        ada,
        attempt("ada", &[("claim:tier", "gold"), ("client:device", "ä-1")])
    );
    let event = record.header.event(1, read[1].attempt().expect("an order"));
    assert_eq!((event.user.as_str(), event.placed_at), ("bob", header().at));
    let second = Ordinal {
        epoch: 7,
        number: 1001,
    };
    assert_eq!(event.ordinal, Some(second));
    assert_eq!(event.fingerprint, attempt("bob", &[]).fingerprint());
}

#[test]
fn an_order_alone_keeps_its_payload_and_its_place_among_the_orders() {
    let (payloads, bytes) = (two(), encoded(&two()));
    let alone = decode(&bytes).expect("a record").alone(1).expect("there");
    let record = decode(&alone).expect("a record");
    assert_eq!(record.payloads, [payloads[1].as_slice()]);
    let first = 1001;
    assert_eq!(record.header, Header { first, ..header() });
    assert_eq!(decode(&bytes).expect("a record").alone(2), None);
}

#[test]
fn what_is_no_record_says_why() {
    let good = encoded(&two());
    let why = |bytes: &[u8]| decode(bytes).expect_err("no record");
    for json in [&b""[..], b"{}", b" {\"v\":1}", b"\n", b"\xff"] {
        assert!(!is_record(json), "{json:?}");
        assert_eq!(why(json), RecordError::None);
    }
    assert!(is_record(&good));
    let mut newer = good.clone();
    newer[0] = 3;
    assert_eq!(why(&newer), RecordError::Version(3));
    assert!(
        is_record(&newer),
        "it is named as such, and not as malformed JSON"
    );
    assert!(matches!(why(&[2, 0xff]), RecordError::Header(_)));
    assert_eq!(why(&[good.as_slice(), b"x"].concat()), RecordError::Trailing(1));
    assert_eq!(why(&good[..good.len() - 1]), RecordError::Cut(1));
    let none = encode(&header(), [].into_iter());
    assert_eq!(none, Err(RecordError::Empty));
    let odd = Header {
        campaign: "a/b",
        ..header()
    };
    let odd = encode(&odd, [&b"x"[..]].into_iter()).expect_err("no id");
    assert!(odd.to_string().contains("campaign id contains '/'"), "{odd}");
}

#[test]
fn a_number_of_orders_that_lies_makes_no_room() {
    let mut bytes = vec![VERSION];
    bytes = postcard::to_extend(&header(), bytes).expect("plain");
    bytes = postcard::to_extend(&u64::MAX, bytes).expect("plain");
    assert_eq!(decode(&bytes), Err(RecordError::Cut(0)));
    let mut none = vec![VERSION];
    none = postcard::to_extend(&header(), none).expect("plain");
    none.push(0);
    assert_eq!(decode(&none), Err(RecordError::Empty));
}

#[test]
fn a_record_is_bounded_when_it_is_written_and_when_it_is_read() {
    let long = vec![0; RECORD_BYTES_MAX];
    let refused = encode(&header(), [long.as_slice()].into_iter()).expect_err("too long");
    assert!(matches!(refused, RecordError::Size(bytes) if bytes > RECORD_BYTES_MAX));
    assert_eq!(
        decode(&[&[VERSION][..], &long].concat()),
        Err(RecordError::Size(RECORD_BYTES_MAX + 1))
    );
    // The longest header leaves what HEADER_BYTES_MAX says.
    let text = "x".repeat(TEXT_BYTES_MAX);
    let id = "x".repeat(crate::campaign::ID_BYTES_MAX);
    let widest = Header {
        campaign: &id,
        uid: &text,
        shard: u32::MAX,
        epoch: u64::MAX,
        revision: u32::MAX,
        plan: &text,
        evaluator: u32::MAX,
        at: i64::MIN,
        entry: EntryId {
            ms: u64::MAX,
            seq: u64::MAX,
        },
        first: u64::MAX,
    };
    let payload = &long[..RECORD_BYTES_MAX - HEADER_BYTES_MAX];
    assert!(encode(&widest, [payload].into_iter()).is_ok());
}

#[test]
fn a_seal_is_good_for_one_order_under_what_it_was_asked_for() {
    let keys = ring(&[("k1", 1)]);
    let scope = header().scope();
    let bytes = encode_payload(&attempt("ada", &[]), 5, &scope, Some(&keys));
    let seal = |bytes: &[u8], scope: Scope<'_>, keys: &Keyring| {
        let payload = Payload::read(bytes).expect("a payload");
        payload.seal(&scope, Some(keys))
    };
    assert_eq!(seal(&bytes, scope, &keys), Seal::Genuine);
    for other in [
        Scope { uid: "3c20", ..scope },
        Scope { shard: 4, ..scope },
        Scope { epoch: 8, ..scope },
        Scope { revision: 3, ..scope },
    ] {
        assert!(matches!(seal(&bytes, other, &keys), Seal::Wrong(_)), "{other:?}");
    }
    assert!(matches!(seal(&bytes, scope, &ring(&[("k1", 2)])), Seal::Wrong(_)));
    let unknown = Seal::UnknownKey("k1".into());
    assert_eq!(seal(&bytes, scope, &ring(&[("k2", 1)])), unknown);
    // Each byte counts: the moment, the key, the tag, the order.
    for at in 0..bytes.len() {
        let mut altered = bytes.clone();
        altered[at] ^= 1;
        let genuine =
            Payload::read(&altered).is_ok_and(|payload| payload.seal(&scope, Some(&keys)) == Seal::Genuine);
        assert!(!genuine, "byte {at}");
    }
}

#[test]
fn attributes_that_cannot_be_read_say_which() {
    let body = |values: &[(&str, u8, &[u8])]| {
        let order = ([7_u8; 16], "ada", "shoe", 1_u32, values);
        let bytes = postcard::to_extend(&(5_i64, None::<u8>), Vec::new()).expect("plain");
        postcard::to_extend(&order, bytes).expect("plain")
    };
    let read = |bytes: &[u8]| Payload::read(bytes).expect("a front").attempt();
    let good = body(&[("client:device", 0, b"d")]);
    assert_eq!(read(&good).expect("an order").attributes["client:device"], "d");
    let newer = read(&body(&[("a", 0, b"x"), ("claim:groups", 2, b"\x01\x02")]));
    let kind = PayloadError::Kind {
        name: "claim:groups".into(),
        kind: 2,
    };
    assert_eq!(newer, Err(kind));
    let array = read(&body(&[("claim:groups", 1, b"\x1fa\x1fb")])).expect("an order");
    assert_eq!(array.attributes["claim:groups"], "\u{1f}a\u{1f}b");
    for odd in [(1, &b"a"[..]), (0, b"\x1fa\x1fb")] {
        let read = read(&body(&[("claim:groups", odd.0, odd.1)]));
        assert_eq!(read, Err(PayloadError::Array("claim:groups".into())));
    }
    assert_eq!(
        read(&body(&[("a", 0, b"\xff")])),
        Err(PayloadError::Text("a".into()))
    );
    let twice = read(&body(&[("a", 0, b"x"), ("a", 0, b"y")]));
    assert_eq!(twice, Err(PayloadError::Twice("a".into())));
    assert_eq!(read(&[&good[..], b"zz"].concat()), Err(PayloadError::Trailing(2)));
    assert!(matches!(read(&good[..20]), Err(PayloadError::Body(_))));
    assert!(matches!(Payload::read(b"\xff"), Err(PayloadError::Front(_))));
}

#[test]
fn ids_of_entries_read_back() {
    let id: EntryId = "1795176000123-4".parse().expect("an id");
    assert_eq!(id, header().entry);
    assert_eq!(id.to_string(), "1795176000123-4");
    for wrong in ["", "1", "-1", "1-", "1-2-3", "a-1"] {
        assert!(wrong.parse::<EntryId>().is_err(), "{wrong}");
    }
}

prop_compose! {
    fn attempts()(
        each in prop::collection::vec(
            ("[a-zä]{1,20}", "[a-z]{1,8}", 1..9_u32, prop::collection::btree_map("[a-z:]{1,9}", ".{0,12}", 0..4), any::<bool>()),
            1..40,
        )
    ) -> Vec<(Attempt, bool)> {
        let attempt = |(at, (user, sku, quantity, attributes, admitted)): (usize, (String, String, u32, _, bool))| {
            let order = OrderId::fresh(at as i64, [at as u8; 10]);
            (Attempt { order, user, sku, quantity, attributes }, admitted)
        };
        each.into_iter().enumerate().map(attempt).collect()
    }
}

/// What a stream keeps of an entry.
struct Kept {
    stored: EntryHead,
    payloads: Vec<Vec<u8>>,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The gateway that admitted has its arguments and the script's codes, a relay has the stream alone.
    #[test]
    fn whoever_publishes_an_entry_makes_the_same_bytes(
        attempts in attempts(), shard in 0..4_u32, epoch in 1..99_u64, first in any::<u32>(), at in 0..1_i64 << 41,
    ) {
        let stored = EntryHead {
            id: EntryId { ms: at as u64, seq: 1 },
            shard, epoch, revision: 2, evaluator: 1, at, first: first.into(),
        };
        let header = |stored: &EntryHead| Header {
            shard: stored.shard, epoch: stored.epoch, revision: stored.revision, evaluator: stored.evaluator,
            at: stored.at, entry: stored.id, first: stored.first, ..header()
        };
        let (keys, scope) = (ring(&[("new", 2), ("old", 1)]), header(&stored).scope());
        let args: Vec<(Vec<u8>, bool)> = attempts
            .iter()
            .map(|(attempt, admitted)| (encode_payload(attempt, at, &scope, Some(&keys)), *admitted))
            .collect();
        prop_assume!(args.iter().any(|(_, admitted)| *admitted));
        let kept = Kept {
            stored,
            payloads: args.iter().filter(|(_, admitted)| *admitted).map(|(payload, _)| payload.clone()).collect(),
        };
        let admitted: Vec<&[u8]> = args
            .iter()
            .filter(|(_, admitted)| *admitted)
            .map(|(payload, _)| payload.as_slice())
            .collect();
        let by_gateway = encode(&header(&stored), admitted.into_iter()).expect("it fits");
        let by_relay = encode(&header(&kept.stored), kept.payloads.iter().map(Vec::as_slice)).expect("it fits");
        prop_assert_eq!(&by_gateway, &by_relay);
        // And it holds what was asked for, each order under its seal.
        let record = decode(&by_relay).expect("a record");
        let expected = attempts.iter().filter(|(_, admitted)| *admitted).map(|(attempt, _)| attempt);
        for (payload, expected) in record.payloads.iter().zip(expected) {
            let payload = Payload::read(payload).expect("a payload");
            prop_assert_eq!(payload.seal(&scope, Some(&keys)), Seal::Genuine);
            prop_assert_eq!(&payload.attempt().expect("an order"), expected);
        }
        prop_assert_eq!(record.payloads.len(), kept.payloads.len());
    }

    #[test]
    fn whatever_the_bytes_reading_them_ends(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut bytes = bytes;
        for first in [None, Some(VERSION)] {
            if let (Some(version), Some(byte)) = (first, bytes.first_mut()) {
                *byte = version;
            }
            if let Ok(record) = decode(&bytes) {
                for payload in record.payloads {
                    drop(Payload::read(payload).map(|payload| payload.attempt()));
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn whatever_is_printable_travels(
        sku in "\\PC{1,40}",
        user in "\\PC{1,40}",
        quantity in 1..=u32::MAX,
        attributes in proptest::collection::btree_map("[a-z:2]{1,8}", "\\PC{0,12}", 0..3),
    ) {
        let asked = Attempt { order: OrderId::keyed("spring", &user, "k"), user, sku, quantity, attributes };
        let payload = encode_payload(&asked, 1, &header().scope(), None);
        let read = Payload::read(&payload).and_then(|payload| payload.attempt());
        prop_assert_eq!(read, Ok(asked.clone()));
        let bytes = encoded(&[payload]);
        let event = header().event(0, asked);
        let mut found = orders(&bytes).expect("a record");
        prop_assert_eq!(found.remove(0), Ok(event.clone()));
        let mut alone = orders(&event.encode()).expect("an event");
        prop_assert_eq!(alone.remove(0), Ok(event));
    }
}
