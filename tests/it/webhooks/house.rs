//! Webhooks over a database: a desk that endpoints are made at, and who keeps and sends what they are told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rushgate::clock::now_ms;
use rushgate::needs::Hooks;
use rushgate::order::{OrderState, ToldChange};
use rushgate::reaching::{Resolve, System};
use rushgate::webhooks::{Created, Desk, Intake, Metrics, Needs, NewWebhook, Poster, Sending};
use testkit::database::{Database, NOW, order};

const PATIENCE: Duration = Duration::from_secs(60);
/// Long enough ago for whatever waits.
pub const LONG_AGO: &str = "2026-01-01 00:00:00.000";

pub struct House {
    pub db: Database,
    pub desk: Desk,
    pub metrics: Metrics,
    pub intake: Arc<Intake>,
    poster: Poster,
}

impl House {
    /// One whose endpoints may be on this machine.
    pub fn over(db: Database) -> Self {
        Self::reaching(db, "127.0.0.1", Arc::new(System))
    }

    pub fn reaching(db: Database, private: &str, resolve: Arc<dyn Resolve>) -> Self {
        let poster = Poster::new(private.parse().expect("networks"), resolve);
        let metrics = Metrics::default();
        Self {
            desk: Desk::new(db.store.clone(), poster.clone(), now_ms, true),
            intake: Arc::new(Intake::new(db.store.clone(), now_ms, metrics.clone())),
            metrics,
            poster,
            db,
        }
    }

    /// Another process that sends.
    pub fn sending(&self) -> Sending {
        Sending::spawn(Needs {
            store: self.db.store.clone(),
            poster: self.poster.clone(),
            clock: now_ms,
            metrics: self.metrics.clone(),
        })
    }

    /// An endpoint that hears everything.
    pub async fn hook(&self, url: &str) -> Created {
        self.asking(url, &[], None).await
    }

    pub async fn asking(&self, url: &str, events: &[&str], campaign: Option<&str>) -> Created {
        let new = NewWebhook {
            merchant: None,
            url: url.to_owned(),
            events: events.iter().map(|event| (*event).to_owned()).collect(),
            campaign: campaign.map(str::to_owned),
            note: None,
        };
        self.desk.create("eve", new).await.expect("an endpoint")
    }

    /// Tells changes, as landers do once Kafka has them.
    pub async fn tell(&self, changes: &[ToldChange]) {
        self.intake.queue(changes).await.expect("kept");
    }

    /// Looks again and again until a number of the database is this one.
    pub async fn until(&self, sql: &str, wanted: i64) {
        let begun = Instant::now();
        let mut often = tokio::time::interval(Duration::from_millis(10));
        loop {
            let found = self.db.number(sql).await;
            if found == wanted {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{sql}: {found} instead of {wanted}");
            often.tick().await;
        }
    }

    /// Until so many deliveries are in a state.
    pub async fn until_in_state(&self, state: &str, count: i64) {
        let sql = format!("SELECT COUNT(*) FROM webhook_deliveries WHERE state = '{state}'");
        self.until(&sql, count).await;
    }

    /// Whatever waits for another attempt is due.
    pub async fn all_due(&self) {
        let sql = format!("UPDATE webhook_deliveries SET next_at = '{LONG_AGO}' WHERE state = 'waiting'");
        self.db.execute(&sql).await;
    }
}

/// That the order of a buyer was confirmed.
pub fn confirmed(user: &str) -> ToldChange {
    ToldChange::confirmed(order(user, "k"), NOW)
}

/// That it was paid.
pub fn paid(user: &str) -> ToldChange {
    ToldChange {
        state: OrderState::Paid,
        number: OrderState::Paid.number(),
        actor: Some("till".to_owned()),
        ..confirmed(user)
    }
}
