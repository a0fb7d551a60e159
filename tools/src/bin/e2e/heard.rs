//! Who hears of orders: a reader of the topic of events, and a receiver of webhooks. Each has to have heard of every change in the
//! database, and of nothing else.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use rdkafka::Message;
use rushgate::bus::ORDER_EVENTS_TOPIC;
use serde::Deserialize;
use serde_json::json;
use sqlx::MySqlPool;
use testkit::control::Control;
use testkit::services::{self, Urls};
use testkit::topics::{self, Offsets};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::ledger::Checks;

/// A change of an order (order and number), and the state it made.
type Changes = BTreeMap<(String, i64), String>;

/// Lets landers reach a receiver on this machine.
pub const PRIVATE: (&str, &str) = ("RUSHGATE_WEBHOOKS_PRIVATE", "127.0.0.0/8");
const WITHIN: Duration = Duration::from_secs(1800);
/// Nothing more is heard for so long.
const SILENT_MAX: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(200);
/// A webhook hears of what is told from a second after it was made.
const HEARS_AFTER: Duration = Duration::from_millis(1_100);

/// An event, as far as it is held against the database.
#[derive(Deserialize)]
struct Event {
    order: String,
    number: i64,
    state: String,
}

#[derive(Default)]
struct Heard {
    changes: Changes,
    /// Beyond the first message of each change.
    copies: u64,
    /// Changes that came after a later one of their order.
    late: u64,
}

impl Heard {
    fn hear(&mut self, event: Event) {
        let later = (event.order.clone(), event.number + 1)..(event.order.clone(), i64::MAX);
        let is_late = self.changes.range(later).next().is_some();
        match self.changes.insert((event.order, event.number), event.state) {
            None => self.late += u64::from(is_late),
            Some(_) => self.copies += 1,
        }
    }

    fn check(&self, who: &str, rows: &Changes, verdict: &mut Checks) {
        let same = rows
            .iter()
            .filter(|(change, state)| self.changes.get(change) == Some(state));
        verdict.sum(&format!("changes that {who} heard of"), same.count(), rows.len());
        let nothing = self.changes.keys().filter(|change| !rows.contains_key(change));
        verdict.sum(&format!("what {who} heard and no row says"), nothing.count(), 0);
        println!(
            "         {} copies, {} behind a later change of their order",
            self.copies, self.late
        );
    }
}

/// An endpoint that takes whatever it is sent.
pub struct Receiver {
    webhook: String,
    heard: Arc<Mutex<Heard>>,
    task: AbortHandle,
}

impl Receiver {
    /// Asks for every event of a campaign.
    pub async fn open(control: &Control, campaign: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/hooks", listener.local_addr()?);
        let heard = Arc::new(Mutex::default());
        let task = tokio::spawn(serve(listener, heard.clone())).abort_handle();
        let body = json!({"url": url, "campaign": campaign});
        let (status, answer) = control.send(Method::POST, "/admin/v1/webhooks", &body).await?;
        if status != 201 {
            bail!("the webhook is refused: {status} {answer}");
        }
        tokio::time::sleep(HEARS_AFTER).await;
        let webhook = answer["id"]
            .as_str()
            .context("a webhook without an id")?
            .to_owned();
        Ok(Self { webhook, heard, task })
    }

