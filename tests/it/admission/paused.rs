//! A paused sale at a gateway: what it knows comes after the pause, and every attempt is counted.

use rushgate::campaign::{Pause, Paused};
use rushgate::lua::pause::pause_args;

use super::*;

impl Stage {
    async fn pause(&self, pause: Pause) {
        let key = Shard::new(CAMPAIGN, 0).state();
        let args = pause_args("u1", pause);
        let put = self.engine.inner.run(&fixed::PAUSE, &key, args).await;
        put.expect("it runs");
    }
}

#[tokio::test]
async fn sold_out_is_not_said_of_a_paused_sale() {
    let stage = stage(Config::default()).await;
    for n in 0..10 {
        state(stage.place(&format!("u{n}"), "k").await);
    }
    let unkeyed = || stage.admission.place(CAMPAIGN, attempt("late", "x"), false);
    let at_once = || stage.admission.refused(CAMPAIGN, "late", ("mug", 1));
    assert_eq!(reason(unkeyed().await), "sold-out");
    assert!(at_once().is_some(), "it is known");
    let paused = Paused { resume_at: None };
    stage
        .pause(Pause {
            number: 1,
            paused: Some(paused),
        })
        .await;
    stage.admission.look().await;
    assert_eq!(stage.admission.paused(CAMPAIGN), Some(paused));
    assert_eq!(at_once(), None, "the script says which");
    assert_eq!(reason(unkeyed().await), "paused");
    assert_eq!(
        state(stage.place("u0", "k").await),
        (OrderState::Accepted, true),
        "a retry finds its order"
    );
    stage
        .pause(Pause {
            number: 2,
            paused: None,
        })
        .await;
    stage.admission.look().await;
    assert_eq!(stage.admission.paused(CAMPAIGN), None);
    assert_eq!(reason(unkeyed().await), "sold-out");
    assert_eq!(stage.status().await.rejected["paused"], 1);
}
