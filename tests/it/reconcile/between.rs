//! A repair with a give-back in its midst, before every call it makes to the engine.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rushgate::reconcile::{Kind, Place};

use crate::reconcile::around::{Around, Surrounded};
use crate::reconcile::sale::{CAMPAIGN, Sale, Side};

crate::reconcile::on_both_sides!(a_repair_is_right_wherever_a_give_back_comes_between);

/// Lets something happen before one of an engine's calls.
#[derive(Default)]
struct Between {
    calls: AtomicUsize,
    acts: Mutex<BTreeMap<usize, Vec<Act>>>,
}

type Act = BoxFuture<'static, ()>;

impl Between {
    fn at(&self, call: usize, act: Act) {
        self.acts
            .lock()
            .expect("unharmed")
            .entry(call)
            .or_default()
            .push(act);
    }

    async fn turn(&self) {
        let call = self.calls.fetch_add(1, Relaxed);
        let acts = self.acts.lock().expect("unharmed").remove(&call);
        for act in acts.into_iter().flatten() {
            act.await;
        }
    }

    /// What the comparison did not come to.
    async fn rest(&self) {
        let acts = std::mem::take(&mut *self.acts.lock().expect("unharmed"));
        for act in acts.into_values().flatten() {
            act.await;
        }
    }
}

impl Around for Between {
    fn before(&self) -> BoxFuture<'_, ()> {
        self.turn().boxed()
    }
}

/// One repair with a give-back in its midst: released before the call `first`, marked before the call `second`, and
/// with `again` another order of the same buyer right after the release, so that the numbers are the same again.
struct Step {
    user: String,
    first: usize,
    second: usize,
    again: bool,
}

/// How many calls the repair made.
async fn interleave(sale: &Arc<Sale>, step: &Step) -> usize {
    let user = step.user.as_str();
    for key in ["1", "2"] {
        sale.place(user, key, "mug").await;
    }
    sale.settled().await;
    let order = sale.revoke(user, "2", "over-limit", &[]).await;
    // Something to repair at the same places.
    let field = format!("rule/orders {user}");
    sale.redis("HINCRBY", &sale.buyers_bucket(user), &[&field, "-1"])
        .await;
    sale.redis("HINCRBY", "stock", &["mug", "-1"]).await;
    let between = Surrounded::new(sale.engine(), Between::default());
    let (here, buyer, again) = (sale.clone(), step.user.clone(), step.again);
    let release = async move {
        here.release(order).await;
        if again {
            here.place(&buyer, "3", "mug").await;
        }
    };
    between.by.at(step.first, release.boxed());
    let here = sale.clone();
    between
        .by
        .at(step.second, async move { here.mark(order).await }.boxed());
    let stage = sale.stage_over(between.clone());
    stage.compare(CAMPAIGN, Some("eve")).await.expect("compared");
    let calls = between.by.calls.load(Relaxed);
    between.by.rest().await;
    sale.settled().await;
    // What was made wrong may be left, where the give-back came between; nothing else may be wrong.
    let left = sale.compare().await.differences;
    for difference in &left {
        let gap = difference.engine - difference.database;
        let expected = match &difference.place {
            Place::Sku { .. } => difference.kind == Kind::Leaked,
            Place::Count { counter, .. } => counter == "rule/orders" && difference.kind == Kind::CounterLow,
            Place::Order { .. } | Place::Entry { .. } => false,
        };
        let Step { first, second, .. } = step;
        assert!(expected && gap == -1, "{first}, {second}, {again}: {left:?}");
    }
    if !left.is_empty() {
        let last = sale
            .reconcile
            .compare(CAMPAIGN, Some("eve"))
            .await
            .expect("compared");
        assert_eq!(last.left, [], "the next run puts it right");
    }
    calls
}

async fn a_repair_is_right_wherever_a_give_back_comes_between(side: Side) {
    let every = if side.is_real() { 5 } else { 1 };
    let sale = Arc::new(Sale::open(side, 10_000).await);
    sale.hold_give_back().await;
    let never = Step {
        user: "u".into(),
        first: usize::MAX,
        second: usize::MAX,
        again: false,
    };
    let calls = interleave(&sale, &never).await;
    assert!(calls > 15, "{calls} calls");
    for first in (0..=calls).step_by(every) {
        for (n, second) in [first, first + 3, usize::MAX].into_iter().enumerate() {
            let again = (first + n) % 2 == 0;
            let user = format!("u{first}-{n}");
            let step = Step {
                user,
                first,
                second,
                again,
            };
            interleave(&sale, &step).await;
        }
    }
}
