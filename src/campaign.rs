//! Campaigns, revisions and the names in them; pure data with the checks every edge shares.

use serde::{Deserialize, Serialize};

/// Units of all SKUs of one campaign together.
pub const STOCK_MAX: u64 = 1_000_000_000;
pub const SKUS_MAX: usize = 1000;
/// Rules of one revision.
pub const RULES_MAX: usize = 8;
/// Bytes of a campaign or SKU id.
pub const ID_BYTES_MAX: usize = 64;
/// Longest campaign: calendar windows are tables of their boundaries.
pub const CAMPAIGN_DAYS_MAX: i64 = 800;
/// Entries a bucketed hash should hold at most (keys stay small: no multi-megabyte value).
pub const BUCKET_ENTRIES: u64 = 1000;
/// Redis keys outlive the end of the campaign by this.
pub const RETENTION_MS: i64 = 7 * 24 * 3600 * 1000;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sku {
    pub id: String,
    /// Units for sale.
    pub stock: u64,
}

/// One flash sale of a merchant. Its rules live in its revisions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Campaign {
    pub id: String,
    pub title: String,
    pub skus: Vec<Sku>,
    /// Random, made at creation: tells this campaign's Redis state from another deployment's.
    pub uid: String,
    /// Hash buckets of this campaign's keys, fixed at creation: see [`buckets_for`].
    pub buckets: u32,
    /// Redis shards, fixed at creation.
    pub shards: u32,
    pub created_at: i64,
}

/// Opening and closing time, milliseconds since 1970-01-01 UTC; `opens_at < closes_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    pub opens_at: i64,
    pub closes_at: i64,
}

/// Which revision decides, since which epoch. The epoch only grows, over all activations and
/// rebuilds of a campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activation {
    pub epoch: u64,
    pub revision: u32,
}

/// Number of hash buckets for a campaign with so much stock: only admitted orders write, so there
/// are never more entries than units.
pub fn buckets_for(skus: &[Sku]) -> u32 {
    let units = skus
        .iter()
        .fold(0, |units: u64, sku| units.saturating_add(sku.stock));
    (units / BUCKET_ENTRIES + 1).next_power_of_two().min(65_536) as u32
}

/// The bucket a value falls into.
pub fn bucket_of(value: &[u8], buckets: u32) -> u32 {
    crc32fast::hash(value) % buckets.max(1)
}

/// Why an id is refused; the text says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    #[error("is empty")]
    Empty,
    #[error("is {0} bytes long; at most {ID_BYTES_MAX} are allowed")]
    TooLong(usize),
    #[error(
        "contains {0:?}; use letters a-z A-Z, digits, '.', '_' and '-', and start with a letter or digit"
    )]
    Character(char),
}

/// Checks a campaign or SKU id: it becomes part of Redis keys, paths and SQL keys, so it is kept
/// to `[A-Za-z0-9][A-Za-z0-9._-]*`.
pub fn check_id(id: &str) -> Result<(), IdError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match id.chars().next() {
        None => return Err(IdError::Empty),
        Some(c) if !c.is_ascii_alphanumeric() => return Err(IdError::Character(c)),
        Some(_) => {}
    }
    if id.len() > ID_BYTES_MAX {
        return Err(IdError::TooLong(id.len()));
    }
    match id.chars().find(|c| !allowed(*c)) {
        Some(c) => Err(IdError::Character(c)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_keep_to_the_safe_alphabet() {
        assert_eq!(check_id("spring-sale_2026.v1"), Ok(()));
        assert_eq!(check_id(""), Err(IdError::Empty));
        assert_eq!(check_id("-x"), Err(IdError::Character('-')));
        for bad in ["a{b}", "a'b", "a\nb", "a\0b", "a b", "ü"] {
            assert!(matches!(check_id(bad), Err(IdError::Character(_))), "{bad:?}");
        }
        assert_eq!(check_id(&"a".repeat(10_240)), Err(IdError::TooLong(10_240)));
    }

    #[test]
    fn buckets_grow_with_the_stock() {
        let skus = |stock| {
            vec![Sku {
                id: "a".into(),
                stock,
            }]
        };
        assert_eq!(buckets_for(&skus(10)), 1);
        assert_eq!(buckets_for(&skus(50_000)), 64);
        assert_eq!(buckets_for(&skus(STOCK_MAX)), 65_536);
        assert_eq!(buckets_for(&[skus(u64::MAX), skus(u64::MAX)].concat()), 65_536);
    }
}
