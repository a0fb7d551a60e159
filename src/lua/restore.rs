//! Arguments and replies of `restore`, step by step. `lua/README.md` is the ABI.

use std::collections::BTreeMap;

use super::Args;
use super::activate::{family_args, state_args};
use super::args::text;
use super::fence::Fence;
use super::pause::pause_text;
use super::places::charge_args;
use super::reply::{CodecError, Reply};
use crate::campaign::Pause;
use crate::order::{Charge, OrderId};
use crate::plan::{CheckedPlan, Window};

/// The steps of a restore.
pub enum Restore<'a> {
    Begin {
        uid: &'a str,
        /// When the campaign's keys go: should nobody finish, those that were restored go too.
        expires_at: i64,
    },
    Drop {
        keys: Vec<String>,
    },
    Orders {
        /// Bucket of the user, order, record.
        records: Vec<(u32, OrderId, String)>,
    },
    Charges {
        /// Each with the user of its order; without one, the plan alone says where it is counted.
        charges: Vec<(Option<&'a str>, &'a Charge)>,
        /// Knows when the windows end.
        plan: &'a CheckedPlan,
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
        /// As the database has it.
        pause: Pause,
        revision: u32,
        plan: &'a CheckedPlan,
        stock: &'a BTreeMap<String, i64>,
        /// Number of the last change of the stock that `stock` includes, and how many units it took off; 0 where there is none.
        change: (u64, u64),
        /// Whether [`Restore::Make`] made the buckets of [`super::keys::LASTING_FAMILIES`].
        made: bool,
    },
    /// The campaign is gone: nothing is left but this fence, for a while.
    Remove {
        fence: &'a Fence,
        expires_at: i64,
    },
}

pub fn restore_args(token: &str, step: Restore<'_>) -> Args {
    let name = match &step {
        Restore::Begin { .. } => "begin",
        Restore::Drop { .. } => "drop",
        Restore::Orders { .. } => "order",
        Restore::Charges { .. } => "charge",
        Restore::Make { .. } => "make",
        Restore::Finish { .. } => "finish",
        Restore::Remove { .. } => "remove",
    };
    let mut args = Args::from([text(name), text(token)]);
    match step {
        Restore::Begin { uid, expires_at } => args.extend([text(uid), text(expires_at)]),
        Restore::Drop { keys } => args.extend(keys.into_iter().map(String::into_bytes)),
        Restore::Orders { records } => {
            args.extend(
                records
                    .into_iter()
                    .flat_map(|(bucket, order, record)| [text(bucket), text(order), record.into_bytes()]),
            );
        }
        Restore::Charges { charges, plan } => {
            for (user, charge) in charges {
                for place in charge_args(charge, user, plan) {
                    args.extend(place);
                    args.push_text(window_end(charge, plan));
                }
            }
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
            pause,
            revision,
            plan,
            stock,
            change: (number, taken),
            made,
        } => {
            args.extend(state_args(fence, revision, plan.context().schedule).iter());
            args.push(run);
            args.push(pause_text(pause));
            args.extend([text(number), text(taken)]);
            args.push_text(stock.len());
            args.extend(stock.iter().flat_map(|(sku, left)| [text(sku), text(left)]));
            args.extend(family_args(if made { 0 } else { plan.context().buckets }));
        }
        Restore::Remove { fence, expires_at } => args.extend([text(fence), text(expires_at)]),
    }
    args
}

/// When the window of a charge ends; 0 where it lives as long as the campaign, or the plan no longer has it.
fn window_end(charge: &Charge, plan: &CheckedPlan) -> i64 {
    let mut counters = plan.plan().counters.iter().zip(0..);
    match counters.find(|(counter, _)| counter.id == charge.counter) {
        Some((counter, index)) => match &counter.window {
            Window::Tumbling { length_ms, .. } => charge.window.saturating_add(*length_ms),
            Window::Calendar { .. } => {
                let end = plan
                    .periods(index)
                    .and_then(|periods| periods.end_of(charge.window));
                end.unwrap_or(0)
            }
            Window::Campaign | Window::Rolling { .. } => 0,
        },
        None => 0,
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::check;
    use crate::plan::samples::samples;

    #[test]
    fn a_restored_charge_says_when_its_window_ends() {
        let ends = |sample: &str, window, rolling_ms| {
            let all = samples().into_iter();
            let sample = all.into_iter().find(|each| each.name == sample).expect(sample);
            let plan = check(sample.plan, sample.context).expect("passes");
            let opens_at = plan.context().schedule.opens_at;
            let window = match (window, plan.periods(0)) {
                (None, Some(periods)) => periods.start_of(opens_at),
                (None, None) => opens_at,
                (Some(window), _) => window,
            };
            let charge = |counter: &str| Charge {
                counter: counter.to_owned(),
                window,
                rolling_ms,
                subject: "ada".into(),
                cost: 1,
                limit: None,
            };
            let (known, unknown) = (charge(&plan.plan().counters[0].id), charge("gone/counter"));
            let charges = vec![(None, &known), (Some("bob"), &unknown)];
            let args = restore_args("t", Restore::Charges { charges, plan: &plan });
            let number = |index: usize| -> i64 {
                let text = String::from_utf8(args[index].to_vec()).expect("text");
                text.parse().expect("a number")
            };
            assert_eq!(args.len(), 2 + 2 * 6);
            assert_eq!(number(13), 0, "the plan has no such counter any more");
            let end = plan.periods(0).and_then(|periods| periods.end_of(window));
            (number(7), end)
        };
        let (said, end) = ends("per day across the clock change in spring", None, 0);
        assert_eq!(Some(said), end);
        assert!(said > 0);
        assert_eq!(ends("rolling window", None, 3_600_000).0, 0);
        assert_eq!(ends("orders per user", Some(0), 0).0, 0);
    }
}
