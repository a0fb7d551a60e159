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
    pub confirmed: bool,
    pub revoked_reason: Option<String>,
    pub charges: Vec<Charge>,
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
    let sql = "SELECT order_id, user_id, sku_id, quantity, state, revoked_reason, receipt FROM orders \
               WHERE campaign_id = ?";
    let rows = sqlx::query(sql).bind(campaign).fetch_all(database).await?;
    rows.iter()
        .map(|row| {
            let state: String = row.try_get(4)?;
            let mut receipt: Receipt = serde_json::from_str(&row.try_get::<String, _>(6)?)?;
            Ok(Row {
                order: row.try_get(0)?,
                user: String::from_utf8(row.try_get(1)?)?,
                device: receipt.attributes.remove("client:device"),
                sku: row.try_get(2)?,
                quantity: row.try_get(3)?,
                confirmed: state == "confirmed",
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
