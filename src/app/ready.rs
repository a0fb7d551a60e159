//! When a gateway is ready: it has its campaigns and can decide, and the outboxes have room. Kafka and the database may be
//! away meanwhile: orders are admitted, and wait.

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
    let needed = vec![
        keys_check("token-keys", gateway, Auth::ready),
        campaigns_check(&parts.loader),
        adapters.engine_check(),
        outbox_check(&parts.admission, in_force),
    ];
    Readiness::new(needed).helped_by(vec![
        Helper {
            check: keys_check("token-keys-source", gateway, Auth::fresh),
            without: "tokens are checked with the keys that were read last",
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

/// What waits in the outboxes is in the engine's memory, which has an end.
fn outbox_check(admission: &Arc<Admission>, in_force: &InForce) -> Check {
    let (admission, in_force, bound) = (admission.clone(), in_force.clone(), Bound::default());
    let answer = move || {
        let (waiting, most) = (admission.in_outbox(), in_force.load().ready.outbox_max);
        match bound.is_passed(waiting, most) {
            false => Ok(()),
            true => Err(format!(
                "{waiting} orders wait in the outboxes, the bound is {most} (ready.outbox_max): Kafka does not take them"
            )),
        }
    };
    Check {
        name: "outbox",
        ask: Box::new(move || std::future::ready(answer()).boxed()),
    }
}

/// Passed above the limit, and until clearly below it.
#[derive(Debug, Default)]
struct Bound(AtomicBool);

impl Bound {
    fn is_passed(&self, waiting: u64, most: u64) -> bool {
        let least = match self.0.load(Ordering::Relaxed) {
            true => most - most.div_ceil(AGAIN_WITHOUT),
            false => most,
        };
        let passed = waiting > least;
        self.0.store(passed, Ordering::Relaxed);
        passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_passed_above_it_and_until_clearly_below() {
        let bound = Bound::default();
        let answers =
            [0, 1000, 1001, 1000, 801, 800, 1000, 1001].map(|waiting| bound.is_passed(waiting, 1000));
        assert_eq!(answers, [false, false, true, true, true, false, false, true]);
        let (small, least) = (Bound::default(), Bound::default());
        assert_eq!(
            [10, 9, 8, 7].map(|waiting| small.is_passed(waiting, 9)),
            [true, true, true, false]
        );
        assert_eq!(
            [2, 1, 0].map(|waiting| least.is_passed(waiting, 1)),
            [true, true, false]
        );
    }
}
