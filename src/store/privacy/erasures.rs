//! Requests to erase a buyer: rows of `erasures`.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Transaction};

use super::buyer::BuyerName;
use super::mask::{Mask, keyed};
use crate::audit::{AskedBy, AuditLine};
use crate::order::pseudonym;
use crate::store::error::is_duplicate;
use crate::store::rows::{self, int, maybe_moment, maybe_text, moment, text, to_json};
use crate::store::{Store, StoreError, StoreResult, time};
use crate::wire::Moment;

/// What was on its way when the request came has been written by then: gateways write attempts for a minute at most, and landers
/// read once a minute which buyers were erased.
pub const SETTLES_MS: i64 = 120_000;
/// A request that is done is forgotten after so long: a year.
pub const FORGOTTEN_MS: i64 = 365 * 86_400_000;
/// The one row of `erasure_keys`.
const KEY_ID: i64 = 1;

/// As the audit trail names it.
pub const ERASE: &str = "buyer.erase";

/// A buyer is to be erased.
#[derive(Clone, Copy, Debug)]
pub struct NewErasure<'a> {
    pub buyer: BuyerName<'a>,
    /// The `Idempotency-Key`.
    pub key: &'a str,
    /// Off lists as well.
    pub lists: bool,
    pub by: AskedBy<'a>,
    pub note: Option<&'a str>,
}

impl<'a> NewErasure<'a> {
    /// Whom it is about stands in no line.
    fn line(&self, id: &str, (is_open, until): (bool, i64), now: i64) -> AuditLine<'a> {
        let detail = json!({"lists": self.lists, "open": is_open, "until": Moment(until)});
        let line = AuditLine::new(now, self.by, ERASE, id, detail).noted(self.note);
        match self.buyer.merchant {
            Some(merchant) => line.of_merchant(merchant),
            None => line,
        }
    }
}

/// A request as it stands. Moments in milliseconds since 1970-01-01 UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErasureRow {
    pub id: String,
    /// `None`: it is done.
    pub user: Option<String>,
    /// `None`: the buyer of all merchants.
    pub merchant: Option<String>,
    pub lists: bool,
    pub lists_at: Option<i64>,
    pub actor: String,
    pub note: Option<String>,
    /// Orders and attempts of this moment and before are erased: when it was asked for last.
    pub asked_at: i64,
    /// It is not done before.
    pub settled_at: i64,
    pub done_at: Option<i64>,
    /// How many of each kind were erased.
    pub erased: BTreeMap<String, u64>,
    pub(super) pseudonym: Option<String>,
    pub(super) secret: Vec<u8>,
}

impl ErasureRow {
    /// Whom it is about; `None`: it is done.
    pub fn buyer(&self) -> Option<BuyerName<'_>> {
        let merchant = self.merchant.as_deref();
        self.user.as_deref().map(|user| BuyerName { user, merchant })
    }

    pub(super) fn mask(&self) -> StoreResult<Mask<'_>> {
        let done = || StoreError::Permanent(format!("erasure {} is done", self.id));
        Ok(Mask {
            user: self.user.as_deref().ok_or_else(done)?,
            pseudonym: self.pseudonym.as_deref().ok_or_else(done)?,
            secret: &self.secret,
        })
    }
}

/// What there is of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BegunErasure {
    New(ErasureRow),
    /// The same was asked before.
    There(ErasureRow),
    /// Another request of this buyer is open, and covers all up to now.
    Open(ErasureRow),
    /// The key is another request's.
    OtherRequest,
}

impl BegunErasure {
    /// Of what is there under the key.
    fn before(row: ErasureRow, is_same: bool) -> Self {
        match is_same {
            true => Self::There(row),
            false => Self::OtherRequest,
        }
    }
}

const COLUMNS: &str = "erasure_id, CAST(user_id AS CHAR), lists, CAST(lists_at AS CHAR), actor, note, CAST(asked_at AS CHAR), \
     CAST(settled_at AS CHAR), CAST(done_at AS CHAR), erased, pseudonym, secret, merchant, asked, user_hash";

