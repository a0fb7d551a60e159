//! Landing: one transaction that writes several partitions' orders exactly once.
//!
//! The order of the statements is the order of the locks, the same for every lander: offset rows
//! ascending, new orders, usage ascending, stock ascending. Stock is last because all landers of a
//! sale meet in its row.
//!
//! A batch that is like most is written by `plain.rs`; what is here takes its time with all others.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use sqlx::{AnyConnection, AssertSqlSafe, Connection, Row};

use crate::order::OrderEvent;
use crate::record::fence::{self, ToWrite};
use crate::record::{At, LandingSlice, LetterId};
use crate::store::dialect::{Dialect, pieces, placeholders};
use crate::store::landing::guards::{Written, account};
use crate::store::landing::halve;
use crate::store::landing::insert::{Apart, compare_whole, ids_by_campaign, insert_orders};
use crate::store::landing::lane::{Lane, Tx};
use crate::store::landing::offsets::{Offsets, after, expected, lock_offsets, write_offsets};
use crate::store::letters::{moved, places};
use crate::store::rows::int;
use crate::store::{Failed, Landed, Store, StoreError, StoreResult, time};

/// A server that does not answer this long has let the connection hang.
pub(in crate::store) const LAND_LIMIT: Duration = Duration::from_secs(30);
const HOUR_MS: i64 = 3_600_000;

/// What becomes of a batch when one of its orders fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Nothing is written.
    Whole,
    /// The others land. Only the orders' own rows are tried one by one.
    Rows,
    /// The others land; whatever statement fails, and with `locks` also when a lock keeps it waiting.
    Groups { locks: bool },
}

impl Store {
    /// Lands slices of several partitions in one transaction: offset rows locked and compared,
    /// orders inserted once, usage added, stock last and conditionally.
    ///
    /// After any error the same call may be made again, also when the commit's answer was lost:
    /// what was written then counts as duplicates.
    pub async fn land(&self, topic: &str, slices: &[LandingSlice], now: i64) -> StoreResult<Landed> {
        self.note_late(slices, now).await?;
        if let Some(landed) = self.land_plainly(topic, slices, now).await? {
            return Ok(landed);
        }
        self.land_in(Mode::Whole, topic, slices, now).await
    }

    /// Like [`Self::land`], but orders that fail for themselves are left out, found by halving, and told; the
    /// others land. With `locks`, an order whose rows another transaction keeps locked fails for itself too.
    pub async fn land_apart(
        &self,
        topic: &str,
        slices: &[LandingSlice],
        now: i64,
        locks: bool,
    ) -> StoreResult<Landed> {
        self.note_late(slices, now).await?;
        if !locks {
            if let Some(landed) = self.land_plainly(topic, slices, now).await? {
                return Ok(landed);
            }
            match self.land_in(Mode::Rows, topic, slices, now).await {
                Err(error) if error.is_of_a_row() => {}
                answer => return answer,
            }
        }
        self.land_in(Mode::Groups { locks }, topic, slices, now).await
    }

    async fn land_in(
        &self,
        mode: Mode,
        topic: &str,
        slices: &[LandingSlice],
        now: i64,
    ) -> StoreResult<Landed> {
        if slices.is_empty() {
            return Ok(Landed::default());
        }
        let mut connection = self.pool.acquire().await?;
        let landing = transaction(&mut connection, self.dialect, mode, topic, slices, now);
        match tokio::time::timeout(LAND_LIMIT, landing).await {
            Ok(landed) => landed,
            Err(_) => {
                drop(connection.detach());
                Err(self.gave_no_answer())
            }
        }
    }

    /// Nobody knows whether the transaction was committed.
    pub(in crate::store) fn gave_no_answer(&self) -> StoreError {
        StoreError::Unanswered(format!("{} gave no answer within {LAND_LIMIT:?}", self.place))
    }
}

