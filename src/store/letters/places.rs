//! Where the row of a moved record stands: at the place the record had in its log, or beside that place.
//!
//! A place names one record only as long as its log lives: a topic that is made anew begins at offset 0 again, and a
//! record without a seal may claim any place. So a place may be taken by the row of another record. The row that comes
//! later then stands beside it: in the same partition, at an offset that no log reaches and that follows from the place
//! and the record, so that the record is found there when it comes back.

use std::iter;

use sha2::{Digest, Sha256};
use sqlx::{Any, AssertSqlSafe, Row, Transaction};

use crate::order::{OrderEvent, is_pseudonym};
use crate::record::{DeadRecord, LetterId, first_order};
use crate::store::StoreResult;
use crate::store::dialect::Dialect;
use crate::store::rows::maybe_moment;

/// Offsets from here on, and below twice as many, stand for no place in a log. Tools that read them as floating-point
/// numbers, as those for JSON do, read them exactly.
pub(in crate::store) const BESIDE_FROM: i64 = 1 << 52;

/// The n-th place beside another one for an order, or for bytes that are none.
pub(in crate::store) fn beside(
    place: &LetterId,
    order: Option<&OrderEvent>,
    payload: &[u8],
    n: u64,
) -> LetterId {
    let mut hash = Sha256::new();
    let mut add = |part: &[u8]| {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    };
    add(place.offset.to_be_bytes().as_slice());
    add(n.to_be_bytes().as_slice());
    match order {
        // What makes two records one order, whatever else they say.
        Some(order) => {
            add(order.campaign.as_bytes());
            add(order.order.to_string().as_bytes());
            add(order.user.as_bytes());
            add(order.sku.as_bytes());
            add(order.quantity.to_be_bytes().as_slice());
            add(order.fingerprint.as_bytes());
        }
        None => add(payload),
    }
    let digest = hash.finalize();
    let number = digest[..8]
        .iter()
        .fold(0_i64, |number, byte| (number << 8) | i64::from(*byte));
    LetterId {
        offset: BESIDE_FROM | (number & (BESIDE_FROM - 1)),
        ..place.clone()
    }
}

fn beside_for(place: &LetterId, record: &DeadRecord, n: u64) -> LetterId {
    beside(place, record.order.as_ref(), &record.payload, n)
}

/// Why a record is looked for at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LookedFor {
    /// It was read there.
    Read,
    /// Its headers say that it was there.
    Headers,
}

/// What stands at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stands {
    Nothing,
    /// The record's row.
    It,
    Another,
}

/// What a row keeps of its record.
struct Kept {
    key: Vec<u8>,
    payload: Vec<u8>,
    order: Option<OrderEvent>,
    recorded_at: Option<i64>,
}

impl Kept {
    /// Whether it is the row of this record.
    fn is_of(&self, record: &DeadRecord, claim: LookedFor) -> bool {
        let orders = self.order.as_ref().zip(record.order.as_ref());
        let moments = self.recorded_at.zip(record.recorded_at);
        let at_another_moment = moments.is_some_and(|(kept, new)| kept != new);
        if let Some((kept, new)) = orders
            && is_pseudonym(&kept.user)
        {
            // Its buyer was erased: the row no longer says who that was.
            return kept.identity() == new.identity();
        }
        if self.payload == record.payload {
            // An order is one however often it is recorded; the same nonsense may be written twice.
            return orders.is_some() || !at_another_moment;
        }
        if claim == LookedFor::Headers || moments.is_none() {
            return orders.is_some_and(|(kept, new)| kept.is_same(new));
        }
        // The log is read again, and what is kept was repaired since.
        let repaired = match orders {
            Some((kept, new)) => kept.identity() == new.identity(),
            None => self.order.is_some(),
        };
        repaired && !at_another_moment && self.key == record.key
    }
}

/// Where the row of a record stands, or is to stand, and whether it stands there; `own` is where it was read.
pub(in crate::store) async fn find(
    tx: &mut Transaction<'_, Any>,
    dialect: Dialect,
    own: &LetterId,
    record: &DeadRecord,
) -> StoreResult<(LetterId, bool)> {
    if let Some(origin) = &record.origin
        && let Some(found) = find_claimed(tx, dialect, origin, record).await?
    {
        return Ok(found);
    }
    // Where it says that it comes from where another one stood, it is kept where it was read.
    let places = iter::once(own.clone()).chain((0..).map(|n| beside_for(own, record, n)));
    for place in places {
        match look(tx, dialect, &place, record, LookedFor::Read).await? {
            Stands::Nothing => return Ok((place, false)),
            Stands::It => return Ok((place, true)),
            Stands::Another => {}
        }
    }
    unreachable!("there is always a next place")
}

