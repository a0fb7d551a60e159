//! Buyers, as real ones are.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rushgate::admission::{Admission, Placement};

use crate::memory::sale::{CAMPAIGN, POLL, Sale, attempt};

/// Buyers who keep ordering, and ask again with the same key until they know.
pub struct Buyers {
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<Vec<(String, String, i64)>>>,
}

impl Buyers {
    pub fn start(sale: &Sale, buyers: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let tasks = (0..buyers).map(|n| {
            let admission = sale.gateways[n % 2].admission.clone();
            tokio::spawn(buy(admission, n, stop.clone()))
        });
        Self {
            tasks: tasks.collect(),
            stop: stop.clone(),
        }
    }

    /// User, key and moment of every order they were told of.
    pub async fn stop(self) -> Vec<(String, String, i64)> {
        self.stop.store(true, Ordering::SeqCst);
        let told = futures_util::future::join_all(self.tasks).await;
        told.into_iter()
            .flat_map(|told| told.expect("no panic"))
            .collect()
    }
}

async fn buy(admission: Arc<Admission>, buyer: usize, stop: Arc<AtomicBool>) -> Vec<(String, String, i64)> {
    let mut told = Vec::new();
    for n in 0.. {
        // Two orders each are allowed, three are tried.
        let (user, key) = (format!("b{buyer}-{}", n / 3), format!("k{}", n % 3));
        loop {
            if stop.load(Ordering::SeqCst) {
                return told;
            }
            match admission.place(CAMPAIGN, attempt(&user, &key), true).await {
                Ok(Placement::Order { placed, .. }) => {
                    told.push((user, key, placed.placed_at));
                    // As buyers do: one order after the other, not all at once.
                    tokio::time::sleep(POLL).await;
                    break;
                }
                Ok(Placement::Rejected(_)) => break,
                Err(_) => tokio::time::sleep(POLL).await,
            }
        }
    }
    told
}
