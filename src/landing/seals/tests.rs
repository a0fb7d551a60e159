//! What becomes of records, and of orders of one, by their seals.

use std::sync::Arc;

use super::super::SealConfig;
use super::*;
use crate::record;

fn stored() -> KnownSeals {
    let key = |id: &str, retired_at| KeyRow {
        id: id.into(),
        check_value: String::new(),
        first_used_at: 1,
        retired_at,
    };
    KnownSeals {
        cut_over: Some(CutOver {
            decided_at: 1,
            from: [(("o".to_owned(), 2), 10)].into(),
        }),
        keys: vec![key("new", None), key("old", Some(5))],
        read_at: None,
    }
}

fn config(only: bool) -> Config {
    Config {
        topic: "o".into(),
        seal: SealConfig { keys: None, only },
        ..Config::default()
    }
}

#[test]
fn records_without_a_seal_are_taken_up_to_the_cut_over() {
    let missing = |config: &Config, stored: &KnownSeals, partition, offset| {
        authenticity(config, stored, partition, offset, Seal::Missing)
    };
    let forged = Authenticity::Forged("it carries no seal".into());
    assert_eq!(
        missing(&config(false), &KnownSeals::default(), 2, 99),
        Authenticity::Unsealed
    );
    assert_eq!(missing(&config(false), &stored(), 2, 9), Authenticity::Unsealed);
    assert_eq!(missing(&config(false), &stored(), 2, 10), forged);
    assert_eq!(
        missing(&config(false), &stored(), 3, 0),
        forged,
        "a partition of later"
    );
    assert_eq!(missing(&config(true), &KnownSeals::default(), 2, 0), forged);
}

#[test]
fn only_a_key_that_is_in_use_is_waited_for() {
    let of = |id: &str| authenticity(&config(false), &stored(), 2, 0, Seal::UnknownKey(id.into()));
    assert_eq!(of("new"), Authenticity::Waits("new".into()));
    assert!(matches!(of("old"), Authenticity::Forged(why) if why.contains("retired")));
    assert!(matches!(of("invented"), Authenticity::Forged(why) if why.contains("none of ours")));
}

#[test]
fn a_slice_ends_before_what_waits_and_forged_records_hold_nothing() {
    let record = |offset| Record {
        offset,
        key: b"k".to_vec(),
        payload: vec![0; FORGED_PAYLOAD_BYTES_MAX + 1],
        headers: Vec::new(),
        timestamp: -3,
    };
    let slice = Slice {
        partition: 2,
        from: 7,
        next: 12,
        records: (7..12).map(record).collect(),
    };
    let seals = vec![
        Seal::Genuine,
        Seal::Wrong("no"),
        Seal::Missing,
        Seal::UnknownKey("new".into()),
        Seal::Genuine,
    ];
    let seals = seals.into_iter().map(|record| Seals {
        record,
        polled: None,
        orders: Vec::new(),
    });
    let (sorted, waits) = sort(&config(false), &stored(), &slice, seals.collect());
    assert_eq!(waits, Some((10, "new".into())));
    let offsets: Vec<i64> = sorted.records.iter().map(Polled::offset).collect();
    assert_eq!(
        (offsets, sorted.next, sorted.unsealed),
        (vec![7, 9], 10, vec![9.into()])
    );
    let forged = &sorted.forged[0];
    assert_eq!(
        (forged.at, &forged.order, &forged.origin),
        (8.into(), &None, &None)
    );
    assert_eq!(
        (forged.payload.len(), forged.recorded_at),
        (FORGED_PAYLOAD_BYTES_MAX, None)
    );
}

fn keys(ids: &[&str]) -> Arc<Keyring> {
    let key = |id: &&str| crate::seal::Key::new(id.parse().expect("an id"), &[1; 32]).expect("a key");
    Arc::new(Keyring::new(ids.iter().map(key).collect()).expect("a ring"))
}

/// A record of orders by these users, each sealed by the first of its keys, or not at all.
fn packed(orders: &[(&str, Option<&str>)]) -> Record {
    admitted(orders, LONG_AFTER)
}

