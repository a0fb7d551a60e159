//! A deployment to be examined, well unless a test breaks it; what differs from run to run is masked in the report.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rushgate::bus;
use rushgate::bus::kafka::migrate_topics;
use rushgate::config::Config;
use rushgate::doctor::{Descriptors, Patient, Report, Role, examine};
use rushgate::store::Store;
use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection};
use testkit::server::Server;

use crate::legs::stack::Stack;

pub const PARTITIONS: usize = 3;
/// In every URL that has a password; no report may hold it.
pub const SECRET: &str = "s3cret";

pub struct Deployment {
    pub config: Config,
    pub clock: fn() -> i64,
    pub descriptors: Descriptors,
    pub role: Option<Role>,
    /// How long a step may take.
    pub limit: Duration,
    masks: Vec<(String, &'static str)>,
}

pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("this age")
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!(
            "these tests need {name}: run them through `./x test`, or start services with `./x stack up` and set what `./x stack \
             env` prints"
        )
    })
}

/// A name that no other test has.
pub fn fresh(what: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{what}{}x{}x{number}", now(), std::process::id())
}

/// Where nobody listens.
pub fn nowhere() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound")
}

impl Deployment {
    /// Redis at `redis`, Kafka and MariaDB with nothing of rushgate in them yet.
    pub fn new(redis: &str) -> Self {
        let mut deployment = Self::anywhere(redis);
        let config = &mut deployment.config;
        config.kafka.brokers = variable("RUSHGATE_KAFKA_BROKERS");
        config.kafka.prefix = fresh("doctor");
        config.database.url = variable("RUSHGATE_DATABASE_URL");
        deployment.mask_kafka();
        deployment
    }

    /// The services of a stack that takes encrypted connections alone.
    pub fn encrypted() -> Self {
        let stack = Stack::shared();
        let mut deployment = Self::anywhere(&stack.variable("RUSHGATE_REDIS_URL"));
        let config = &mut deployment.config;
        let file = |name: &str| Some(stack.variable(name).into());
        config.redis.ca_file = file("RUSHGATE_REDIS_CA_FILE");
        config.redis.certificate_file = file("RUSHGATE_REDIS_CERTIFICATE_FILE");
        config.redis.key_file = file("RUSHGATE_REDIS_KEY_FILE");
        config.kafka.brokers = stack.variable("RUSHGATE_KAFKA_BROKERS");
        config.database.url = stack.variable("RUSHGATE_DATABASE_URL");
        let options = stack.variable("RUSHGATE_KAFKA_OPTIONS");
        for (name, value) in options.split(',').filter_map(|pair| pair.split_once('=')) {
            config.kafka.options.insert(name.to_owned(), value.to_owned());
        }
        let place = |url: &str| {
            let host = url.rsplit_once('@').expect("with a user").1;
            host.split(['/', '?']).next().expect("an address").to_owned()
        };
        let (redis, database) = (place(&config.redis.url), place(&config.database.url));
        deployment.mask(&redis, "REDIS");
        deployment.mask(&database, "DATABASE");
        let tls = stack
            .file("ca.pem")
            .parent()
            .expect("a folder")
            .display()
            .to_string();
        deployment.mask(&tls, "TLS");
        let brokers = deployment.config.kafka.brokers.clone();
        deployment.mask(&brokers, "KAFKA");
        deployment
    }

    fn mask_kafka(&mut self) {
        let (prefix, brokers) = (
            self.config.kafka.prefix.clone(),
            self.config.kafka.brokers.clone(),
        );
        self.mask(&prefix, "PREFIX");
        for broker in brokers.split(',') {
            self.mask(broker, "KAFKA");
        }
    }