async fn transaction(
    connection: &mut AnyConnection,
    dialect: Dialect,
    mode: Mode,
    topic: &str,
    slices: &[LandingSlice],
    now: i64,
) -> StoreResult<Landed> {
    let hour_ago = time::to_text(now.saturating_sub(HOUR_MS))?;
    let now = time::to_text(now)?;
    let mut tx = connection.begin_with(dialect.begin()).await?;
    let stored = lock_offsets(&mut Lane::Any(&mut tx), dialect, topic, slices).await?;
    let mut work = fence::compare(slices, &expected(&stored));
    recover(&mut tx, dialect, topic, &mut work).await?;
    if work.advance.is_empty() {
        tx.rollback().await?;
        return Ok(landed_so_far(work));
    }
    let mut apart = Vec::new();
    let (failed, written) = if let Mode::Groups { locks } = mode {
        let written = halve::write(&mut tx, dialect, &work.orders, &now, locks, &mut apart).await?;
        compare_whole(&mut tx, &mut work, &mut apart).await?;
        (
            advance(&mut tx, dialect, topic, (slices, &stored), &mut work, apart, &now).await?,
            written,
        )
    } else {
        let each = (mode == Mode::Rows).then_some(&mut apart);
        let fresh = insert_orders(&mut tx, dialect, &work.orders, &now, each).await?;
        compare_whole(&mut tx, &mut work, &mut apart).await?;
        if let (Mode::Whole, Some((_, error))) = (mode, apart.first()) {
            return Err(error.clone());
        }
        let failed = advance(&mut tx, dialect, topic, (slices, &stored), &mut work, apart, &now).await?;
        let revoked = account(&mut tx, dialect, &fresh, &now).await?;
        let fresh = fresh.len() as u64;
        (failed, Written { fresh, revoked })
    };
    let forged_kept = moved::keep_forged(&mut tx, dialect, topic, &work.forged, (&now, &hour_ago)).await?;
    tx.commit().await.map_err(StoreError::of_commit)?;
    let tried = (work.orders.len() + work.contradicted.len() - failed.len()) as u64;
    let (forged, dead) = (work.forged.len() as u64, work.dead.len() as u64);
    let mut landed = landed_so_far(work);
    (landed.forged, landed.forged_kept) = (forged, forged_kept);
    landed.duplicates += tried - written.fresh;
    landed.dead = dead;
    landed.failed = failed;
    landed.revoked = written.revoked;
    landed.confirmed = written.fresh - written.revoked;
    Ok(landed)
}

/// Takes back into the work what lies below the offsets and is in no table: it was never landed, whatever they say.
async fn recover(tx: &mut Tx<'_>, dialect: Dialect, topic: &str, work: &mut ToWrite<'_>) -> StoreResult<()> {
    if !work.replayed.is_empty() {
        let replayed: Vec<&OrderEvent> = work.replayed.iter().map(|replayed| replayed.order).collect();
        let landed = existing(&mut *tx, &replayed).await?;
        let has_landed = |replayed: &fence::Replayed<'_>| landed.contains(&replayed.order.order.to_string());
        let others = work.replayed.iter().filter(|replayed| !has_landed(replayed));
        let moved = moved(&mut *tx, topic, others).await?;
        fence::recover(work, |replayed| {
            has_landed(replayed) || moved.contains(&place_of(replayed))
        });
    }
    let mut unknown = Vec::new();
    for passed in std::mem::take(&mut work.passed) {
        let own = LetterId {
            topic: topic.to_owned(),
            partition: passed.slice.partition,
            offset: passed.record.at.offset,
            position: passed.record.at.position,
        };
        if !moved::is_known(&mut *tx, dialect, &own, passed.record).await? {
            unknown.push(passed);
        }
    }
    fence::recover_passed(work, unknown);
    Ok(())
}

