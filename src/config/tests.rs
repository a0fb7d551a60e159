//! Precedence, messages, and that the example file tells the truth.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;

const EXAMPLE: &str = include_str!("../../rushgate.example.toml");

const LISTEN: Flag = Flag {
    name: "--listen",
    key: "listen",
};
const REDIS_URL: Flag = Flag {
    name: "--redis-url",
    key: "redis.url",
};

fn file(text: &str) -> Result<Config, String> {
    load::parse(Path::new("rushgate.toml"), text).map_err(|error| error.to_string())
}

fn resolve(env: &[(&str, &str)], flags: &[(Flag, &str)]) -> Result<Config, String> {
    let flags = flags.iter().map(|(flag, value)| (*flag, (*value).to_owned()));
    let env = |name: &str| {
        let found = env.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let source = Source {
        file: None,
        env: &env,
        flags: flags.collect(),
    };
    load(&source).map_err(|error| error.to_string())
}

#[test]
fn the_example_holds_the_built_in_values() {
    assert!(file(EXAMPLE).expect("the example parses") == Config::default());
}

/// Comments that are a key: `# issuer = "…"`.
fn uncommented() -> String {
    let is_key = |line: &&str| {
        let rest = line.strip_prefix("# ").and_then(|rest| rest.split_once(" = "));
        rest.is_some_and(|(key, _)| {
            key.chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        })
    };
    let lines = EXAMPLE
        .lines()
        .map(|line| if is_key(&line) { &line[2..] } else { line });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_names_every_key() {
    let text = uncommented();
    let config = file(&text).expect("the example parses with every key");
    assert_eq!(config.auth.audience.as_deref(), Some("rushgate"));
    let table: toml::Table = text.parse().expect("TOML");
    let mut named = BTreeSet::new();
    for (key, value) in &table {
        match value {
            toml::Value::Table(section) => {
                named.extend(section.keys().map(|inner| format!("{key}.{inner}")));
            }
            _ => {
                named.insert(key.clone());
            }
        }
    }
    let known: BTreeSet<String> = KEYS.iter().map(|key| key.name.to_owned()).collect();
    assert_eq!(named, known);
}

/// The keys that a section takes, as serde lists them to those who write another one.
fn taken(section: &str) -> BTreeSet<String> {
    let text = match section {
        "" => "no_such_key = 1".to_owned(),
        section => format!("[{section}]\nno_such_key = 1"),
    };
    let error = toml::from_str::<Config>(&text).err().expect("no such key");
    let message = error.message().to_owned();
    let (_, expected) = message.split_once("expected ").expect("the keys there are");
    let names = expected.split('`').skip(1).step_by(2);
    names.map(str::to_owned).collect()
}

#[test]
fn the_list_of_keys_is_what_the_types_take() {
    let listed: BTreeSet<String> = KEYS.iter().map(|key| key.name.to_owned()).collect();
    let sections: BTreeSet<&str> = KEYS
        .iter()
        .filter_map(|key| Some(key.name.split_once('.')?.0))
        .collect();
    let mut found = BTreeSet::new();
    for name in taken("") {
        match sections.contains(name.as_str()) {
            true => found.extend(taken(&name).into_iter().map(|key| format!("{name}.{key}"))),
            false => drop(found.insert(name)),
        }
    }
    assert_eq!(found, listed);
}

#[test]
fn the_example_marks_what_is_read_again() {
    let mut marked = BTreeSet::new();
    let (mut section, mut is_marked) = (String::new(), false);
    let (text, plain) = (uncommented(), EXAMPLE);
    for (line, original) in text.lines().zip(plain.lines()) {
        assert!(original.ends_with(line), "uncommenting changes no other line");
        if let Some(name) = line.strip_prefix('[') {
            section = format!("{}.", name.trim_end_matches(']'));
        }
        match line.split_once(" = ") {
            Some((key, _)) if !line.starts_with('#') => {
                if is_marked {
                    marked.insert(format!("{section}{key}"));
                }
            }
            _ => is_marked = line.ends_with("[SIGHUP]"),
        }
    }
    let reread = KEYS.iter().filter(|key| key.reread);
    assert_eq!(marked, reread.map(|key| key.name.to_owned()).collect());
}

#[test]
fn a_wrong_file_is_answered_with_line_column_and_key() {
    for (text, expected) in [
        (
            "listen = \"127.0.0.1:1\"\nlisten_port = 7\n",
            "rushgate.toml:2:1: unknown field `listen_port`",
        ),
        (
            "[admission]\n\nbacth = 7\n",
            "rushgate.toml:3:1: unknown field `bacth`, expected one of `answer`",
        ),
        (
            "[admission]\n  batch = \"many\"\n",
            "rushgate.toml:2:11: invalid type: string \"many\", expected usize",
        ),
        (
            "[admission]\nanswer = \"soon\"\n",
            "rushgate.toml:2:10: unknown variant `soon`, expected `accepted` or",
        ),
        ("[admision]\n", "rushgate.toml:1:2: unknown field `admision`"),
        (
            "listen = \"here\"\n",
            "rushgate.toml:1:10: invalid socket address syntax",
        ),
        ("[redis\n", "rushgate.toml:1:7: "),
        (
            "drain_ms = -1\n",
            "rushgate.toml:1:12: invalid value: integer `-1`",
        ),
    ] {
        let error = file(text).err().expect(text);
        assert!(error.starts_with(expected), "{text}\n{error}");
    }
}

#[test]
fn the_environment_is_over_the_file_and_flags_over_both() {
    let path = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(
        path.path(),
        "drain_ms = 1\n[redis]\nurl = \"redis://file\"\n[kafka]\nbrokers = \"file\"\n",
    )
    .expect("written");
    let env = |name: &str| match name {
        "RUSHGATE_REDIS_URL" => Some("redis://env".to_owned()),
        "RUSHGATE_KAFKA_BROKERS" => Some("env".to_owned()),
        "RUSHGATE_ADMIN_TOKEN" => Some("t".to_owned()),
        _ => None,
    };
    let source = Source {
        file: Some(path.path()),
        env: &env,
        flags: vec![(REDIS_URL, "redis://flag".to_owned())],
    };
    let config = load(&source).expect("valid");
    assert_eq!(config.drain.as_millis(), 1);
    assert_eq!(config.kafka.brokers, "env");
    assert_eq!(config.redis.url, "redis://flag");
    assert_eq!(config.admin_token.as_deref(), Some("t"));
}

#[test]
fn text_of_the_environment_takes_the_type_of_its_key() {
    let config = resolve(
        &[
            ("RUSHGATE_ADMISSION_BATCH", "7"),
            ("RUSHGATE_AUTH_INSECURE_DEV_AUTH", "true"),
            ("RUSHGATE_AUTH_ISSUER", "123"),
            ("RUSHGATE_LISTEN", "[::1]:9"),
        ],
        &[],
    )
    .expect("valid");
    assert_eq!(config.admission.batch, 7);
    assert!(config.auth.insecure_dev_auth);
    assert_eq!(config.auth.issuer.as_deref(), Some("123"));
    assert_eq!(config.listen.to_string(), "[::1]:9");
}

#[test]
fn a_lander_is_told_from_others_by_its_name() {
    let named = |env: &[(&str, &str)]| resolve(env, &[]).expect("valid").instance();
    assert_eq!(
        named(&[("RUSHGATE_LANDING_INSTANCE", "lander-1")]).as_deref(),
        Some("lander-1")
    );
    assert_eq!(named(&[("RUSHGATE_ADMIN_LISTEN", "127.0.0.1:0")]), None);
    let by_host = named(&[("RUSHGATE_ADMIN_LISTEN", "127.0.0.1:9")]).expect("host and port");
    assert!(by_host.ends_with(".9") && by_host.len() > 2, "{by_host}");
}

#[test]
fn landing_is_configured_from_the_environment_too() {
    let config = resolve(
        &[
            ("RUSHGATE_LANDING_RETRY_DELAYS", "200ms,5s"),
            ("RUSHGATE_LANDING_POISON_SHARE", "0.25"),
            (
                "RUSHGATE_KAFKA_CONSUMER",
                "session.timeout.ms=6000, fetch.min.bytes=1",
            ),
        ],
        &[],
    )
    .expect("valid");
    let topics = config.topics().expect("delays");
    assert_eq!(topics.retries[1].name, "rushgate.orders.retry.5s");
    assert_eq!(config.landing().poison_share, 0.25);
    assert_eq!(config.kafka.consumer["session.timeout.ms"], "6000");
}

#[test]
fn deployments_that_share_a_kafka_have_a_prefix_each() {
    let config = resolve(&[("RUSHGATE_KAFKA_PREFIX", "shop")], &[]).expect("valid");
    assert_eq!(
        config.topics().expect("delays").names().first(),
        Some(&"shop.orders")
    );
    assert_eq!(config.flow().topics, ["shop.orders"]);
    let landing = config.landing();
    assert_eq!(
        [landing.topic, landing.group, landing.dead_letters],
        ["shop.orders", "shop-landing", "shop.orders.dlt"]
    );
}

#[test]
fn a_wrong_value_is_answered_with_its_source() {
    for (env, flag, expected) in [
        (
            ("RUSHGATE_ADMISSION_BATCH", "many"),
            None,
            "RUSHGATE_ADMISSION_BATCH: invalid type",
        ),
        (
            ("RUSHGATE_LOG_FORMAT", "xml"),
            None,
            "RUSHGATE_LOG_FORMAT: unknown variant `xml`",
        ),
        (
            ("RUSHGATE_X", ""),
            Some((LISTEN, "8080")),
            "--listen: invalid socket address",
        ),
        (
            ("RUSHGATE_LANDING_RETRY_DELAYS", "5s,soon"),
            None,
            "landing.retry_delays: \"5s,soon\" is not a list of different delays",
        ),
        (
            ("RUSHGATE_LANDING_POISON_SHARE", "1.5"),
            None,
            "landing.poison_share: 1.5 is not within 0 to 1",
        ),
        (
            ("RUSHGATE_LANDING_REDRIVE", "failed"),
            None,
            "landing.redrive: \"failed\" is no class of errors; classes are undecodable,",
        ),
        (
            ("RUSHGATE_REDIS_URL", "cache:6379"),
            None,
            "redis.url: the URL cannot be used: it does not begin with redis://",
        ),
        (
            ("RUSHGATE_REDIS_CA_FILE", "/ca.pem"),
            None,
            "redis.url: redis.ca_file, redis.certificate_file and redis.key_file are for rediss://",
        ),
        (
            ("RUSHGATE_DATABASE_URL", "postgres://me:s3cret@db/sales"),
            None,
            "database.url: \"postgres://db/sales\" begins with none of mysql://, mariadb://, sqlite:",
        ),
        (
            ("RUSHGATE_DATABASE_URL", "mysql://u:p@h:99999/db"),
            None,
            "database.url: it cannot be read: invalid port number",
        ),
        (
            ("RUSHGATE_DATABASE_URL", "mysql://u:p@h:0/db"),
            None,
            "database.url: no server listens on port 0",
        ),
        (
            ("RUSHGATE_DATABASE_URL", "mysql://u:p@h/db?foo=1"),
            None,
            "database.url: it has no parameter \"foo\"",
        ),
        (
            ("RUSHGATE_DATABASE_URL", "MYSQL://u:p@h/db?ssl-mode=bogus"),
            None,
            "database.url: ssl-mode=bogus is none of",
        ),
        (
            ("RUSHGATE_DATABASE_URL", "mysql://u:p@h:3306/"),
            None,
            "database.url: it names no database",
        ),
        (
            ("RUSHGATE_REDIS_URL", "redis://h:99999"),
            None,
            "redis.url: the URL cannot be used: its port is no number from 1 to 65535",
        ),
        (
            ("RUSHGATE_REDIS_URL", "redis://h:0"),
            None,
            "redis.url: the URL cannot be used: no server listens on port 0",
        ),
        (
            ("RUSHGATE_REDIS_URL", "redis://h/-1"),
            None,
            "redis.url: the URL cannot be used: its database is a number below 0",
        ),
        (
            ("RUSHGATE_REDIS_URL", "redis://h:1,redis://h:2"),
            None,
            "redis.url: the URL cannot be used: it names several servers",
        ),
        (
            ("RUSHGATE_KAFKA_BROKERS", "kafka:9092;kafka-2:9092"),
            None,
            "kafka.brokers: \"kafka:9092;kafka-2:9092\" is no broker; write host:port",
        ),
        (
            ("RUSHGATE_LANDING_BUSY_WAIT_MS", "60000"),
            None,
            "landing.busy_wait_ms: 60000 is more than 1000",
        ),
        (
            ("RUSHGATE_KAFKA_PRODUCER", "linger.ms=5,acks=1"),
            None,
            "kafka.producer: option acks = \"1\": an order is accepted only when",
        ),
        (
            ("RUSHGATE_KAFKA_CONSUMER", "session.timeout.ms"),
            None,
            "RUSHGATE_KAFKA_CONSUMER: entry 1 is not of the form name=value",
        ),
        (
            ("RUSHGATE_KAFKA_PREFIX", "my shop"),
            None,
            "kafka.prefix: \"my shop\" cannot begin the names of topics",
        ),
        (
            ("RUSHGATE_ADMISSION_BATCH", "0"),
            None,
            "admission.batch must be at least 1",
        ),
        (
            ("RUSHGATE_CAMPAIGNS_RETENTION_DAYS", "0"),
            None,
            "campaigns.retention_days: 0 is not within 1 to 366",
        ),
        (
            ("RUSHGATE_LISTEN", "127.0.0.1:8081"),
            None,
            "listen and admin_listen are both 127.0.0.1:8081",
        ),
    ] {
        let flags: Vec<_> = flag.into_iter().collect();
        let error = resolve(&[env], &flags).err().expect(expected);
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn options_of_librdkafka_may_be_quoted_or_not() {
    let config = file(
        "[kafka.options]\n\"security.protocol\" = \"SSL\"\nlinger.ms = 5\nenable.ssl.certificate.verification = false\n",
    )
    .expect("valid");
    let options: Vec<_> = config.kafka.options.into_iter().collect();
    let expected = [
        ("enable.ssl.certificate.verification", "false"),
        ("linger.ms", "5"),
        ("security.protocol", "SSL"),
    ];
    assert_eq!(
        options,
        expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
}

#[test]
fn compiled_modules_have_a_place() {
    let place = |config: &Config, data: Option<&str>, env: &[(&str, &str)]| {
        let env = |name: &str| {
            let found = env.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| std::ffi::OsString::from(value))
        };
        let chosen = config.wasm(data.map(Path::new), env).cache_dir;
        chosen.map(|folder| folder.display().to_string())
    };
    let (home, xdg) = (("HOME", "/home/ada"), ("XDG_CACHE_HOME", "/var/caches"));
    let plain = Config::default();
    assert_eq!(place(&plain, None, &[]), None);
    assert_eq!(
        place(&plain, None, &[home]).as_deref(),
        Some("/home/ada/.cache/rushgate/wasm")
    );
    assert_eq!(
        place(&plain, None, &[home, xdg]).as_deref(),
        Some("/var/caches/rushgate/wasm")
    );
    assert_eq!(
        place(&plain, Some("/data"), &[home]).as_deref(),
        Some("/data/wasm")
    );
    let chosen = resolve(&[("RUSHGATE_WASM_CACHE_DIR", "/srv/wasm")], &[]).expect("a path");
    assert_eq!(
        place(&chosen, Some("/data"), &[home]).as_deref(),
        Some("/srv/wasm")
    );
    let off = resolve(&[("RUSHGATE_WASM_CACHE_DIR", "")], &[]).expect("the empty text");
    assert_eq!(place(&off, Some("/data"), &[home]), None);
}

#[test]
fn listeners_are_checked_as_a_whole() {
    for (env, said) in [
        (
            &[
                ("RUSHGATE_GATEWAY_PROXIES", "10.0.0.0/8"),
                ("RUSHGATE_GATEWAY_TRUSTED_PROXIES", "1"),
            ][..],
            "gateway.trusted_proxies: gateway.proxies names the proxies",
        ),
        (
            &[("RUSHGATE_GATEWAY_CLIENT_IP_HEADER", "X-Real-IP")],
            "gateway.client_ip_header: nobody is believed to say a buyer's address",
        ),
        (
            &[
                ("RUSHGATE_GATEWAY_PROXIES", "10.0.0.0/8"),
                ("RUSHGATE_GATEWAY_CLIENT_IP_HEADER", "X Real IP"),
            ],
            "RUSHGATE_GATEWAY_CLIENT_IP_HEADER: \"X Real IP\" is not the name of a header",
        ),
        (
            &[("RUSHGATE_GATEWAY_PROXIES", "10.0.0.0/33")],
            "RUSHGATE_GATEWAY_PROXIES: \"10.0.0.0/33\" is not a network",
        ),
        (
            &[("RUSHGATE_GATEWAY_TLS_CERT_FILE", "/c")],
            "gateway.tls_key_file: the certificate needs its key",
        ),
        (
            &[("RUSHGATE_ADMIN_TLS_KEY_FILE", "/k")],
            "admin.tls_cert_file: the key needs its certificate",
        ),
        (
            &[("RUSHGATE_ADMIN_TLS_CLIENT_CA_FILE", "/a")],
            "admin.tls_cert_file: certificates of clients",
        ),
        (
            &[("RUSHGATE_ADMIN_CONNECTIONS", "0")],
            "admin.connections must be at least 1",
        ),
    ] {
        let error = resolve(env, &[]).err().expect(said);
        assert!(error.contains(said), "{error}");
    }
    let config = resolve(&[("RUSHGATE_GATEWAY_PROXIES", "10.0.0.0/8, fd00::/8")], &[]).expect("networks");
    let limits = config.gateway.limits();
    assert!(limits.proxies.contain([10, 1, 1, 1].into()) && !limits.all_proxies);
    let counted = resolve(&[("RUSHGATE_GATEWAY_TRUSTED_PROXIES", "1")], &[]).expect("counted");
    assert!(counted.gateway.limits().all_proxies);
    assert!(counted.gateway.tls().is_none() && counted.admin.tls().is_none());
}