    /// Redis at `redis`; who needs Kafka or the database says where they are.
    pub fn anywhere(redis: &str) -> Self {
        let mut config = Config::default();
        config.redis.url = redis.to_owned();
        config.kafka.partitions = PARTITIONS as u32;
        config.kafka.brokers = nowhere().to_string();
        config.database.url = format!("mysql://root@{}/shop", nowhere());
        config.auth.insecure_dev_auth = true;
        config.listen = ([127, 0, 0, 1], 0).into();
        config.admin_listen = ([127, 0, 0, 1], 0).into();
        Self {
            config,
            clock: now,
            descriptors: Descriptors {
                soft: None,
                hard: None,
            },
            role: None,
            limit: Duration::from_secs(30),
            masks: Vec::new(),
        }
    }

    /// Sets an option of librdkafka.
    pub fn option(&mut self, name: &str, value: &str) {
        self.config
            .kafka
            .options
            .insert(name.to_owned(), value.to_owned());
    }

    /// The same with a database of its own, migrated, and topics.
    pub async fn migrated(redis: &str) -> Self {
        let mut deployment = Self::new(redis);
        deployment.own_database().await;
        deployment.migrate_tables().await;
        deployment.make_topics(PARTITIONS).await;
        deployment
    }

    /// An empty database beside the one that is named.
    pub async fn own_database(&mut self) {
        let name = fresh("rushgate_");
        let mut admin = MySqlConnection::connect(&self.config.database.url)
            .await
            .expect("connects");
        let sql = AssertSqlSafe(format!("CREATE DATABASE {name}"));
        admin.execute(sqlx::raw_sql(sql)).await.expect("a database");
        let (server, _) = self
            .config
            .database
            .url
            .rsplit_once('/')
            .expect("a URL with a name");
        let place = server.rsplit_once('@').expect("with a user").1.to_owned();
        self.config.database.url = format!("{server}/{name}");
        self.mask(&place, "DATABASE");
        self.mask(&name, "NAME");
    }

    pub async fn migrate_tables(&self) {
        let store = Store::connect(&self.config.database).await.expect("connects");
        store.migrate().await.expect("migrates");
        store.close().await;
    }

    pub async fn make_topics(&self, partitions: usize) {
        let topics = self.config.topics().expect("delays");
        migrate_topics(&self.kafka(), &topics, partitions, 1)
            .await
            .expect("topics");
    }

    pub fn kafka(&self) -> bus::kafka::Config {
        bus::kafka::Config {
            options: self.config.kafka.options.clone(),
            ..bus::kafka::Config::new(&self.config.kafka.brokers).with_prefix(&self.config.kafka.prefix)
        }
    }

    pub fn mask(&mut self, what: &str, name: &'static str) {
        self.masks.push((what.to_owned(), name));
    }

    pub async fn report(&self) -> Report {
        let patient = Patient {
            config: &self.config,
            file: None,
            kafka: self.kafka(),
            topics: self.config.topics().expect("delays"),
            partitions: PARTITIONS,
            replication: 1,
            role: self.role,
            limit: self.limit,
            clock: self.clock,
            descriptors: Some(self.descriptors),
            variables: Vec::new(),
        };
        examine(&patient).await
    }

    /// What is said of these legs.
    pub async fn told(&self, legs: &[&str]) -> String {
        let mut report = self.report().await;
        report.legs.retain(|leg| legs.contains(&leg.leg));
        let mut text = report.text();
        assert!(!text.contains(SECRET), "{text}");
        for (what, name) in &self.masks {
            text = text.replace(what, name);
        }
        text
    }
}

/// A Redis that is well.
pub fn redis() -> Server {
    Server::start(&["--appendonly", "yes"])
}

/// The same on a port, too, with more options.
pub fn redis_at(options: &[&str]) -> (Server, SocketAddr) {
    let address = nowhere();
    let port = address.port().to_string();
    let all: Vec<&str> = ["--bind", "127.0.0.1", "--port", &port, "--appendonly", "yes"]
        .into_iter()
        .chain(options.iter().copied())
        .collect();
    (Server::start(&all), address)
}

/// Runs a command on a server.
pub async fn command(url: &str, words: &[&str]) -> redis::Value {
    let client = redis::Client::open(url).expect("a URL");
    let mut connection = client.get_multiplexed_async_connection().await.expect("connects");
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command.query_async(&mut connection).await.expect("runs")
}