/// The same for a record whose headers name its origin; `None` where they cannot be right.
async fn find_claimed(
    tx: &mut Transaction<'_, Any>,
    dialect: Dialect,
    origin: &LetterId,
    record: &DeadRecord,
) -> StoreResult<Option<(LetterId, bool)>> {
    // Only a record that was read there has a row beside its place: the row at the place is another's.
    for place in (0..).map(|n| beside_for(origin, record, n)) {
        match look(tx, dialect, &place, record, LookedFor::Headers).await? {
            Stands::Nothing => break,
            Stands::It => return Ok(Some((place, true))),
            Stands::Another => {}
        }
    }
    Ok(
        match look(tx, dialect, origin, record, LookedFor::Headers).await? {
            Stands::It => Some((origin.clone(), true)),
            // A row beside a place was made when its record was read; nobody else says that one is there.
            Stands::Nothing if origin.offset < BESIDE_FROM => Some((origin.clone(), false)),
            Stands::Nothing | Stands::Another => None,
        },
    )
}

async fn look(
    tx: &mut Transaction<'_, Any>,
    dialect: Dialect,
    place: &LetterId,
    record: &DeadRecord,
    claim: LookedFor,
) -> StoreResult<Stands> {
    let kept = read(tx, dialect, place).await?;
    Ok(match kept {
        None => Stands::Nothing,
        Some(kept) if kept.is_of(record, claim) => Stands::It,
        Some(_) => Stands::Another,
    })
}

/// Places of those rows that keep the same order whole, which says that it comes from this origin.
pub(in crate::store) async fn of_order(
    tx: &mut Transaction<'_, Any>,
    dialect: Dialect,
    origin: &LetterId,
    order: &OrderEvent,
) -> StoreResult<Vec<LetterId>> {
    let is_same = |kept: &Kept| kept.order.as_ref().is_some_and(|kept| kept.is_same(order));
    let mut found = Vec::new();
    if read(tx, dialect, origin).await?.as_ref().is_some_and(is_same) {
        found.push(origin.clone());
    }
    for place in (0..).map(|n| beside(origin, Some(order), &[], n)) {
        match read(tx, dialect, &place).await? {
            None => break,
            Some(kept) if is_same(&kept) => found.push(place),
            Some(_) => {}
        }
    }
    Ok(found)
}

/// Locks and reads the row of a place.
async fn read(
    tx: &mut Transaction<'_, Any>,
    dialect: Dialect,
    place: &LetterId,
) -> StoreResult<Option<Kept>> {
    let sql = format!(
        "SELECT record_key, payload, CAST(recorded_at AS CHAR) FROM dead_letters \
         WHERE topic = ? AND `partition` = ? AND `offset` = ? AND position = ?{}",
        dialect.for_update()
    );
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(place.topic.as_str())
        .bind(i64::from(place.partition))
        .bind(place.offset)
        .bind(i64::from(place.position))
        .fetch_optional(&mut **tx)
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let payload: Vec<u8> = row.try_get(1)?;
    Ok(Some(Kept {
        key: row.try_get(0)?,
        order: first_order(&payload),
        payload,
        recorded_at: maybe_moment(&row, 2)?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(offset: i64) -> LetterId {
        LetterId {
            topic: "rushgate.orders".into(),
            partition: 3,
            offset,
            position: 0,
        }
    }

    #[test]
    fn places_beside_differ_by_place_record_and_number_and_stay_the_same() {
        let all = [
            beside(&place(7), None, b"{", 0),
            beside(&place(8), None, b"{", 0),
            beside(&place(7), None, b"[", 0),
            beside(&place(7), None, b"{", 1),
        ];
        for (at, each) in all.iter().enumerate() {
            assert!((BESIDE_FROM..2 * BESIDE_FROM).contains(&each.offset), "{each}");
            assert_eq!((each.topic.as_str(), each.partition), ("rushgate.orders", 3));
            assert!(!all[..at].contains(each), "{each}");
        }
        assert_eq!(beside(&place(7), None, b"{", 0), all[0]);
    }

    fn kept(recorded_at: Option<i64>, payload: &[u8]) -> Kept {
        Kept {
            key: b"k".to_vec(),
            payload: payload.to_vec(),
            order: OrderEvent::decode(payload).ok(),
            recorded_at,
        }
    }

    #[test]
    fn nonsense_is_one_record_by_its_bytes_and_its_moment() {
        let record = |recorded_at| DeadRecord {
            key: b"k".to_vec(),
            payload: b"{".to_vec(),
            recorded_at,
            ..DeadRecord::default()
        };
        for (moment, row, same) in [
            (Some(5), kept(Some(5), b"{"), true),
            (Some(5), kept(None, b"{"), true),
            (None, kept(Some(5), b"{"), true),
            (Some(5), kept(Some(6), b"{"), false),
            (Some(5), kept(Some(5), b"["), false),
            (None, kept(None, b"["), false),
        ] {
            let record = record(moment);
            for claim in [LookedFor::Read, LookedFor::Headers] {
                assert_eq!(row.is_of(&record, claim), same, "{moment:?} {:?}", row.payload);
            }
        }
    }
}