impl Store {
    /// Writes a request down, unless it is there, and a line in the audit trail, in one transaction.
    pub async fn begin_erasure(&self, new: NewErasure<'_>, now: i64) -> StoreResult<BegunErasure> {
        let secret = self.erasure_key().await?;
        let hash = hash(&secret, new.buyer);
        let key_hash = keyed(&secret, &[b"key", new.key.as_bytes()]);
        let asked = fingerprint(&new);
        if let Some(joined) = self.joined_before(&key_hash, &asked, &hash).await? {
            return Ok(joined);
        }
        let id = HEXLOWER.encode(&random()[..16]);
        let mut tx = self.begin().await?;
        let inserted = sqlx::query(
            "INSERT INTO erasures (erasure_id, user_id, merchant, user_hash, key_hash, asked, pseudonym, secret, lists, actor, \
             note, asked_at, settled_at, erased) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '{}')",
        )
        .bind(id.as_str())
        .bind(new.buyer.user)
        .bind(new.buyer.merchant())
        .bind(hash.as_str())
        .bind(key_hash.as_str())
        .bind(asked.as_str())
        .bind(new_pseudonym())
        .bind(new_secret())
        .bind(i64::from(new.lists))
        .bind(new.by.actor)
        .bind(new.note)
        .bind(time::to_text(now)?)
        .bind(time::to_text(now.saturating_add(SETTLES_MS))?)
        .execute(&mut *tx)
        .await;
        match inserted {
            Ok(_) => {
                self.append_audit(&mut tx, &[new.line(&id, (false, now), now)])
                    .await?;
                tx.commit().await?;
                let row = self.erasure_where("erasure_id = ?", &[&id]).await?;
                let (row, _, _) = row.ok_or_else(gone)?;
                Ok(BegunErasure::New(row))
            }
            Err(error) if is_duplicate(&error) => {
                tx.rollback().await?;
                self.begun(new, (&key_hash, &asked, &hash), now).await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What is there under the key, or of the buyer.
    async fn begun(
        &self,
        new: NewErasure<'_>,
        (key_hash, asked, hash): (&str, &str, &str),
        now: i64,
    ) -> StoreResult<BegunErasure> {
        if let Some((row, was_asked, of)) = self.erasure_where("key_hash = ?", &[key_hash]).await? {
            return Ok(BegunErasure::before(row, was_asked == asked && of == hash));
        }
        let open = self.erasure_open(new.buyer).await?;
        // It was done between the two statements: asked once more, there is none in the way.
        let (open, _, _) = open.ok_or_else(gone)?;
        if !self.join(&open, &new, (key_hash, asked), now).await? {
            // The same request came twice at once.
            let joined = self.joined_before(key_hash, asked, hash).await?;
            return joined.ok_or_else(gone);
        }
        let moved = self.erasure_where("erasure_id = ?", &[&open.id]).await?;
        let (row, _, _) = moved.ok_or_else(gone)?;
        Ok(BegunErasure::Open(row))
    }

    /// The request that one under this key has joined.
    async fn joined_before(
        &self,
        key_hash: &str,
        asked: &str,
        hash: &str,
    ) -> StoreResult<Option<BegunErasure>> {
        let join = sqlx::query("SELECT erasure_id, asked FROM erasure_joins WHERE key_hash = ?")
            .bind(key_hash)
            .fetch_optional(&self.pool)
            .await?;
        let Some(join) = join else { return Ok(None) };
        let covering = self.erasure_where("erasure_id = ?", &[&text(&join, 0)?]).await?;
        let was_asked = text(&join, 1)?;
        Ok(covering.map(|(row, _, of)| BegunErasure::before(row, was_asked == asked && of == hash)))
    }

    /// Notes the key of a request, has the open one cover it, and writes the audit trail. `false`, with nothing changed, where the key is noted already, or
    /// the open request was ended at this very moment.
    async fn join(
        &self,
        open: &ErasureRow,
        new: &NewErasure<'_>,
        (key_hash, asked): (&str, &str),
        now: i64,
    ) -> StoreResult<bool> {
        let mut tx = self.begin().await?;
        let inserted =
            sqlx::query("INSERT INTO erasure_joins (key_hash, erasure_id, asked) VALUES (?, ?, ?)")
                .bind(key_hash)
                .bind(open.id.as_str())
                .bind(asked)
                .execute(&mut *tx)
                .await;
        match inserted {
            Ok(_) => {}
            Err(error) if is_duplicate(&error) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        if !move_on(&mut tx, new, now).await? {
            return Ok(false);
        }
        let line = new.line(&open.id, (true, now.max(open.asked_at)), now);
        self.append_audit(&mut tx, &[line]).await?;
        tx.commit().await?;
        Ok(true)
    }
}

/// Has the open request of a buyer cover all up to now, lists as well where it is asked for; `false` where there is none. Whoever is
/// working it off ends nothing: it looks again.
async fn move_on(tx: &mut Transaction<'_, Any>, new: &NewErasure<'_>, now: i64) -> StoreResult<bool> {
    let lists = if new.lists {
        ", lists = 1, lists_at = NULL"
    } else {
        ""
    };
    let sql = format!(
        "UPDATE erasures SET asked_at = CASE WHEN asked_at < ? THEN ? ELSE asked_at END, \
         settled_at = CASE WHEN settled_at < ? THEN ? ELSE settled_at END{lists} WHERE user_id = ? AND merchant = ?"
    );
    let (asked_at, settled_at) = (
        time::to_text(now)?,
        time::to_text(now.saturating_add(SETTLES_MS))?,
    );
    let moved = sqlx::query(AssertSqlSafe(sql))
        .bind(asked_at.as_str())
        .bind(asked_at.as_str())
        .bind(settled_at.as_str())
        .bind(settled_at.as_str())
        .bind(new.buyer.user)
        .bind(new.buyer.merchant())
        .execute(&mut **tx)
        .await?;
    Ok(moved.rows_affected() > 0)
}

impl Store {
    /// The newest request to erase a buyer, whether it is done or not.
    pub async fn erasure(&self, buyer: impl Into<BuyerName<'_>>) -> StoreResult<Option<ErasureRow>> {
        let buyer = buyer.into();
        if let Some((open, _, _)) = self.erasure_open(buyer).await? {
            return Ok(Some(open));
        }
        let secret = self.erasure_key().await?;
        let done = self
            .erasure_where(
                "user_hash = ? ORDER BY asked_at DESC LIMIT 1",
                &[&hash(&secret, buyer)],
            )
            .await?;
        Ok(done.map(|(row, _, _)| row))
    }

    async fn erasure_open(&self, buyer: BuyerName<'_>) -> StoreResult<Option<(ErasureRow, String, String)>> {
        let of = [buyer.user, buyer.merchant()];
        self.erasure_where("user_id = ? AND merchant = ?", &of).await
    }

    async fn erasure_where(
        &self,
        condition: &str,
        values: &[&str],
    ) -> StoreResult<Option<(ErasureRow, String, String)>> {
        let sql = format!("SELECT {COLUMNS} FROM erasures WHERE {condition}");
        let query = sqlx::query(AssertSqlSafe(sql));
        let query = values.iter().fold(query, |query, value| query.bind(*value));
        let row = query.fetch_optional(&self.pool).await?;
        let whole = |row: &AnyRow| Ok((erasure(row)?, text(row, 13)?, text(row, 14)?));
        row.as_ref().map(whole).transpose()
    }

    /// Requests that are not done, those that were asked first before others, at most `limit`, from behind `after`.
    pub async fn open_erasures(&self, after: &str, limit: u32) -> StoreResult<Vec<ErasureRow>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM erasures WHERE user_id IS NOT NULL AND erasure_id > ? ORDER BY erasure_id LIMIT ?"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(erasure).collect()
    }

    /// Adds what was erased. One process at a time works requests off.
    pub async fn note_erased(&self, id: &str, more: &BTreeMap<&'static str, u64>) -> StoreResult<()> {
        if more.values().all(|more| *more == 0) {
            return Ok(());
        }
        let Some((row, _, _)) = self.erasure_where("erasure_id = ?", &[id]).await? else {
            return Ok(());
        };
        let mut erased = row.erased;
        for (kind, more) in more.iter().filter(|(_, more)| **more > 0) {
            *erased.entry((*kind).to_owned()).or_default() += more;
        }
        sqlx::query("UPDATE erasures SET erased = ? WHERE erasure_id = ?")
            .bind(to_json(&erased)?)
            .bind(id)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// The buyer is on no list any more. Not where it was asked for again since the request was read.
    pub async fn note_off_lists(&self, erasure: &ErasureRow, now: i64) -> StoreResult<()> {
        sqlx::query(
            "UPDATE erasures SET lists_at = ? WHERE erasure_id = ? AND user_id IS NOT NULL AND asked_at = ?",
        )
        .bind(time::to_text(now)?)
        .bind(erasure.id.as_str())
        .bind(time::to_text(erasure.asked_at)?)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Nothing is left: the request forgets whom it was about. Not where an order of the buyer is just about to land, or it was asked
    /// for again since the request was read.
    pub async fn end_erasure(&self, erasure: &ErasureRow, now: i64) -> StoreResult<()> {
        let now = time::to_text(now)?;
        sqlx::query(
            "UPDATE erasures SET user_id = NULL, pseudonym = NULL, secret = NULL, done_at = ? \
             WHERE erasure_id = ? AND settled_at <= ? AND asked_at = ? AND (lists = 0 OR lists_at IS NOT NULL)",
        )
        .bind(now.as_str())
        .bind(erasure.id.as_str())
        .bind(now.as_str())
        .bind(time::to_text(erasure.asked_at)?)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Forgets requests that were done before this moment.
    pub async fn forget_erasures(&self, before: i64) -> StoreResult<()> {
        sqlx::query("DELETE FROM erasures WHERE user_id IS NULL AND done_at < ?")
            .bind(time::to_text(before)?)
            .execute(&self.pool)
            .await?;
        sqlx::query("DELETE FROM erasure_joins WHERE erasure_id NOT IN (SELECT erasure_id FROM erasures)")
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// The key that buyers are hashed under, made where there is none.
    pub(super) async fn erasure_key(&self) -> StoreResult<Vec<u8>> {
        loop {
            let row = sqlx::query("SELECT secret FROM erasure_keys WHERE key_id = ?")
                .bind(KEY_ID)
                .fetch_optional(&self.pool)
                .await?;
            if let Some(row) = row {
                return unhex(&text(&row, 0)?);
            }
            let made = sqlx::query("INSERT INTO erasure_keys (key_id, secret) VALUES (?, ?)")
                .bind(KEY_ID)
                .bind(new_secret())
                .execute(&self.pool)
                .await;
            match made {
                Ok(_) => {}
                Err(error) if is_duplicate(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// What a request keeps of its buyer when it is done.
pub(super) fn hash(secret: &[u8], buyer: BuyerName<'_>) -> String {
    match buyer.merchant {
        Some(merchant) => keyed(secret, &[b"user", buyer.user.as_bytes(), merchant.as_bytes()]),
        None => keyed(secret, &[b"user", buyer.user.as_bytes()]),
    }
}

fn gone() -> StoreError {
    StoreError::Transient("the request was done or removed at this very moment".to_owned())
}

fn fingerprint(new: &NewErasure<'_>) -> String {
    let note = new.note.unwrap_or_default();
    let text = format!("{}\0{}\0{note}", new.lists, new.note.is_some());
    HEXLOWER.encode(&Sha256::digest(text))
}

/// 32 bytes that nobody can guess: ids of version 7 have 74 random bits each.
fn random() -> [u8; 32] {
    let mut hash = Sha256::new();
    for _ in 0..4 {
        hash.update(uuid::Uuid::now_v7().as_bytes());
    }
    hash.finalize().into()
}

pub(super) fn new_pseudonym() -> String {
    let [a, b, c, d, e, f, g, h, ..] = random();
    pseudonym([a, b, c, d, e, f, g, h])
}

/// The same in hexadecimal digits.
pub fn new_secret() -> String {
    HEXLOWER.encode(&random())
}

fn unhex(text: &str) -> StoreResult<Vec<u8>> {
    HEXLOWER
        .decode(text.as_bytes())
        .map_err(|error| StoreError::Permanent(format!("a stored key of erasures: {error}")))
}

fn erasure(row: &AnyRow) -> StoreResult<ErasureRow> {
    Ok(ErasureRow {
        id: text(row, 0)?,
        user: maybe_text(row, 1)?,
        lists: int(row, 2)? != 0,
        lists_at: maybe_moment(row, 3)?,
        actor: text(row, 4)?,
        note: maybe_text(row, 5)?,
        asked_at: moment(row, 6)?,
        settled_at: moment(row, 7)?,
        done_at: maybe_moment(row, 8)?,
        erased: rows::json(row, 9)?,
        pseudonym: maybe_text(row, 10)?,
        secret: maybe_text(row, 11)?.map_or(Ok(Vec::new()), |text| unhex(&text))?,
        merchant: Some(text(row, 12)?).filter(|merchant| !merchant.is_empty()),
    })
}