/// The same, admitted at this moment.
fn admitted(orders: &[(&str, Option<&str>)], at: i64) -> Record {
    let header = record::Header {
        campaign: "spring",
        uid: "u",
        shard: 0,
        epoch: 1,
        revision: 1,
        plan: "p",
        evaluator: 1,
        at,
        entry: Default::default(),
        first: 0,
    };
    let payload = |(user, key): &(&str, Option<&str>)| {
        let attempt = crate::order::Attempt {
            order: crate::order::OrderId::keyed("spring", user, "k"),
            user: (*user).to_owned(),
            sku: "shoe".to_owned(),
            quantity: 1,
            attributes: Default::default(),
        };
        let ring = key.map(|key| keys(&[key]));
        record::encode_payload(&attempt, 1, &header.scope(), ring.as_deref())
    };
    let payloads: Vec<Vec<u8>> = orders.iter().map(payload).collect();
    Record {
        offset: 7,
        key: header.key().into_bytes(),
        payload: record::encode(&header, payloads.iter().map(Vec::as_slice)).expect("it fits"),
        headers: Vec::new(),
        timestamp: 5,
    }
}

/// When its orders were admitted.
const LONG_AFTER: i64 = 1 << 40;

fn alone(record: Record) -> Slice {
    let offset = record.offset;
    Slice {
        partition: 2,
        from: 7,
        next: offset + 1,
        records: vec![record],
    }
}

fn sort_one(own: Seal, slice: &Slice, only: bool) -> (Sorted<'_>, Option<(i64, String)>) {
    let keys = keys(&["mine"]);
    let polled = Polled::read(&slice.records[0]);
    let seals = Seals {
        orders: of_orders(Some(&keys), &polled, &own),
        record: own,
        polled: Some(polled),
    };
    sort(&config(only), &stored(), slice, vec![seals])
}

#[test]
fn an_order_is_forged_for_itself_and_the_others_of_its_record_are_not() {
    let orders = [
        ("ann", Some("mine")),
        ("bob", Some("old")),
        ("eve", Some("invented")),
        ("dan", None),
    ];
    let slice = alone(packed(&orders));
    let (sorted, waits) = sort_one(Seal::Genuine, &slice, true);
    assert_eq!((waits, sorted.records.len()), (None, 1));
    let forged: Vec<(u32, &str)> = sorted
        .forged
        .iter()
        .map(|forged| (forged.at.position, forged.error.as_str()))
        .collect();
    assert_eq!(
        forged,
        [
            (1, "its seal names key old, which is retired"),
            (2, "its seal names key invented, which none of ours ever used"),
            (3, "it carries no seal"),
        ]
    );
    let alone = record::decode(&sorted.forged[1].payload).expect("a record");
    assert_eq!((alone.payloads.len(), alone.header.first), (1, 2));
    assert!(sorted.unsealed.is_empty());
}

#[test]
fn an_order_is_as_good_as_its_record_at_most() {
    let orders = [("ann", Some("mine")), ("dan", None)];
    let at = |position| At { offset: 7, position };
    let slice = alone(packed(&orders));
    let cut_over_lies_ahead = |own| sort_one(own, &slice, false).0;
    assert_eq!(cut_over_lies_ahead(Seal::Genuine).unsealed, [at(1)]);
    assert_eq!(cut_over_lies_ahead(Seal::Missing).unsealed, [at(0), at(1)]);
    let (sorted, _) = sort_one(Seal::Missing, &slice, true);
    assert_eq!((sorted.records.len(), sorted.forged.len()), (0, 1), "all of it");
}

#[test]
fn an_order_that_has_waited_since_before_the_end_is_none_of_the_forged_ones() {
    let orders = [("bob", Some("old")), ("eve", Some("invented")), ("dan", None)];
    let of = |at| {
        let slice = alone(Record {
            offset: 17,
            ..admitted(&orders, at)
        });
        let (sorted, _) = sort_one(Seal::Genuine, &slice, false);
        let positions = |all: Vec<At>| all.into_iter().map(|at| at.position).collect::<Vec<u32>>();
        let forged = sorted.forged.iter().map(|forged| forged.at).collect();
        (positions(sorted.unsealed), positions(forged))
    };
    assert_eq!(of(1), (vec![0, 2], vec![1]));
    assert_eq!(of(LONG_AFTER), (vec![], vec![0, 1, 2]));
    let slice = alone(admitted(&orders, 1));
    let everything = sort_one(Seal::Genuine, &slice, true).0;
    assert_eq!(everything.forged.len(), 3, "where seals alone count");
}

#[test]
fn one_key_that_is_in_use_elsewhere_keeps_the_whole_record_waiting() {
    let orders = [("eve", Some("invented")), ("ann", Some("new"))];
    let slice = alone(packed(&orders));
    let (sorted, waits) = sort_one(Seal::Genuine, &slice, true);
    assert_eq!(waits, Some((7, "new".to_owned())));
    assert_eq!(
        (sorted.next, sorted.forged.len(), sorted.records.len()),
        (7, 0, 0)
    );
}
