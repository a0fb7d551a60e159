//! What becomes of a batch's records.

use super::*;
use crate::bus::Record;
use crate::order::fixture::event;

fn record(offset: i64, payload: Vec<u8>) -> Record {
    Record {
        offset,
        key: b"k".to_vec(),
        payload,
        headers: Vec::new(),
        timestamp: 0,
    }
}

fn records() -> Vec<Record> {
    let mut newer = event(2);
    newer.v = 999;
    let mut zero = event(3);
    zero.quantity = 0;
    vec![
        record(10, event(1).encode()),
        record(11, b"{".to_vec()),
        record(12, newer.encode()),
        record(13, zero.encode()),
        record(14, event(4).encode()),
    ]
}

fn batch(records: &[Record]) -> Batch<'_> {
    Batch::decode(vec![Sorted {
        partition: 2,
        from: 10,
        next: 15,
        records: records.iter().map(Polled::read).collect(),
        unsealed: vec![14.into()],
        forged: Vec::new(),
    }])
}

fn failed(offset: i64, error: StoreError) -> Landed {
    let partition = 2;
    Landed {
        failed: vec![Failed {
            partition,
            at: offset.into(),
            error,
        }],
        ..Landed::default()
    }
}

#[test]
fn records_that_are_no_orders_are_kept_apart_by_class() {
    let records = records();
    let batch = batch(&records);
    assert_eq!(
        batch.slices[0].orders,
        [(10.into(), event(1)), (14.into(), event(4))]
    );
    assert_eq!(batch.slices[0].stop, Some(11));
    let classes: Vec<(i64, &str)> = batch.parts[0]
        .poison
        .iter()
        .map(|(at, poison)| (at.offset, poison.class.as_str()))
        .collect();
    assert_eq!(
        classes,
        [(11, "undecodable"), (12, "unknown-version"), (13, "invalid")]
    );
    assert!(batch.parts[0].poison[&13.into()].error.contains("quantity 0"));
    assert_eq!(batch.size(), (5, 3));
}

#[test]
fn orders_that_fail_get_another_chance_and_the_others_have_landed() {
    let records = records();
    let mut batch = batch(&records);
    batch.take_in(&failed(10, StoreError::Permanent("no".into())));
    assert_eq!(batch.size(), (5, 4));
    assert_eq!((batch.slices[0].from, batch.slices[0].orders.len()), (10, 0));
    batch.again();
    assert_eq!(batch.slices[0].orders, [(10.into(), event(1))]);
    assert_eq!((batch.slices[0].stop, batch.size()), (Some(11), (5, 3)));
    batch.take_in(&Landed::default());
    assert_eq!((batch.slices[0].from, batch.has_work()), (11, false));
}

#[test]
fn buried_records_are_passed() {
    let records = records();
    let mut batch = batch(&records);
    batch.take_in(&failed(14, StoreError::Locked("held".into())));
    let poison: Vec<(i64, Class)> = batch
        .poison()
        .map(|each| (each.record.offset(), each.poison.class))
        .collect();
    assert_eq!(poison[3], (14, Class::Locked));
    let dead = |offset: i64| DeadRecord {
        at: offset.into(),
        ..DeadRecord::default()
    };
    batch.bury([(2, vec![dead(11), dead(14)]), (3, vec![dead(0)])].into());
    let slice = &batch.slices[0];
    assert_eq!((slice.from, slice.next, slice.stop), (11, 15, None));
    assert_eq!((slice.dead.len(), batch.has_work()), (2, true));
}

#[test]
fn a_lost_partition_is_forgotten() {
    let records = records();
    let mut batch = batch(&records);
    batch.forget(&[7].into());
    assert_eq!(batch.ends(), [(2, 15)]);
    batch.take_in(&Landed {
        fenced: [(2, 40)].into(),
        ..Landed::default()
    });
    assert_eq!(
        (batch.ends(), batch.size(), batch.has_work()),
        (vec![], (0, 0), false)
    );
}

#[test]
fn errors_have_their_class() {
    for (error, class) in [
        (StoreError::Refused(String::new()), Class::Refused),
        (StoreError::Conflict(String::new()), Class::Refused),
        (StoreError::Contradiction(String::new()), Class::Conflict),
        (StoreError::Permanent(String::new()), Class::Failing),
        (StoreError::Locked(String::new()), Class::Locked),
    ] {
        assert_eq!(Class::of(&error), class);
    }
}

#[test]
fn what_is_implausible_is_poison_and_what_is_unknown_is_waited_for() {
    let records = records();
    let mut batch = batch(&records);
    let waits = batch.weigh(|event, sealed, _| match (event.user.as_str(), sealed) {
        ("u1", true) => Weight::Implausible("no".into()),
        ("u4", false) => Weight::Unknown("it".into()),
        other => panic!("{other:?}"),
    });
    assert_eq!(waits, [(2, 14, "it".into())]);
    assert_eq!(batch.parts[0].poison[&10.into()].class, Class::Implausible);
    let slice = &batch.slices[0];
    assert_eq!((slice.orders.len(), slice.stop, slice.next), (0, Some(10), 14));
    assert_eq!((batch.size(), batch.ends()), ((4, 4), vec![(2, 14)]));
}

#[test]
fn a_partition_whose_first_record_waits_has_nothing_to_write() {
    let record = record(5, event(1).encode());
    let mut batch = Batch::decode(vec![Sorted {
        partition: 0,
        from: 5,
        next: 6,
        records: vec![Polled::read(&record)],
        unsealed: Vec::new(),
        forged: Vec::new(),
    }]);
    let waits = batch.weigh(|_, _, _| Weight::Unknown("it".into()));
    assert_eq!(waits, [(0, 5, "it".into())]);
    assert_eq!((batch.has_work(), batch.size()), (false, (0, 0)));
}
