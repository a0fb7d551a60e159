//! What landing costs the database and the lander per order, without Kafka: orders are handed to a real landing thread
//! in batches of a given size, and the same rows are then inserted raw, in the same run.
//!
//! `RUSHGATE_DATABASE_URL=mysql://… cargo run --release --bin land_rows -- --orders 100000 --batch 512`

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use rushgate::bus::embedded::{self, EmbeddedConsumer};
use rushgate::bus::{BusError, Consumer, ConsumerState, ORDERS_TOPIC, Outbound, Producer, Record, Slice};
use rushgate::campaign::{Campaign, RETENTION_MS, RecordVersion, Schedule, Sku};
use rushgate::landing::{self, Landing, SealConfig};
use rushgate::order::{Attempt, OrderId};
use rushgate::outbox;
use rushgate::plan::samples::samples;
use rushgate::revision::{PinnedRule, Revision};
use rushgate::ruleset::Compiled;
use rushgate::seal::{Key, Keyring};
use rushgate::store::{self, ModuleOrigin, ModuleRow, Store};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, QueryBuilder, Row};
use testkit::process;

const SKU: &str = "shirt";
const HOUR_MS: i64 = 3_600_000;
/// Placeholders of one statement in MySQL's protocol.
const BINDS_MAX: usize = 65_535;
const LANDED_WITHIN: Duration = Duration::from_secs(600);

/// Lands orders of one campaign, and inserts the same rows raw
#[derive(Clone, Debug, Parser)]
struct Flags {
    #[arg(long, env = "RUSHGATE_DATABASE_URL")]
    database_url: String,
    #[arg(long, default_value_t = 100_000)]
    orders: usize,
    /// Orders that landing is handed at a time
    #[arg(long, default_value_t = 512)]
    batch: usize,
    /// The sample plan whose counters are charged
    #[arg(long, default_value = "orders per user")]
    plan: String,
    /// How often landing and the raw insert take turns
    #[arg(long, default_value_t = 2)]
    rounds: usize,
}

/// Hands out what it was given, in batches, and then nothing.
struct Feed {
    batches: VecDeque<Slice>,
}

impl Consumer for Feed {
    fn poll(&mut self, _max: usize, _wait: Duration) -> Result<Vec<Slice>, BusError> {
        let next = self.batches.pop_front();
        if next.is_none() {
            std::thread::park_timeout(Duration::from_millis(5));
        }
        Ok(next.into_iter().collect())
    }
    fn idle(&mut self, wait: Duration) -> Result<(), BusError> {
        std::thread::park_timeout(wait);
        Ok(())
    }
    fn lost(&mut self) -> BTreeSet<i32> {
        BTreeSet::new()
    }
    fn commit(&mut self, _landed: &[(i32, i64)]) {}
    fn seek(&mut self, _partition: i32, _offset: i64) {}
    fn hold(&mut self, _partition: i32, _offset: i64, _wait: Duration) {}
    fn state(&self) -> ConsumerState {
        ConsumerState::default()
    }
}

/// CPU time of this process and of the database, and what the server counted.
struct Figures {
    own: Duration,
    database: Duration,
    counted: BTreeMap<String, i64>,
    at: Instant,
}

/// A table's rows with every column as text.
struct Table {
    name: &'static str,
    columns: String,
    rows: Vec<Vec<Option<String>>>,
}

struct Bench {
    flags: Flags,
    connection: MySqlConnection,
    server: u32,
}

impl Bench {
    async fn figures(&mut self) -> Result<Figures> {
        let names =
            "'Com_insert', 'Com_commit', 'Questions', 'Bytes_received', 'Com_stmt_prepare', 'Com_select'";
        let sql = format!("SHOW GLOBAL STATUS WHERE Variable_name IN ({names})");
        let rows = sqlx::query(AssertSqlSafe(sql))
            .fetch_all(&mut self.connection)
            .await?;
        let counted = rows.iter().map(|row| {
            let value: String = row.try_get(1)?;
            Ok((row.try_get(0)?, value.parse()?))
        });
        Ok(Figures {
            counted: counted.collect::<Result<_>>()?,
            own: process::cpu(std::process::id())?,
            database: process::cpu(self.server)?,
            at: Instant::now(),
        })
    }

    /// Prints what happened since; the sum of both processes' CPU per order, in µs.
    async fn since(&mut self, what: &str, before: Figures) -> Result<f64> {
        let elapsed = before.at.elapsed();
        let after = self.figures().await?;
        let orders = self.flags.orders as f64;
        let us = |after: Duration, before: Duration| (after - before).as_micros() as f64 / orders;
        let own = us(after.own, before.own);
        let database = us(after.database, before.database);
        let counted = |name: &str| (after.counted[name] - before.counted[name]) as f64;
        let commits = counted("Com_commit").max(1.0);
        println!(
            "{what:24} {:6.1} µs (this process {own:5.1}, database {database:5.1})  {:7.0} orders/s  {:5.0} orders, \
             {:4.1} INSERTs, {:4.1} statements per commit  {:4.0} bytes received per order, {} prepared",
            own + database,
            orders / elapsed.as_secs_f64(),
            orders / commits,
            counted("Com_insert") / commits,
            counted("Questions") / commits,
            counted("Bytes_received") / orders,
            counted("Com_stmt_prepare"),
        );
        Ok(own + database)
    }

