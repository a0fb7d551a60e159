//! Who is behind a key, as the table of keys says.

use sqlx::AnyConnection;

use crate::access::Lineage;
use crate::store::StoreResult;
use crate::store::rows::{int, maybe_text, text};

/// A key that was made with one that was made with one…: no more than so many.
const KEYS_MAX: usize = 100;

/// Who is behind a key, and whether it was revoked.
pub(super) struct Behind {
    pub(super) lineage: Lineage,
    pub(super) is_revoked: bool,
}

/// `None` where the table does not say it to the end: then nobody can tell whether it is another person's.
pub(super) async fn behind(connection: &mut AnyConnection, key: &str) -> StoreResult<Option<Behind>> {
    let (mut people, mut is_revoked) = (Vec::new(), false);
    let mut next = Some(key.to_owned());
    while let Some(id) = next {
        if people.len() >= KEYS_MAX {
            return Ok(None);
        }
        let row = sqlx::query(
            "SELECT person, made_with, CASE WHEN revoked_at IS NULL THEN 0 ELSE 1 END FROM api_keys WHERE key_id = ?",
        )
        .bind(id.as_str())
        .fetch_optional(&mut *connection)
        .await?;
        let Some(row) = row else { return Ok(None) };
        if people.is_empty() {
            is_revoked = int(&row, 2)? == 1;
        }
        people.push(text(&row, 0)?);
        next = maybe_text(&row, 1)?;
    }
    let behind = Lineage::of(people).map(|lineage| Behind { lineage, is_revoked });
    Ok(behind)
}