/// Moves the offsets, up to the first order that failed, and writes what becomes of moved records; says where those stand
/// that failed.
async fn advance(
    tx: &mut Tx<'_>,
    dialect: Dialect,
    topic: &str,
    (slices, stored): (&[LandingSlice], &BTreeMap<i32, Offsets>),
    work: &mut ToWrite<'_>,
    apart: Vec<Apart<'_>>,
    now: &str,
) -> StoreResult<Vec<Failed>> {
    let mut found = Vec::with_capacity(apart.len());
    let failing: HashSet<_> = apart.iter().map(|(order, _)| order.identity()).collect();
    for (order, error) in apart {
        let Some((partition, at)) = fence::place(slices, order) else {
            continue;
        };
        if let Some(next) = work.advance.get_mut(&partition) {
            *next = at.offset.min(*next);
        }
        found.push(Failed { partition, at, error });
    }
    moved::insert(tx, dialect, topic, &work.dead, now).await?;
    let returned = work.returned.iter();
    let returned = returned.filter(|returned| !failing.contains(&returned.order.identity()));
    moved::landed(tx, dialect, returned, now).await?;
    write_offsets(&mut Lane::Any(tx), dialect, topic, &after(stored, slices, work)).await?;
    Ok(found)
}

/// What the offsets alone say of a landing.
pub(in crate::store) fn landed_so_far(work: ToWrite<'_>) -> Landed {
    Landed {
        duplicates: work.duplicates,
        recovered: work.recovered,
        fenced: work.fenced,
        ..Landed::default()
    }
}

/// A record's partition, offset and order.
type OrderPlace = (i32, i64, String);

fn place_of(replayed: &fence::Replayed<'_>) -> OrderPlace {
    let id = replayed.order.order.to_string();
    (replayed.slice.partition, replayed.at.offset, id)
}

/// Which of these records were moved, to a retry topic or to the dead letters.
async fn moved<'a>(
    tx: &mut Tx<'_>,
    topic: &str,
    replayed: impl Iterator<Item = &'a fence::Replayed<'a>>,
) -> StoreResult<HashSet<OrderPlace>> {
    // By partition: where the row of a record may stand, and the record's offset.
    let mut rows: BTreeMap<i32, BTreeMap<i64, i64>> = BTreeMap::new();
    for record in replayed {
        let (partition, At { offset, position }) = (record.slice.partition, record.at);
        let place = LetterId {
            topic: topic.to_owned(),
            partition,
            offset,
            position,
        };
        let beside = places::beside(&place, Some(record.order), &[], 0);
        let rows = rows.entry(partition).or_default();
        rows.extend([(offset, offset), (beside.offset, offset)]);
    }
    let mut moved = HashSet::new();
    for (partition, rows) in rows {
        let places: Vec<i64> = rows.keys().copied().collect();
        for range in pieces(places.len()) {
            let marks = placeholders(1, range.len());
            let sql = format!(
                "SELECT `offset`, order_id FROM dead_letters \
                 WHERE topic = ? AND `partition` = ? AND order_id IS NOT NULL AND `offset` IN {marks}"
            );
            let query = sqlx::query(AssertSqlSafe(sql)).bind(topic).bind(partition);
            let query = places[range].iter().fold(query, |query, place| query.bind(place));
            for row in query.fetch_all(&mut **tx).await? {
                moved.insert((partition, rows[&int(&row, 0)?], row.try_get(1)?));
            }
        }
    }
    Ok(moved)
}

/// Ids of those orders that have a row.
pub(in crate::store) async fn existing(
    tx: &mut Tx<'_>,
    orders: &[&OrderEvent],
) -> StoreResult<HashSet<String>> {
    let mut known = HashSet::new();
    for (campaign, ids) in ids_by_campaign(orders) {
        for range in pieces(ids.len()) {
            let marks = placeholders(1, range.len());
            let sql = format!("SELECT order_id FROM orders WHERE campaign_id = ? AND order_id IN {marks}");
            let query = sqlx::query(AssertSqlSafe(sql)).bind(campaign);
            let query = ids[range].iter().fold(query, |query, id| query.bind(id.as_str()));
            for row in query.fetch_all(&mut **tx).await? {
                known.insert(row.try_get(0)?);
            }
        }
    }
    Ok(known)
}
