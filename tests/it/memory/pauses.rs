//! A pause, and a Redis that loses it: what the database has of it is in force whenever the gate is open.

use std::time::{Duration, Instant};

use rushgate::admission::{AdmissionError, Placement};
use rushgate::campaign::{Pause, Paused};
use rushgate::rejection::{Own, Reason};
use rushgate::store::PauseRow;

use crate::memory::sale::{CAMPAIGN, PATIENCE, POLL, Sale, now};

fn on(number: u64) -> PauseRow {
    PauseRow {
        pause: Pause {
            number,
            paused: Some(Paused { resume_at: None }),
        },
        since: Some(now()),
        note: None,
    }
}

fn off(number: u64) -> PauseRow {
    PauseRow {
        pause: Pause { number, paused: None },
        ..PauseRow::default()
    }
}

impl Sale {
    /// Only the database hears of it, as from somebody who dies then.
    async fn note(&self, row: &PauseRow) {
        let noted = self
            .store()
            .insert_pause_after(CAMPAIGN, row.pause.number - 1, row, &[])
            .await;
        assert!(noted.expect("written"), "somebody else came first");
    }

    /// Gateway `gateway` says so soon, and nobody is admitted by it before.
    async fn is_paused_soon(&self, gateway: usize, user: &str, may_be_taken: bool) {
        let begun = Instant::now();
        for n in 0.. {
            match self.place(gateway, &format!("{user}{n}"), "k").await {
                Ok(Placement::Rejected(refusal)) if refusal.reason == Reason::Own(Own::Paused) => return,
                Err(AdmissionError::GateClosed { .. }) => {}
                Ok(Placement::Order { .. }) if may_be_taken => {}
                other => panic!("{other:?}"),
            }
            assert!(begun.elapsed() < PATIENCE, "it is not paused");
            tokio::time::sleep(POLL).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_outlives_the_loss_of_all_memory() {
    let sale = Sale::open(10_000).await;
    sale.sell(0..10).await;
    sale.note(&on(1)).await;
    sale.is_paused_soon(0, "early", true).await;
    sale.is_paused_soon(1, "other", false).await;
    let epoch = sale.epoch().await;
    sale.server.tell(&["FLUSHALL"]);
    // Whoever is answered something else than that the gate is closed reads that it is paused.
    sale.is_paused_soon(0, "lost", false).await;
    sale.reopened(epoch).await;
    sale.is_paused_soon(0, "after", false).await;
    sale.is_paused_soon(1, "other", false).await;
    sale.note(&off(2)).await;
    let begun = Instant::now();
    while !matches!(sale.place(1, "again", "k").await, Ok(Placement::Order { .. })) {
        assert!(begun.elapsed() < PATIENCE, "it does not go on");
        tokio::time::sleep(POLL).await;
    }
    sale.balanced().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_that_falls_into_a_rebuild_is_in_force_when_it_is_over() {
    let sale = Sale::open(100).await;
    sale.sell(0..10).await;
    for round in 0..12_u64 {
        let epoch = sale.epoch().await;
        sale.server.tell(&["FLUSHALL"]);
        // At another moment of the rebuild each time.
        tokio::time::sleep(Duration::from_millis(round * 15)).await;
        sale.note(&on(2 * round + 1)).await;
        sale.reopened(epoch).await;
        let begun = Instant::now();
        while sale.status().await.pause.number != 2 * round + 1 {
            assert!(
                begun.elapsed() < PATIENCE,
                "round {round}: {:?}",
                sale.status().await
            );
            tokio::time::sleep(POLL).await;
        }
        sale.is_paused_soon(0, &format!("paused{round}"), false).await;
        sale.note(&off(2 * round + 2)).await;
        let begun = Instant::now();
        while !matches!(
            sale.place(1, &format!("again{round}"), "k").await,
            Ok(Placement::Order { .. })
        ) {
            assert!(begun.elapsed() < PATIENCE, "round {round}: it does not go on");
            tokio::time::sleep(POLL).await;
        }
    }
    sale.balanced().await;
}
