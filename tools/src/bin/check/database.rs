//! What is in the database: orders with their receipts, stock, usage, dead letters.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;
use sqlx::{MySqlPool, Row as _};

/// A row of `orders`.
#[derive(Clone, Debug, Default)]
pub struct Row {
    pub order: String,
    pub user: String,
    pub device: Option<String>,
    pub sku: String,
    pub quantity: i64,
    /// As it is written.
    pub state: String,
    /// It was let in, whatever became of it later.
    pub confirmed: bool,
    pub holds_stock: bool,
    pub holds_allowance: bool,
    pub revoked_reason: Option<String>,
    pub charges: Vec<Charge>,
}

/// A row of `order_changes`.
#[derive(Clone, Debug, Default)]
pub struct Step {
    pub number: i64,
    pub from: String,
    pub to: String,
    pub key: Option<String>,
}

/// The same as it is read, behind its order.
type StepRow = (String, i64, String, String, Option<Vec<u8>>);

/// A row of `releases`.
#[derive(Clone, Debug, Default)]
pub struct Release {
    /// Redis does not have it yet.
    pub waiting: bool,
}

/// A charge of a receipt.
#[derive(Clone, Debug, Deserialize)]
pub struct Charge {
    pub counter: String,
    pub window: i64,
    pub subject: String,
    pub cost: i64,
}

/// Counter, window, subject.
pub type Counted = (String, i64, String);

/// A campaign's rows.
#[derive(Clone, Debug, Default)]
pub struct Books {
    pub rows: Vec<Row>,
    /// SKU → (total, sold).
    pub stock: BTreeMap<String, (i64, i64)>,
    /// In order: SKU, its total afterwards (none while that is as it was), whether it is half done.
    pub changes: Vec<(String, Option<i64>, bool)>,
    pub usage: BTreeMap<Counted, i64>,
    /// By order, in order.
    pub steps: BTreeMap<String, Vec<Step>>,
    pub releases: BTreeMap<String, Release>,
    /// Orders among the dead letters, or on their way back from there: id → (stage, units).
    pub dead: BTreeMap<String, (String, i64)>,
}

pub async fn read(url: &str, campaign: &str) -> Result<Books> {
    let database = MySqlPool::connect(url).await.context("the database")?;
    let books = Books {
        rows: orders(&database, campaign).await?,
        stock: stock(&database, campaign).await?,
        changes: changes(&database, campaign).await?,
        usage: usage(&database, campaign).await?,
        steps: steps(&database, campaign).await?,
        releases: releases(&database, campaign).await?,
        dead: dead(&database, campaign).await?,
    };
    database.close().await;
    Ok(books)
}

async fn orders(database: &MySqlPool, campaign: &str) -> Result<Vec<Row>> {
    #[derive(Deserialize)]
    struct Receipt {
        charges: Vec<Charge>,
        #[serde(default)]
        attributes: BTreeMap<String, String>,
    }
    let sql = "SELECT order_id, user_id, sku_id, quantity, state, revoked_reason, receipt, holds FROM orders \
               WHERE campaign_id = ?";
    let rows = sqlx::query(sql).bind(campaign).fetch_all(database).await?;
    rows.iter()
        .map(|row| {
            let (state, holds): (String, String) = (row.try_get(4)?, row.try_get(7)?);
            let mut receipt: Receipt = serde_json::from_str(&row.try_get::<String, _>(6)?)?;
            Ok(Row {
                order: row.try_get(0)?,
                user: String::from_utf8(row.try_get(1)?)?,
                device: receipt.attributes.remove("client:device"),
                sku: row.try_get(2)?,
                quantity: row.try_get(3)?,
                confirmed: state != "revoked",
                state,
                holds_stock: holds == "all" || holds == "stock",
                holds_allowance: holds == "all" || holds == "allowance",
                revoked_reason: row.try_get(5)?,
                charges: receipt.charges,
            })
        })
        .collect()
}

async fn stock(database: &MySqlPool, campaign: &str) -> Result<BTreeMap<String, (i64, i64)>> {
    let sql = "SELECT sku_id, total, sold FROM stock WHERE campaign_id = ?";
    let rows: Vec<(String, i64, i64)> = sqlx::query_as(sql).bind(campaign).fetch_all(database).await?;
    Ok(rows
        .into_iter()
        .map(|(sku, total, sold)| (sku, (total, sold)))
        .collect())
}

async fn changes(database: &MySqlPool, campaign: &str) -> Result<Vec<(String, Option<i64>, bool)>> {
    let sql =
        "SELECT sku_id, total, done_at IS NULL FROM stock_changes WHERE campaign_id = ? ORDER BY number";
    let rows: Vec<(String, Option<i64>, i64)> =
        sqlx::query_as(sql).bind(campaign).fetch_all(database).await?;
    Ok(rows
        .into_iter()
        .map(|(sku, total, open)| (sku, total, open == 1))
        .collect())
}

async fn steps(database: &MySqlPool, campaign: &str) -> Result<BTreeMap<String, Vec<Step>>> {
    let sql = "SELECT order_id, number, from_state, to_state, idempotency_key FROM order_changes \
               WHERE campaign_id = ? ORDER BY order_id, number";
    let rows: Vec<StepRow> = sqlx::query_as(sql).bind(campaign).fetch_all(database).await?;
    let mut steps: BTreeMap<String, Vec<Step>> = BTreeMap::new();
    for (order, number, from, to, key) in rows {
        let key = key.map(String::from_utf8).transpose()?;
        let step = Step {
            number,
            from,
            to,
            key,
        };
        steps.entry(order).or_default().push(step);
    }
    Ok(steps)
}

async fn releases(database: &MySqlPool, campaign: &str) -> Result<BTreeMap<String, Release>> {
    let sql = "SELECT order_id, given_back_at IS NULL FROM releases WHERE campaign_id = ?";
    let rows: Vec<(String, i64)> = sqlx::query_as(sql).bind(campaign).fetch_all(database).await?;
    let release = |(order, waiting)| {
        (
            order,
            Release {
                waiting: waiting == 1,
            },
        )
    };
    Ok(rows.into_iter().map(release).collect())
}

async fn usage(database: &MySqlPool, campaign: &str) -> Result<BTreeMap<Counted, i64>> {
    let sql = "SELECT counter, window_start, subject, used FROM `usage` WHERE campaign_id = ?";
    let rows: Vec<(String, i64, Vec<u8>, i64)> =
        sqlx::query_as(sql).bind(campaign).fetch_all(database).await?;
    rows.into_iter()
        .map(|(counter, window, subject, used)| Ok(((counter, window, String::from_utf8(subject)?), used)))
        .collect()
}

async fn dead(database: &MySqlPool, campaign: &str) -> Result<BTreeMap<String, (String, i64)>> {
    let sql =
        "SELECT order_id, stage, quantity FROM dead_letters WHERE campaign_id = ? AND order_id IS NOT NULL";
    let rows: Vec<(String, String, Option<i64>)> =
        sqlx::query_as(sql).bind(campaign).fetch_all(database).await?;
    let held = rows.into_iter().filter(|(_, stage, _)| stage != "landed");
    Ok(held
        .map(|(order, stage, units)| (order, (stage, units.unwrap_or(0))))
        .collect())
}