    /// Waits until everything that was written down for it is delivered.
    async fn delivered(&self, database: &MySqlPool) -> Result<()> {
        let sql = "SELECT COUNT(*) FROM webhook_deliveries WHERE webhook_id = ? AND state <> 'delivered'";
        let (begun, mut last, mut moved) = (Instant::now(), i64::MAX, Instant::now());
        loop {
            let waiting: i64 = sqlx::query_scalar(sql)
                .bind(&self.webhook)
                .fetch_one(database)
                .await?;
            if waiting == 0 {
                return Ok(());
            }
            if waiting != last {
                (last, moved) = (waiting, Instant::now());
            }
            if moved.elapsed() > SILENT_MAX || begun.elapsed() > WITHIN {
                bail!("{waiting} deliveries are left after {:?}", begun.elapsed());
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, heard: Arc<Mutex<Heard>>) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let heard = heard.clone();
        tokio::spawn(async move {
            let answer = service_fn(|request| take(request, heard.clone()));
            let connection = hyper::server::conn::http1::Builder::new();
            // Whoever sends may go.
            let _ = connection.serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

async fn take(
    request: Request<Incoming>,
    heard: Arc<Mutex<Heard>>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    #[derive(Deserialize)]
    struct Message {
        data: Event,
    }
    let mut response = Response::new(Empty::new());
    let body = request.into_body().collect().await.map(|body| body.to_bytes());
    let message = body
        .ok()
        .and_then(|body| serde_json::from_slice::<Message>(&body).ok());
    match message {
        Some(message) => heard.lock().expect("no panic holds it").hear(message.data),
        None => *response.status_mut() = hyper::StatusCode::BAD_REQUEST,
    }
    Ok(response)
}

/// Waits until everybody has heard of everything, and holds it against the database.
pub async fn check(urls: &Urls, campaign: &str, receiver: &Receiver, verdict: &mut Checks) -> Result<()> {
    let begun = Instant::now();
    let database = services::database(urls).await?;
    told(&database).await?;
    println!(
        "every event is out {:.1} s after the last change",
        begun.elapsed().as_secs_f64()
    );
    receiver.delivered(&database).await?;
    println!(
        "every webhook is out {:.1} s after the last change",
        begun.elapsed().as_secs_f64()
    );
    let rows = changes(&database, campaign).await?;
    let (brokers, of) = (urls.kafka.clone(), campaign.to_owned());
    let topic = tokio::task::spawn_blocking(move || read(&brokers, &of)).await??;
    topic.check("the topic", &rows, verdict);
    receiver
        .heard
        .lock()
        .expect("no panic holds it")
        .check("the webhook", &rows, verdict);
    let sql = "SELECT COUNT(*) FROM webhook_deliveries WHERE webhook_id = ? AND state = 'delivered'";
    let delivered: i64 = sqlx::query_scalar(sql)
        .bind(&receiver.webhook)
        .fetch_one(&database)
        .await?;
    verdict.sum("deliveries in the database", delivered, rows.len() as i64);
    Ok(())
}

/// Waits until the database knows that every change is told.
async fn told(database: &MySqlPool) -> Result<()> {
    let begun = Instant::now();
    loop {
        match services::untold(database).await? {
            0 => return Ok(()),
            untold if begun.elapsed() > WITHIN => bail!("{untold} records and changes are not told"),
            _ => tokio::time::sleep(POLL).await,
        }
    }
}

async fn changes(database: &MySqlPool, campaign: &str) -> Result<Changes> {
    let sql = "SELECT order_id, CAST(1 AS SIGNED), IF(state = 'revoked', 'revoked', 'confirmed') FROM orders WHERE campaign_id = ? \
               UNION ALL SELECT order_id, number, to_state FROM order_changes WHERE campaign_id = ? AND number > 1";
    let rows = sqlx::query_as(sql).bind(campaign).bind(campaign);
    let rows: Vec<(String, i64, String)> = rows.fetch_all(database).await?;
    let rows = rows.into_iter();
    Ok(rows
        .map(|(order, number, state)| ((order, number), state))
        .collect())
}

fn read(brokers: &str, campaign: &str) -> Result<Heard> {
    let mut heard = Heard::default();
    let is_ours = |topic: &str| topic == ORDER_EVENTS_TOPIC;
    topics::each(brokers, campaign, (&is_ours, &Offsets::new()), |message| {
        heard.hear(serde_json::from_slice(message.payload().unwrap_or_default())?);
        Ok(())
    })?;
    Ok(heard)
}