    /// The rows of a table, inserted raw, so many in a transaction, into tables of the same shape.
    async fn raw(&mut self, tables: &[Table], what: &str) -> Result<f64> {
        for Table { name, .. } in tables {
            let sql = format!("DROP TABLE IF EXISTS raw_{name}; CREATE TABLE raw_{name} LIKE `{name}`");
            sqlx::raw_sql(AssertSqlSafe(sql))
                .execute(&mut self.connection)
                .await?;
        }
        let before = self.figures().await?;
        let batch = self.flags.batch;
        let batches = tables[0].rows.len().div_ceil(batch);
        for at in 0..batches {
            let mut tx = self.connection.begin().await?;
            for Table { name, columns, rows } in tables {
                let rows = &rows[(at * batch).min(rows.len())..((at + 1) * batch).min(rows.len())];
                for chunk in rows.chunks(BINDS_MAX / rows[0].len()) {
                    let mut insert = QueryBuilder::new(format!("INSERT INTO raw_{name} ({columns}) "));
                    insert.push_values(chunk, |mut values, row| {
                        for value in row {
                            values.push_bind(value);
                        }
                    });
                    insert.build().execute(&mut *tx).await?;
                }
            }
            tx.commit().await?;
        }
        let sum = self.since(what, before).await;
        for Table { name, .. } in tables {
            let sql = format!("DROP TABLE raw_{name}");
            sqlx::raw_sql(AssertSqlSafe(sql))
                .execute(&mut self.connection)
                .await?;
        }
        sum
    }

