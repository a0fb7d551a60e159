//! Set-ups that are broken in one way each.

use std::path::Path;

use rushgate::doctor::Descriptors;
use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection};
use testkit::database::MariaDb;

use crate::doctor::patient::{Deployment, PARTITIONS, SECRET, command, now, nowhere, redis, redis_at};

const HOUR_MS: i64 = 3_600_000;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_listens() {
    let address = nowhere();
    let mut deployment = Deployment::new(&format!("redis://{address}"));
    deployment.config.kafka.brokers = address.to_string();
    deployment.config.database.url = format!("mysql://shop:{SECRET}@{address}/shop");
    deployment.mask(&address.to_string(), "NOWHERE");
    insta::assert_snapshot!(deployment.told(&["redis", "kafka", "database", "seals"]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_wrong() {
    let (_server, address) = redis_at(&["--requirepass", "another"]);
    let mut deployment = Deployment::new(&format!("redis://:{SECRET}@{address}"));
    deployment.mask(&address.to_string(), "REDIS");
    let place = deployment
        .config
        .database
        .url
        .rsplit_once('@')
        .expect("with a user")
        .1
        .to_owned();
    deployment.config.database.url = format!("mysql://rushgate:{SECRET}@{place}");
    deployment.mask(place.split('/').next().expect("an address"), "DATABASE");
    let told = deployment.told(&["redis", "database"]).await;
    deployment.config.redis.url = format!("redis://{address}");
    let without = deployment.told(&["redis"]).await;
    insta::assert_snapshot!(format!("{told}\n{without}"));
}

/// A certificate that nobody vouches for, and its key.
fn certificate(folder: &Path) -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    (cert.display().to_string(), key.display().to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_text_meets_tls_and_an_authority_is_unknown() {
    let folder = tempfile::tempdir().expect("a folder");
    let (cert, key) = certificate(folder.path());
    let address = nowhere();
    let port = address.port().to_string();
    let (_server, _) = redis_at(&[
        "--tls-port",
        &port,
        "--tls-cert-file",
        &cert,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &cert,
        "--tls-auth-clients",
        "no",
    ]);
    let mut deployment = Deployment::new(&format!("redis://{address}"));
    deployment.mask(&address.to_string(), "REDIS");
    deployment.mask(&format!("localhost:{port}"), "REDIS");
    let plain = deployment.told(&["redis"]).await;
    deployment.config.redis.url = format!("rediss://localhost:{port}");
    let unknown = deployment.told(&["redis"]).await;
    insta::assert_snapshot!(format!("{plain}\n{unknown}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_meets_plain_text() {
    let (_server, address) = redis_at(&[]);
    let mut deployment = Deployment::new(&format!("rediss://{address}"));
    deployment.mask(&address.to_string(), "REDIS");
    let options = &mut deployment.config.kafka.options;
    options.insert("security.protocol".into(), "SSL".into());
    let place = deployment
        .config
        .database
        .url
        .rsplit_once('@')
        .expect("with a user")
        .1
        .to_owned();
    deployment.config.database.url += "?ssl-mode=REQUIRED";
    deployment.mask(place.split('/').next().expect("an address"), "DATABASE");
    let told = deployment.told(&["redis", "kafka", "database"]).await;
    for leg in ["redis", "kafka", "database"] {
        let failed = told
            .lines()
            .find(|line| line.starts_with("FAILED") && line.contains(leg));
        let failed = failed.unwrap_or_else(|| panic!("{leg} is well: {told}"));
        assert!(failed.contains(" login "), "{failed}");
    }
    insta::assert_snapshot!(told);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_redis_lacks_rights() {
    let (server, address) = redis_at(&[]);
    let user = |rules: &[&'static str]| {
        let words = ["ACL", "SETUSER", "shop", "reset", "on", ">s3cret"];
        words.into_iter().chain(rules.iter().copied()).collect::<Vec<_>>()
    };
    let mut deployment = Deployment::new(&format!("redis://shop:{SECRET}@{address}"));
    deployment.mask(&address.to_string(), "REDIS");
    let mut told = Vec::new();
    for rules in [
        ["~rg:*", "+@all", "-evalsha"],
        ["~rg:*", "+@all", "-xadd"],
        ["~rg:*", "+@all", "-info"],
        ["~shop:*", "+@all", "-config"],
    ] {
        command(&server.url(), &user(&rules)).await;
        let text = deployment.told(&["redis"]).await;
        let failed = text.lines().find(|line| line.starts_with("FAILED"));
        told.push(format!(
            "{rules:?}: {}",
            failed.unwrap_or_else(|| panic!("{text}"))
        ));
        assert_eq!(
            command(&server.url(), &["DBSIZE"]).await,
            redis::Value::Int(0),
            "{rules:?}"
        );
    }
    insta::assert_snapshot!(told.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_the_database_lacks_rights() {
    let server = MariaDb::start().await;
    let mut deployment = Deployment::new("redis://127.0.0.1:1");
    deployment.config.database.url = server.create("shop").await;
    deployment.migrate_tables().await;
    let mut root = MySqlConnection::connect(&server.url("mysql"))
        .await
        .expect("root");
    for sql in [
        "CREATE USER shop@localhost IDENTIFIED BY 's3cret'",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON shop.* TO shop@localhost",
    ] {
        root.execute(sqlx::raw_sql(sql)).await.expect(sql);
    }
    let socket = server.socket().display().to_string();
    deployment.config.database.url = format!("mysql://shop:{SECRET}@localhost/shop?socket={socket}");
    let enough = deployment.told(&["database"]).await;
    assert!(!enough.contains("FAILED"), "{enough}");
    for sql in [
        "REVOKE ALL PRIVILEGES ON shop.* FROM shop@localhost",
        "GRANT SELECT ON shop.* TO shop@localhost",
    ] {
        root.execute(sqlx::raw_sql(sql)).await.expect(sql);
    }
    let told = deployment.told(&["database"]).await;
    let failed = told
        .lines()
        .filter(|line| !line.starts_with("ok") && !line.starts_with("warning"));
    insta::assert_snapshot!(failed.collect::<Vec<_>>().join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_missing_and_then_too_small() {
    let deployment = Deployment::new("redis://127.0.0.1:1");
    let none = deployment.told(&["kafka"]).await;
    deployment.make_topics(PARTITIONS - 1).await;
    let few = deployment.told(&["kafka"]).await;
    insta::assert_snapshot!(format!("{none}\n{few}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_missing_and_then_too_new() {
    let mut deployment = Deployment::new("redis://127.0.0.1:1");
    deployment.own_database().await;
    let mut told = Vec::new();
    let lines = |text: String| {
        text.lines()
            .filter(|line| line.contains(" tables "))
            .collect::<Vec<_>>()
            .join("\n")
    };
    told.push(lines(deployment.told(&["database"]).await));
    deployment.migrate_tables().await;
    let mut connection = MySqlConnection::connect(&deployment.config.database.url)
        .await
        .expect("connects");
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (999999, 'of tomorrow', true, 'x', 1)";
    connection
        .execute(sqlx::raw_sql(AssertSqlSafe(newer)))
        .await
        .expect("written");
    told.push(lines(deployment.told(&["database"]).await));
    let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM _sqlx_migrations WHERE version < 999999")
        .fetch_one(&mut connection)
        .await
        .expect("counted");
    insta::assert_snapshot!(
        told.join("\n")
            .replace(&format!("of {count} migrations"), "of ALL migrations")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn this_machine_s_clock_is_off() {
    let server = redis();
    let mut deployment = Deployment::migrated(&server.url()).await;
    deployment.clock = || now() + HOUR_MS;
    let ahead = deployment.told(&["redis", "database"]).await;
    deployment.clock = || now() - 5_000;
    let behind = deployment.told(&["redis", "database"]).await;
    // To the second, a machine that is busy decides it.
    let clocks = |text: &str| {
        let lines = text.lines().filter(|line| line.contains(" clock "));
        let masked = lines.map(|line| line.replace(|c: char| c.is_ascii_digit(), ""));
        masked.collect::<Vec<_>>()
    };
    insta::assert_snapshot!([clocks(&ahead), clocks(&behind)].concat().join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn descriptors_are_too_few() {
    let mut deployment = Deployment::new("redis://127.0.0.1:1");
    let mut told = Vec::new();
    for (soft, hard) in [(1_024, 1_048_576), (1_024, 4_096), (256, 256)] {
        deployment.descriptors = Descriptors {
            soft: Some(soft),
            hard: Some(hard),
        };
        let text = deployment.told(&["machine"]).await;
        told.extend(
            text.lines()
                .filter(|line| line.contains(" descriptors "))
                .map(str::to_owned),
        );
    }
    insta::assert_snapshot!(told.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_throws_keys_away_and_forgets_and_another_is_a_replica() {
    let options = [
        "--maxmemory",
        "64mb",
        "--maxmemory-policy",
        "allkeys-lru",
        "--appendonly",
        "no",
    ];
    let (_server, address) = redis_at(&options);
    let mut deployment = Deployment::new(&format!("redis://{address}"));
    let told = deployment.told(&["redis"]).await;
    let warned = told
        .lines()
        .filter(|line| line.starts_with("warning"))
        .collect::<Vec<_>>()
        .join("\n");
    let (_replica, replica) = redis_at(&["--replicaof", "127.0.0.1", &address.port().to_string()]);
    deployment.config.redis.url = format!("redis://{replica}");
    deployment.mask(&address.to_string(), "MASTER");
    let told = deployment.told(&["redis"]).await;
    let failed = told
        .lines()
        .find(|line| line.starts_with("FAILED"))
        .unwrap_or_else(|| panic!("{told}"));
    let (_, todo) = failed.split_once("is a replica").expect(failed);
    insta::assert_snapshot!(format!(
        "{}\nis a replica{todo}",
        warned.replace("1 of 64", "N of 64")
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_is_taken() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound");
    // Whoever has it hangs up on everybody.
    std::thread::spawn(move || taken.incoming().for_each(drop));
    let mut deployment = Deployment::new("redis://127.0.0.1:1");
    deployment.config.admin_listen = address;
    deployment.mask(&address.to_string(), "TAKEN");
    deployment.mask(&format!(":{}'", address.port()), ":PORT'");
    let told = deployment.told(&["listeners"]).await;
    deployment.config.admin_listen = ([0, 0, 0, 0], 0).into();
    let open = deployment.told(&["listeners"]).await;
    insta::assert_snapshot!(format!("{told}\n{open}"));
}
