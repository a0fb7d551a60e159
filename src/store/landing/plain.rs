//! Landing a batch that is like most: its partitions are where the database expects them, nothing of it was moved,
//! and everything fits.
//!
//! That is taken for granted: one INSERT per table, no savepoint, no look at what is there. Whatever turns out to be
//! otherwise is met before the commit (a duplicate in the table's key, a full limit in its CHECK, too few units in
//! the UPDATE's condition); then all of it is rolled back, and `careful.rs` does the batch with care.

use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};
use sqlx::{Connection, Database, MySqlPool, Pool, SqlSafeStr};

use crate::failpoint::{self, Point};
use crate::record::{LandingSlice, fence};
use crate::store::dialect::Dialect;
use crate::store::landing::careful::{LAND_LIMIT, landed_so_far};
use crate::store::landing::lane::{Lane, Value};
use crate::store::landing::offsets::{after, expected, lock_offsets, write_offsets};
use crate::store::landing::{insert, stock, usage};
use crate::store::{ACQUIRE_LIMIT, Landed, Store, StoreError, StoreResult};

/// A connection that was used this recently is taken to be there still.
const FRESH: Duration = Duration::from_secs(5);

/// Connections of landing's own: landers alone open any, each one per consumer.
pub(in crate::store) fn pool(url: &str, connections: u32) -> StoreResult<MySqlPool> {
    let options: MySqlConnectOptions = url
        .parse()
        .map_err(|error: sqlx::Error| StoreError::Permanent(format!("database URL: {error}")))?;
    let pool = MySqlPoolOptions::new()
        .max_connections(connections.max(1))
        .acquire_timeout(ACQUIRE_LIMIT)
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for > FRESH {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .after_connect(|connection, _| {
            Box::pin(async move {
                for statement in Dialect::MySql.session() {
                    sqlx::raw_sql(*statement).execute(&mut *connection).await?;
                }
                Ok(())
            })
        });
    Ok(pool.connect_lazy_with(options))
}

/// What is landed.
#[derive(Clone, Copy)]
struct Asked<'a> {
    topic: &'a str,
    slices: &'a [LandingSlice],
    now: i64,
}

impl Store {
    /// Lands the slices if they are like most; `None` leaves nothing behind: they want care. An error is one that may
    /// pass: the same call may be made again.
    pub(in crate::store) async fn land_plainly(
        &self,
        topic: &str,
        slices: &[LandingSlice],
        now: i64,
    ) -> StoreResult<Option<Landed>> {
        if slices.is_empty() || !slices.iter().all(is_plain) {
            return Ok(None);
        }
        let asked = Asked { topic, slices, now };
        let landed = match &self.own {
            Some(pool) => {
                self.within(pool, asked, |connection| Lane::MySql(connection))
                    .await
            }
            None => {
                self.within(&self.pool, asked, |connection| Lane::Any(connection))
                    .await
            }
        };
        match landed {
            Err(error) if error.is_of_a_row() => Ok(None),
            landed => landed,
        }
    }

    /// One transaction over a connection of the pool.
    async fn within<D: Database>(
        &self,
        pool: &Pool<D>,
        asked: Asked<'_>,
        lane: for<'c> fn(&'c mut D::Connection) -> Lane<'c>,
    ) -> StoreResult<Option<Landed>> {
        let mut connection = pool.acquire().await?;
        let begin = self.dialect.begin().into_sql_str();
        let landing = async {
            let mut tx = connection.begin_with(begin).await?;
            let landed = write(&mut lane(&mut tx), self.dialect, asked).await?;
            match landed {
                Some(_) => tx.commit().await.map_err(StoreError::of_commit)?,
                None => tx.rollback().await?,
            }
            Ok(landed)
        };
        match tokio::time::timeout(LAND_LIMIT, landing).await {
            Ok(landed) => landed,
            Err(_) => {
                drop(connection.detach());
                Err(self.gave_no_answer())
            }
        }
    }
}

fn is_plain(slice: &LandingSlice) -> bool {
    slice.returned.is_empty() && slice.dead.is_empty() && slice.forged.is_empty()
}

async fn write(lane: &mut Lane<'_>, dialect: Dialect, asked: Asked<'_>) -> StoreResult<Option<Landed>> {
    let Asked { topic, slices, now } = asked;
    let stored = lock_offsets(lane, dialect, topic, slices).await?;
    let work = fence::compare(slices, &expected(&stored));
    if !work.replayed.is_empty() || !work.contradicted.is_empty() || work.advance.is_empty() {
        return Ok(None);
    }
    let orders = &work.orders;
    let inserted = insert::insert_all(lane, dialect, orders, Value::moment(now)?).await?;
    let Some(pay_by) = inserted else {
        return Ok(None);
    };
    failpoint::hit(Point::C2);
    let fits =
        usage::charge_all(lane, dialect, orders).await? && stock::sell_all(lane, dialect, orders).await?;
    if !fits {
        return Ok(None);
    }
    write_offsets(lane, dialect, topic, &after(&stored, slices, &work)).await?;
    let confirmed = work.orders.len() as u64;
    Ok(Some(Landed {
        confirmed,
        pay_by: Some(pay_by),
        ..landed_so_far(work)
    }))
}
