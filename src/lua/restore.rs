//! Arguments and replies of `restore`, step by step. `lua/README.md` is the ABI.

use std::collections::BTreeMap;

use super::calls::{family_args, state_args, text};
use super::codec::{CodecError, Fence, Reply};
use super::keys;
use crate::campaign::bucket_of;
use crate::order::{Charge, OrderId};
use crate::plan::CheckedPlan;

/// The steps of a restore.
pub enum Restore<'a> {
    Begin {
        uid: &'a str,
    },
    Drop {
        keys: Vec<String>,
    },
    Orders {
        records: Vec<(u32, OrderId, String)>,
    },
    Charges {
        charges: Vec<&'a Charge>,
        buckets: u32,
    },
    /// Makes these buckets of a family.
    Make {
        family: &'static str,
        buckets: std::ops::RangeInclusive<u32>,
        expires_at: i64,
    },
    Finish {
        fence: &'a Fence,
        /// Incarnation of the server that holds what was restored.
        run: &'a str,
        revision: u32,
        plan: &'a CheckedPlan,
        stock: &'a BTreeMap<String, i64>,
        /// Whether [`Restore::Make`] made the buckets of [`super::calls::LASTING_FAMILIES`].
        made: bool,
    },
}

pub fn restore_args(token: &str, step: Restore<'_>) -> Vec<Vec<u8>> {
    let name = match &step {
        Restore::Begin { .. } => "begin",
        Restore::Drop { .. } => "drop",
        Restore::Orders { .. } => "order",
        Restore::Charges { .. } => "charge",
        Restore::Make { .. } => "make",
        Restore::Finish { .. } => "finish",
    };
    let mut args = vec![text(name), text(token)];
    match step {
        Restore::Begin { uid } => args.push(text(uid)),
        Restore::Drop { keys } => args.extend(keys.into_iter().map(String::into_bytes)),
        Restore::Orders { records } => {
            args.extend(
                records
                    .into_iter()
                    .flat_map(|(bucket, order, record)| [text(bucket), text(order), record.into_bytes()]),
            );
        }
        Restore::Charges { charges, buckets } => {
            args.extend(
                charges
                    .into_iter()
                    .flat_map(|charge| charge_args(charge, buckets)),
            );
        }
        Restore::Make {
            family,
            buckets,
            expires_at,
        } => args.extend([
            text(expires_at),
            text(family),
            text(buckets.start()),
            text(buckets.end()),
        ]),
        Restore::Finish {
            fence,
            run,
            revision,
            plan,
            stock,
            made,
        } => {
            args.extend(state_args(fence, revision, plan.context().schedule));
            args.push(text(run));
            args.push(text(stock.len()));
            args.extend(stock.iter().flat_map(|(sku, left)| [text(sku), text(left)]));
            args.extend(family_args(if made { 0 } else { plan.context().buckets }));
        }
    }
    args
}

/// Kind, key, field, cost, moment.
pub(super) fn charge_args(charge: &Charge, buckets: u32) -> [Vec<u8>; 5] {
    let bucket = bucket_of(charge.subject.as_bytes(), buckets);
    let kind = if charge.rolling_ms == 0 {
        "counter"
    } else {
        "rolling"
    };
    let (key, field) = match charge.rolling_ms == 0 && charge.window != 0 {
        true => (
            keys::counter(&charge.counter, charge.window, bucket),
            charge.subject.clone(),
        ),
        false => (
            keys::counts(&charge.counter, bucket),
            keys::count_field(&charge.counter, &charge.subject),
        ),
    };
    [
        text(kind),
        text(key),
        text(field),
        text(charge.cost),
        text(charge.window),
    ]
}

/// Whether the step was done; `false` when another token is rebuilding.
pub fn restore_reply(reply: Reply) -> Result<bool, CodecError> {
    match reply {
        Reply::Array(parts) if parts.first() == Some(&Reply::Bulk(b"ok".to_vec())) => Ok(true),
        Reply::Array(parts) if parts.first() == Some(&Reply::Bulk(b"lost".to_vec())) => Ok(false),
        other => Err(CodecError {
            script: "restore",
            what: format!("{other:?}"),
        }),
    }
}
