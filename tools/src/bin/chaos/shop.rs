//! The shop of a run: while buyers order and faults strike, it has orders paid, cancelled and refunded over the control plane, and
//! lets the hold of others end. What it was told goes into a log, which the checker holds against the rows.
//!
//! What becomes of an order follows from the last digit of its id, so that a run can be played again.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::{StreamExt, stream};
use hyper::Method;
use serde_json::{Value, json};
use sqlx::MySqlPool;
use testkit::control::Control;
use tokio::sync::watch;
use tokio::time::Instant;

/// Orders of one look, and how many of them are at work at the same time.
const PAGE: i64 = 400;
const AT_ONCE: usize = 16;
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// So long one act is tried.
const PATIENCE: Duration = Duration::from_secs(20);
const ASK: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_millis(200);
/// Parts of the load after which holds end.
const HOLDS_END: [f64; 2] = [0.45, 0.8];

/// Orders whose hold ends are those that it neither pays nor cancels.
const END_HOLDS: &str = "UPDATE orders SET pay_by = NOW(3) WHERE campaign_id = ? AND state = 'confirmed' \
                         AND CONV(RIGHT(order_id, 1), 16, 10) % 3 = 2";

/// The shop.
pub struct Shop<'a> {
    pub controls: Vec<Control>,
    pub database: MySqlPool,
    pub campaign: &'a str,
    pub load: Duration,
    pub log: Mutex<File>,
}

impl<'a> Shop<'a> {
    pub fn open(
        controls: Vec<Control>,
        database: MySqlPool,
        (campaign, load): (&'a str, Duration),
        log: &Path,
    ) -> Result<Self> {
        Ok(Self {
            controls,
            database,
            campaign,
            load,
            log: Mutex::new(File::create(log).with_context(|| log.display().to_string())?),
        })
    }

    /// Works until the load has ended.
    pub async fn run(&self, ended: watch::Receiver<bool>) -> Result<()> {
        let (begun, mut known) = (Instant::now(), HashSet::new());
        let mut ends = HOLDS_END.iter().map(|part| self.load.mul_f64(*part)).peekable();
        while !*ended.borrow() {
            if ends.peek().is_some_and(|at| begun.elapsed() >= *at) && self.end_holds().await {
                ends.next();
            }
            // A database that is away is one of the faults.
            let orders = self.confirmed().await.unwrap_or_default();
            let new: Vec<String> = orders.into_iter().filter(|id| known.insert(id.clone())).collect();
            let acts = stream::iter(&new).map(|order| self.treat(order));
            acts.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await;
            tokio::time::sleep(LOOK_EVERY).await;
        }
        // Those that came last: the checker waits for them as for all others.
        while !self.end_holds().await && begun.elapsed() < self.load + PATIENCE {
            tokio::time::sleep(AGAIN).await;
        }
        Ok(())
    }

    async fn end_holds(&self) -> bool {
        let ended = sqlx::query(END_HOLDS).bind(self.campaign).execute(&self.database);
        matches!(tokio::time::timeout(ASK, ended).await, Ok(Ok(_)))
    }

    async fn confirmed(&self) -> Result<Vec<String>> {
        let sql = "SELECT order_id FROM orders WHERE campaign_id = ? AND state = 'confirmed' \
                   AND CONV(RIGHT(order_id, 1), 16, 10) % 3 < 2 ORDER BY placed_at DESC LIMIT ?";
        let rows = sqlx::query_as(sql)
            .bind(self.campaign)
            .bind(PAGE)
            .fetch_all(&self.database);
        let rows: Vec<(String,)> = tokio::time::timeout(ASK, rows).await??;
        Ok(rows.into_iter().map(|(order,)| order).collect())
    }

    async fn treat(&self, order: &str) {
        let last = order.chars().last().and_then(|digit| digit.to_digit(16));
        let last = last.unwrap_or(0);
        match (last % 3, last) {
            // Somebody pays while somebody else cancels.
            (_, 0 | 1) => {
                let one = self.act(order, "pay", 0);
                futures_util::join!(one, self.act(order, "cancel", 1));
            }
            (0, 3) => {
                self.act(order, "pay", 0).await;
                self.act(order, "refund", 1).await;
            }
            // The answer is lost, and it is asked for again elsewhere.
            (0, 6) => {
                futures_util::join!(self.act(order, "pay", 0), self.act(order, "pay", 1));
            }
            (0, _) => self.act(order, "pay", 0).await,
            (_, 4) => {
                futures_util::join!(self.act(order, "cancel", 0), self.act(order, "cancel", 1));
            }
            _ => self.act(order, "cancel", 1).await,
        }
    }

    /// Tries one act until it is answered for good, and logs what came of it.
    async fn act(&self, order: &str, act: &str, first: usize) {
        let (begun, mut tries) = (Instant::now(), first);
        let key = format!("{act}-{order}");
        let path = format!("/admin/v1/campaigns/{}/orders/{order}/{act}", self.campaign);
        let (mut status, mut answer, nothing) = (0, Value::Null, json!({}));
        while begun.elapsed() < PATIENCE {
            let control = &self.controls[tries % self.controls.len()];
            let asked = control.send_keyed(Method::POST, &path, &nothing, &key);
            if let Ok(Ok((said, body))) = tokio::time::timeout(ASK, asked).await {
                (status, answer) = (said, body);
                if is_final(status, &answer) {
                    break;
                }
            }
            tries += 1;
            tokio::time::sleep(AGAIN).await;
        }
        let line = json!({"order": order, "act": act, "key": key, "status": status, "answer": answer});
        let mut log = self.log.lock().expect("no panic holds this lock");
        let _ = writeln!(log, "{line}");
    }
}

fn is_final(status: u16, answer: &Value) -> bool {
    match status {
        200 => true,
        409 => answer["reason"] == "order-state" || answer["reason"] == "order-expired",
        400 | 401 | 403 | 404 | 422 => true,
        _ => false,
    }
}
