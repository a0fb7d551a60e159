//! When a gateway is ready: it has its campaigns and can decide, its seal counts, and the outboxes have room. Kafka and
//! the database may be away meanwhile: orders are admitted, and wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;

use super::adapters::{Adapters, store_check};
use super::parts::Parts;
use super::reload::InForce;
use crate::admin::{Check, Helper, Readiness};
use crate::admission::Admission;
use crate::control::Loader;
use crate::gateway::auth::Auth;
use crate::gateway::{Gateway, Stages};

/// Ready again when one part in so many of the bound is gone, so that it does not flutter.
const AGAIN_WITHOUT: u64 = 5;

pub(super) fn readiness(
    adapters: &Adapters,
    parts: &Parts,
    in_force: &InForce,
    gateway: &Arc<Gateway<Stages>>,
) -> Readiness {
    let mut needed = vec![
        keys_check("token-keys", gateway, Auth::ready),
        campaigns_check(&parts.loader),
        adapters.engine_check(),
        outbox_check(&parts.admission, in_force),
    ];
    needed.extend(adapters.sealing.as_ref().map(|sealing| sealing.check()));
    Readiness::new(needed).helped_by(vec![
        Helper {
            check: keys_check("token-keys-source", gateway, Auth::fresh),
            without: "tokens are checked with the keys that were read last",
        },
        Helper {
            check: issuers_check(gateway),
            without: "tokens of these merchants' buyers are checked with the keys that were read last",
        },
        Helper {
            check: adapters.bus_check(),
            without: "orders are admitted and wait in the outbox",
        },
        Helper {
            check: store_check(&adapters.store),
            without: "orders are admitted under the rules that are loaded, and land later",
        },
    ])
}

/// A gateway that does not know a campaign's rules would refuse its buyers.
fn campaigns_check(loader: &Arc<Loader>) -> Check {
    let loader = loader.clone();
    let answer = move || match loader.loaded() {
        true => Ok(()),
        false => Err("not read from the database yet".to_owned()),
    };
    Check {
        name: "campaigns",
        ask: Box::new(move || std::future::ready(answer()).boxed()),
    }
}

/// Without keys nobody's token can be checked. What checks them may be another after the configuration was read again.
fn keys_check(
    name: &'static str,
    gateway: &Arc<Gateway<Stages>>,
    ask: fn(&Auth) -> Result<(), String>,
) -> Check {
    let gateway = gateway.clone();
    Check {
        name,
        ask: Box::new(move || std::future::ready(ask(&gateway.auth())).boxed()),
    }
}

/// What a merchant's issuer does is the merchant's: the gateway is ready for all others.
fn issuers_check(gateway: &Arc<Gateway<Stages>>) -> Check {
    let gateway = gateway.clone();
    Check {
        name: "issuers",
        ask: Box::new(move || std::future::ready(gateway.issuers().fresh()).boxed()),
    }
}

/// What waits in the outboxes is in the engine's memory, which has an end.
fn outbox_check(admission: &Arc<Admission>, in_force: &InForce) -> Check {
    let (admission, in_force, bound) = (admission.clone(), in_force.clone(), Bound::default());
    let answer = move || {
        let (waiting, most) = (admission.in_outbox(), in_force.load().ready.outbox_max);
        bound
            .waits_for(waiting, most)
            .map_or(Ok(()), |least| Err(full(waiting, most, least)))
    };
    Check {
        name: "outbox",
        ask: Box::new(move || std::future::ready(answer()).boxed()),
    }
}

fn full(waiting: u64, most: u64, least: u64) -> String {
    let bound = format!("the bound is {most} (ready.outbox_max)");
    match waiting > most {
        true => format!(
            "{waiting} orders wait in the outboxes, {bound}: Kafka does not take them. Ready again at {least}"
        ),
        false => format!(
            "{waiting} orders wait in the outboxes, {bound} and was passed: ready again at {least}, so that it does not flutter"
        ),
    }
}

/// Passed above the limit, and until clearly below it.
#[derive(Debug, Default)]
struct Bound(AtomicBool);

impl Bound {
    /// Where it is passed: how many may wait for it to be no longer.
    fn waits_for(&self, waiting: u64, most: u64) -> Option<u64> {
        let least = most - most.div_ceil(AGAIN_WITHOUT);
        let bound = if self.0.load(Ordering::Relaxed) {
            least
        } else {
            most
        };
        let passed = waiting > bound;
        self.0.store(passed, Ordering::Relaxed);
        passed.then_some(least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_passed_above_it_and_until_clearly_below() {
        let bound = Bound::default();
        let answers =
            [0, 1000, 1001, 1000, 801, 800, 1000, 1001].map(|waiting| bound.waits_for(waiting, 1000));
        let passed = Some(800);
        assert_eq!(answers, [None, None, passed, passed, passed, None, None, passed]);
        let (small, least) = (Bound::default(), Bound::default());
        assert_eq!(
            [10, 9, 8, 7].map(|waiting| small.waits_for(waiting, 9)),
            [Some(7), Some(7), Some(7), None]
        );
        assert_eq!(
            [2, 1, 0].map(|waiting| least.waits_for(waiting, 1)),
            [Some(0), Some(0), None]
        );
    }

    #[test]
    fn the_text_names_what_it_waits_for() {
        let above = full(1001, 1000, 800);
        assert!(
            above.contains("1001 orders wait")
                && above.ends_with("Kafka does not take them. Ready again at 800")
        );
        let within = full(900, 1000, 800);
        assert!(within.contains("the bound is 1000") && within.contains("was passed: ready again at 800"));
    }
}
