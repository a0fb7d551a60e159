//! `rushgate dlt`: the database, and the bus where something is sent.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::sync::watch;

use super::{Desk, Dlt};
use crate::app::adapters::{sending, store};
use crate::app::sealing::Sealing;
use crate::app::shutdown::Shutdown;
use crate::bus::Producer;
use crate::bus::kafka::KafkaProducer;
use crate::cli::out::{quiet_pipe, user};
use crate::clock::now_ms;
use crate::config::Config;
use crate::store::Store;

/// How long Kafka has to answer at all.
const ASK_LIMIT: Duration = Duration::from_secs(5);
/// How long it may take to acknowledge: a person waits for it.
const DELIVERY_TIMEOUT_MS: u32 = 30_000;

/// Runs one command on dead letters.
pub async fn dlt(command: Dlt) -> anyhow::Result<()> {
    let config = command.settings().begin()?;
    let store = store(&config).await?;
    let sealing = match command.sends() {
        true => Some(Sealing::join(&config, &store, "dlt").await?),
        false => None,
    };
    let done = on_desk(command, &config, store.clone(), sealing.as_ref()).await;
    if let Some(sealing) = sealing {
        sealing.leave().await;
    }
    store.close().await;
    done
}

async fn on_desk(
    command: Dlt,
    config: &Config,
    store: Store,
    sealing: Option<&Sealing>,
) -> anyhow::Result<()> {
    let (kafka, topics) = (config.kafka(), config.topics()?);
    let producer = match sealing {
        Some(sealing) => Some(producer(config, sealing).await?),
        None => None,
    };
    let desk = Desk {
        store,
        producer,
        targets: vec![kafka.topic],
        retries: topics.retries.into_iter().map(|retry| retry.name).collect(),
        dead_letters: topics.dead_letters,
        group: kafka.group,
        user: user(),
        interactive: io::stdin().is_terminal(),
        clock: now_ms,
        // Until here there is nothing to finish: a signal ends the process.
        stop: asked_to_stop()?,
    };
    let done = super::run(command, desk, &mut io::stdout().lock()).await;
    quiet_pipe(done)
}

async fn producer(config: &Config, sealing: &Sealing) -> anyhow::Result<Arc<dyn Producer>> {
    let kafka = crate::bus::kafka::Config {
        delivery_timeout_ms: DELIVERY_TIMEOUT_MS,
        ..sending(config, sealing)
    };
    let producer = KafkaProducer::new(kafka).context("kafka")?;
    match tokio::time::timeout(ASK_LIMIT, producer.ping()).await {
        Ok(answer) => answer.context("nothing was sent")?,
        Err(_) => bail!(
            "Kafka at {} does not answer (--kafka-brokers); nothing was sent",
            config.kafka.brokers
        ),
    }
    Ok(Arc::new(producer))
}

/// Turns true when the process is asked to stop, which lets the batch in hand be recorded.
fn asked_to_stop() -> io::Result<watch::Receiver<bool>> {
    let shutdown = Shutdown::listen()?;
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        shutdown.asked().await;
        eprintln!("finishing the batch in hand");
        let _ = stop.send(true);
    });
    Ok(stopped)
}