    /// A campaign's rows of a table, in an order that is not the key's.
    async fn table(&mut self, name: &'static str, campaign: &str) -> Result<Table> {
        let columns: Vec<String> = sqlx::query_scalar(
            "SELECT CAST(column_name AS CHAR) FROM information_schema.columns
             WHERE table_schema = DATABASE() AND table_name = ? ORDER BY ordinal_position",
        )
        .bind(name)
        .fetch_all(&mut self.connection)
        .await?;
        let casts: Vec<String> = columns
            .iter()
            .map(|column| format!("CAST({column} AS CHAR)"))
            .collect();
        let sql = format!("SELECT {} FROM `{name}` WHERE campaign_id = ?", casts.join(", "));
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(campaign)
            .fetch_all(&mut self.connection)
            .await?;
        let texts = rows.iter().map(|row| {
            (0..columns.len())
                .map(|at| row.try_get(at).context("a column as text"))
                .collect()
        });
        let mut texts = texts.collect::<Result<Vec<Vec<Option<String>>>>>()?;
        fastrand::Rng::with_seed(1).shuffle(&mut texts);
        Ok(Table {
            name,
            columns: columns.join(", "),
            rows: texts,
        })
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let flags = Flags::parse();
    let mut connection = MySqlConnection::connect(&flags.database_url).await?;
    let config = store::Config::new(&flags.database_url, 4);
    let store = Store::connect(&config).await?;
    store.migrate().await?;
    let pid_file: String = sqlx::query_scalar("SELECT CAST(@@pid_file AS CHAR)")
        .fetch_one(&mut connection)
        .await?;
    let server = std::fs::read_to_string(&pid_file)
        .with_context(|| pid_file)?
        .trim()
        .parse()?;
    let mut bench = Bench {
        flags,
        connection,
        server,
    };
    for _ in 0..bench.flags.rounds {
        round(&mut bench, &store).await?;
    }
    Ok(())
}

async fn round(bench: &mut Bench, store: &Store) -> Result<()> {
    let (orders, batch) = (bench.flags.orders, bench.flags.batch);
    let now = jiff::Timestamp::now().as_millisecond();
    let campaign = format!("rows-{now}");
    let compiled = sale(store, &campaign, &bench.flags.plan, now).await?;
    let key = Key::new("bench".parse()?, &[7; 32])?;
    let keys = Arc::new(Keyring::new(vec![key])?);
    let start = store.offsets(ORDERS_TOPIC).await?.get(&0).copied().unwrap_or(0);
    let (producer, consumer) = embedded::pair(start);
    let records = records(producer.sealed(keys.clone()), consumer, &compiled, orders, now);
    ensure!(records.len() == orders, "{} records", records.len());
    let payload: usize = records.iter().map(|record| record.payload.len()).sum();
    let config = landing::Config {
        batch_records: batch,
        seal: SealConfig {
            keys: Some(keys),
            only: true,
        },
        ..landing::Config::default()
    };
    println!("{orders} orders of {} bytes, {batch} at a time", payload / orders);
    let batches = cut(records, batch);
    let before = bench.figures().await?;
    let handle = tokio::runtime::Handle::current();
    let feed = Box::new(Feed { batches });
    let landing = Landing::spawn(
        config,
        feed,
        Arc::new(producer),
        store.clone(),
        handle,
        landing::Metrics::default(),
    )?;
    let metrics = landing.metrics();
    let begun = Instant::now();
    while metrics.confirmed.get() < orders as u64 {
        ensure!(begun.elapsed() < LANDED_WITHIN, "not landed: {:?}", metrics);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let landed = bench.since("landed", before).await?;
    tokio::task::spawn_blocking(move || landing.stop()).await?;
    let landed_rows = bench.table("orders", &campaign).await?;
    ensure!(
        landed_rows.rows.len() == orders,
        "{} rows",
        landed_rows.rows.len()
    );
    let used = bench.table("usage", &campaign).await?;
    let raw = bench
        .raw(std::slice::from_ref(&landed_rows), "raw, orders")
        .await?;
    let with_usage = [landed_rows, used];
    let both = bench.raw(&with_usage, "raw, orders and usage").await?;
    println!(
        "landed ÷ raw: {:.2}, with usage: {:.2}",
        landed / raw,
        landed / both
    );
    Ok(())
}

async fn sale(store: &Store, campaign: &str, plan: &str, now: i64) -> Result<Compiled> {
    let plan = samples().into_iter().find(|sample| sample.name == plan);
    let stored = Campaign {
        partitions: None,
        record_version: RecordVersion::V1,
        id: campaign.to_owned(),
        title: campaign.to_owned(),
        skus: vec![Sku::new(SKU, 10_000_000)].into(),
        uid: campaign.to_owned(),
        buckets: 4,
        shards: 1,
        created_at: now,
    };
    let revision = Revision {
        campaign: campaign.to_owned(),
        number: 1,
        rules: vec![PinnedRule {
            name: "one-per-user".to_owned(),
            module: "one-per-user".to_owned(),
            version: "1.0.0".to_owned(),
            digest: "cd".repeat(32),
            params: serde_json::json!({}),
        }],
        schedule: Schedule {
            opens_at: now - HOUR_MS,
            closes_at: now + HOUR_MS,
            retention_ms: RETENTION_MS,
        },
        plan: plan.context("a sample plan of this name")?.plan,
        plan_digest: "ab".repeat(32),
        audiences: BTreeMap::default(),
        folds: Default::default(),
        shadow: None,
        stock: None,
        created_at: now,
    };
    let module = ModuleRow {
        digest: "cd".repeat(32),
        merchant: None,
        id: "one-per-user".to_owned(),
        version: "1.0.0".to_owned(),
        descriptor: serde_json::json!({}),
        uploaded_at: now,
    };
    store
        .insert_module(&module, b"none", ModuleOrigin::Upload, &[])
        .await?;
    store.insert_campaign(&stored, &revision).await?;
    let row = store.campaign(campaign).await?.context("the campaign is there")?;
    let revision = store
        .revision(campaign, 1)
        .await?
        .context("its revision is there")?;
    Ok(Compiled::build(row.campaign, revision)?)
}

/// The records that a gateway would have published, sealed.
fn records(
    producer: impl Producer,
    mut consumer: EmbeddedConsumer,
    compiled: &Compiled,
    orders: usize,
    now: i64,
) -> Vec<Record> {
    for number in 0..orders {
        let user = format!("buyer-{number}");
        let attempt = Attempt {
            order: OrderId::keyed(&compiled.campaign.id, &user, "bench"),
            user,
            sku: SKU.to_owned(),
            quantity: 1,
            attributes: BTreeMap::new(),
        };
        let event = outbox::event(compiled, 0, &attempt, now);
        let outbound = Outbound {
            key: event.key(),
            payload: event.encode(),
            partition: None,
        };
        producer.publish(vec![outbound], Box::new(|_| ()));
    }
    let slices = consumer.poll(orders, Duration::ZERO).unwrap_or_default();
    slices.into_iter().flat_map(|slice| slice.records).collect()
}

fn cut(records: Vec<Record>, batch: usize) -> VecDeque<Slice> {
    let mut batches = VecDeque::new();
    let mut records = records.into_iter().peekable();
    while let Some(first) = records.peek() {
        let from = first.offset;
        let some: Vec<Record> = records.by_ref().take(batch).collect();
        batches.push_back(Slice {
            partition: 0,
            from,
            next: from + some.len() as i64,
            records: some,
        });
    }
    batches
}
