//! `rushgate migrate`: the database's tables and Kafka's topics, brought up to this build.

use anyhow::Context;

use crate::app::beginning;
use crate::bus::kafka::{TopicReport, migrate_topics};
use crate::config::Config;
use crate::store::Store;

/// `cut_over`: campaigns also go over to the newest form of records, `force`: although processes of older builds are listed.
/// Safe to run again, and beside running gateways.
pub async fn migrate(config: Config, cut_over: bool, force: bool) -> anyhow::Result<()> {
    let store = Store::connect(&config.database).await?;
    let applied = store.migrate().await?;
    println!(
        "{}: {}",
        store.place(),
        match applied {
            0 => "up to date".to_owned(),
            n => format!("{n} migration(s) applied"),
        }
    );
    let (partitions, replication) = (
        config.kafka.partitions as usize,
        usize::from(config.kafka.replication),
    );
    let topics = config.topics()?;
    let reports = migrate_topics(&config.kafka(), &topics, partitions, replication).await;
    let reports = reports.context("kafka topics")?;
    let new = reports
        .iter()
        .any(|report| report.created && report.topic == topics.orders);
    let landed = store.offsets(&topics.orders).await?;
    for report in reports {
        let note = report
            .note
            .as_ref()
            .map(|note| format!("; {note}"))
            .unwrap_or_default();
        println!(
            "{}: {}, {} partitions{note}",
            report.topic,
            made(&report),
            report.partitions
        );
    }
    println!(
        "records: {}",
        beginning::begin(&config, &store, new && landed.is_empty()).await?
    );
    match cut_over {
        true => crate::app::cut_over::cut_over(&config, &store, force).await,
        false => Ok(()),
    }
}

fn made(report: &TopicReport) -> String {
    match report.grown_from {
        _ if report.created => "made".to_owned(),
        None => "there already".to_owned(),
        Some(before) => format!(
            "grown from {before} (for campaigns that are made from now on; of older ones only those move whose orders go by key, \
             which landing does not mind. Gateways and landers take the new ones up within seconds)"
        ),
    }
}
