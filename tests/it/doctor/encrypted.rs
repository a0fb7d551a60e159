//! Services that take encrypted connections of known users alone, and set-ups that are wrong about them in one way each.

use std::path::Path;

use crate::doctor::patient::{Deployment, SECRET};
use crate::legs::stack::{Stack, authority};

/// The line of a leg that failed.
async fn failed(deployment: &Deployment, leg: &str) -> String {
    let told = deployment.told(&[leg]).await;
    let mut lines = told.lines();
    let failed = lines.find(|line| line.starts_with("FAILED"));
    failed
        .unwrap_or_else(|| panic!("{leg} is well: {told}"))
        .to_owned()
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn legs_that_are_encrypted_are_well() {
    let deployment = Deployment::encrypted();
    deployment.migrate_tables().await;
    let told = deployment.told(&["redis", "kafka", "database"]).await;
    let logins: Vec<&str> = told.lines().filter(|line| line.contains(" login ")).collect();
    assert_eq!(logins.len(), 3, "{told}");
    for login in logins {
        let encrypted = login.contains("over TLS") || login.contains("over sasl_ssl");
        assert!(login.starts_with("ok") && encrypted, "{login}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_met_with_the_wrong_files() {
    let folder = tempfile::tempdir().expect("a folder");
    authority(folder.path(), "DNS:localhost");
    let file = |name: &str| Some(folder.path().join(name));
    let mut told = Vec::new();
    let mut tried = async |what: &str, change: &dyn Fn(&mut Deployment)| {
        let mut deployment = Deployment::encrypted();
        deployment.mask(&folder.path().display().to_string(), "OTHER");
        change(&mut deployment);
        told.push(format!("{what}: {}", failed(&deployment, "redis").await));
    };
    tried("another authority", &|d| d.config.redis.ca_file = file("ca.pem")).await;
    tried("no authority", &|d| d.config.redis.ca_file = None).await;
    tried("no certificate", &|d| {
        d.config.redis.certificate_file = None;
        d.config.redis.key_file = None;
    })
    .await;
    tried("a certificate of another authority", &|d| {
        d.config.redis.certificate_file = file("client.pem");
        d.config.redis.key_file = file("client-key.pem");
    })
    .await;
    tried("another key", &|d| {
        d.config.redis.key_file = file("client-key.pem")
    })
    .await;
    tried("no file", &|d| d.config.redis.ca_file = file("none.pem")).await;
    tried("plain text with files", &|d| {
        d.config.redis.url = d.config.redis.url.replace("rediss:", "redis:");
    })
    .await;
    tried("plain text", &|d| {
        d.config.redis.url = d.config.redis.url.replace("rediss:", "redis:");
        d.config.redis.ca_file = None;
        d.config.redis.certificate_file = None;
        d.config.redis.key_file = None;
    })
    .await;
    tried("another password", &|d| {
        d.config.redis.url = d.config.redis.url.replace(":rushgate@", &format!(":{SECRET}@"));
    })
    .await;
    insta::assert_snapshot!(told.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_is_met_with_the_wrong_options() {
    let folder = tempfile::tempdir().expect("a folder");
    authority(folder.path(), "DNS:localhost");
    let mut told = Vec::new();
    let mut tried = async |what: &str, change: &dyn Fn(&mut Deployment)| {
        let mut deployment = Deployment::encrypted();
        deployment.mask(&folder.path().display().to_string(), "OTHER");
        change(&mut deployment);
        told.push((what.to_owned(), failed(&deployment, "kafka").await));
    };
    let other = path(folder.path(), "ca.pem");
    tried("another authority", &|d| d.option("ssl.ca.location", &other)).await;
    tried("no authority", &|d| {
        drop(d.config.kafka.options.remove("ssl.ca.location"))
    })
    .await;
    tried("another password", &|d| d.option("sasl.password", SECRET)).await;
    tried("another mechanism", &|d| {
        d.option("sasl.mechanisms", "SCRAM-SHA-256")
    })
    .await;
    tried("a client without TLS", &|d| d.config.kafka.options.clear()).await;
    tried("a login without TLS", &|d| {
        d.option("security.protocol", "SASL_PLAINTEXT");
        d.config.kafka.options.remove("ssl.ca.location");
    })
    .await;
    tried("no login", &|d| {
        d.option("security.protocol", "SSL");
        d.config
            .kafka
            .options
            .retain(|name, _| !name.starts_with("sasl."));
    })
    .await;
    tried("a port without TLS", &|d| {
        d.config.kafka.brokers = Stack::shared().plain_kafka();
        let brokers = d.config.kafka.brokers.clone();
        d.mask(&brokers, "PLAIN");
    })
    .await;
    let none = path(folder.path(), "none.pem");
    tried("no file", &|d| d.option("ssl.ca.location", &none)).await;
    // What librdkafka says differs from build to build; what to do about it does not.
    let lines = told.into_iter().map(|(what, line)| {
        eprintln!("{what}: {line}");
        let (found, todo) = line.rsplit_once(" -> ").expect("something to do");
        let step = found.split_whitespace().nth(2).expect("a step").to_owned();
        format!("{what}: FAILED at {step} -> {todo}")
    });
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_is_met_with_the_wrong_parameters() {
    let folder = tempfile::tempdir().expect("a folder");
    authority(folder.path(), "DNS:localhost");
    // A user that the server, and not the user's own entry, wants encrypted.
    Stack::shared().sql(
        "CREATE USER IF NOT EXISTS 'examined'@'127.0.0.1' IDENTIFIED BY 'rushgate'; \
         GRANT SELECT ON rushgate.* TO 'examined'@'127.0.0.1'",
    );
    let mut told = Vec::new();
    let mut tried = async |what: &str, user: &str, query: &str| {
        let mut deployment = Deployment::encrypted();
        deployment.mask(&folder.path().display().to_string(), "OTHER");
        let url = deployment.config.database.url.clone();
        let plain = url
            .split('?')
            .next()
            .expect("a URL")
            .replace("//rushgate:rushgate@", user);
        deployment.config.database.url = format!("{plain}{query}");
        told.push(format!("{what}: {}", failed(&deployment, "database").await));
    };
    let (user, other) = ("//rushgate:rushgate@", path(folder.path(), "ca.pem"));
    tried("another authority", user, &format!("?ssl-ca={other}")).await;
    tried("no authority", user, "?ssl-mode=verify_identity").await;
    tried("no encryption", user, "?ssl-mode=disabled").await;
    tried(
        "no encryption of a user who may",
        "//examined:rushgate@",
        "?ssl-mode=disabled",
    )
    .await;
    tried(
        "a file that is not looked at",
        user,
        &format!("?ssl-mode=required&ssl-ca={other}"),
    )
    .await;
    tried("no file", user, "?ssl-ca=/no/such/ca.pem").await;
    tried(
        "another password",
        &format!("//rushgate:{SECRET}@"),
        "?ssl-mode=required",
    )
    .await;
    insta::assert_snapshot!(told.join("\n"));
}
