//! A deployment that is well, what an examination leaves behind, and the command itself.

use std::process::Command;

use rushgate::bus::Producer;
use rushgate::bus::kafka::KafkaProducer;
use rushgate::doctor::{FindingLevel, Role};
use serde_json::Value;

use crate::doctor::patient::{Deployment, SECRET, command, nowhere, redis};

const SERVICES: &[&str] = &["redis", "kafka", "database", "seals", "tokens"];

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_is_well_is_told_so_and_left_as_it_was() {
    let server = redis();
    let mut deployment = Deployment::migrated(&server.url()).await;
    let socket = server.url().replace("redis+unix://", "");
    deployment.mask(&socket, "SOCKET");
    let version = match command(&server.url(), &["INFO", "server"]).await {
        redis::Value::BulkString(info) => String::from_utf8(info).expect("text"),
        other => panic!("{other:?}"),
    };
    let version = version
        .lines()
        .find_map(|line| line.strip_prefix("redis_version:"))
        .expect("a version");
    deployment.mask(&format!("Redis {}", version.trim()), "Redis VERSION");
    let told = deployment.told(SERVICES).await;
    let told: String = told
        .lines()
        .map(|line| match line.split_once("MariaDB ") {
            Some((before, _)) => format!("{before}MariaDB VERSION\n"),
            None => match line.split_once("connections  ") {
                Some((before, _)) => format!("{before}connections  NUMBERS\n"),
                None => format!("{line}\n"),
            },
        })
        .collect();
    insta::assert_snapshot!(told);
    assert_eq!(command(&server.url(), &["DBSIZE"]).await, redis::Value::Int(0));
    let producer = KafkaProducer::new(deployment.kafka()).expect("made");
    for topic in deployment.config.topics().expect("delays").names() {
        let ends = producer.high_watermarks(topic).await.expect("answered");
        assert!(ends.values().all(|end| *end == 0), "{topic}: {ends:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lander_stands_on_fewer_legs() {
    let mut deployment = Deployment::migrated(&format!("redis://{}", nowhere())).await;
    deployment.role = Some(Role::Land);
    let report = deployment.report().await;
    let legs: Vec<&str> = report.legs.iter().map(|leg| leg.leg).collect();
    assert_eq!(
        legs,
        [
            "configuration",
            "machine",
            "kafka",
            "database",
            "seals",
            "listeners"
        ]
    );
    assert_ne!(report.level(), FindingLevel::Failed, "{}", report.text());
}

fn doctor(args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rushgate"));
    command.arg("doctor").args(args);
    // Nothing of the tests' own environment may count.
    for (name, _) in std::env::vars() {
        if name.starts_with("RUSHGATE_") {
            command.env_remove(name);
        }
    }
    let output = command.output().expect("the binary runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_command_fails_where_a_leg_does_and_tells_no_secret() {
    let address = nowhere();
    let redis = format!("redis://shop:{SECRET}@{address}");
    let database = format!("mysql://shop:{SECRET}@{address}/shop");
    let brokers = address.to_string();
    let args = [
        "--redis-url",
        &redis,
        "--database-url",
        &database,
        "--kafka-brokers",
        &brokers,
    ];
    let (code, text, log) = doctor(&args);
    assert_eq!(code, Some(1), "{text}{log}");
    assert!(
        text.contains("redis fails first, at address; then kafka at address, database at address"),
        "{text}"
    );
    let (code, json, _) = doctor(&[args.as_slice(), &["--json"]].concat());
    assert_eq!(code, Some(1));
    let answer: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(answer["verdict"], "failed");
    assert_eq!(answer["fails_first"]["leg"], "redis");
    assert!(
        ![&text, &log, &json].iter().any(|said| said.contains(SECRET)),
        "{text}{log}{json}"
    );
}

#[test]
fn a_secret_that_cannot_be_read_is_told_with_its_option() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("rushgate.toml");
    std::fs::write(folder.path().join("empty"), "\n").expect("written");
    let mut text = String::new();
    for (section, option, name) in [
        ("redis", "password_file", "none"),
        ("redis", "url_file", "empty"),
        ("database", "password_file", "empty"),
        ("kafka", "sasl_password_file", "."),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&config, format!("[{section}]\n{option} = {path:?}\n")).expect("written");
        let (code, told, _) = doctor(&["--config", config.to_str().expect("text")]);
        assert_eq!(code, Some(1), "{told}");
        let failed = told.lines().find(|line| line.starts_with("FAILED"));
        text += &format!("{}\n", failed.unwrap_or_else(|| panic!("{told}")));
    }
    insta::assert_snapshot!(text.replace(&folder.path().display().to_string(), "FOLDER"));
}

#[test]
fn a_configuration_that_cannot_be_read_is_the_first_leg_to_fail() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "[redis]\nurll = \"redis://r\"\n").expect("written");
    let (code, text, _) = doctor(&["--config", file.path().to_str().expect("text")]);
    assert_eq!(code, Some(1));
    assert!(
        text.contains("FAILED   configuration sources") && text.contains("urll"),
        "{text}"
    );
    assert!(
        text.ends_with("configuration fails first, at sources\n"),
        "{text}"
    );
}
