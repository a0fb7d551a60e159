//! Each secret from its file, never twice, never shown.

use std::os::unix::fs::PermissionsExt;

use super::super::{Source, load};
use super::*;

fn file(content: &str, mode: u32) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), content).expect("written");
    std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).expect("a mode");
    file
}

fn resolved(toml: &str, env: &[(&str, &str)]) -> Result<Config, String> {
    let config = file(toml, 0o600);
    let env = |name: &str| {
        let found = env.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let source = Source {
        file: Some(config.path()),
        env: &env,
        flags: Vec::new(),
    };
    load(&source).map_err(|error| error.to_string())
}

#[test]
fn every_secret_may_stand_in_a_file() {
    let (token, redis, password, sasl) = (
        file("t0ken\n", 0o600),
        file("redis://:a@r:1\r\n", 0o600),
        file(" p@ss/wörd \n", 0o600),
        file("s\n", 0o644),
    );
    let path = |file: &tempfile::NamedTempFile| file.path().display().to_string();
    let (token, redis, password, sasl) = (path(&token), path(&redis), path(&password), path(&sasl));
    let toml = format!(
        "admin_token_file = \"{token}\"\n[database]\nurl = \"mysql://shop@db:3307/sales\"\npassword_file = \"{password}\"\n\
         [kafka.options]\n\"security.protocol\" = \"SASL_SSL\"\n\"sasl.mechanisms\" = \"SCRAM-SHA-512\"\n\
         \"sasl.username\" = \"shop\"\n\"ssl.key.password_file\" = \"{sasl}\"\n"
    );
    let env = [
        ("RUSHGATE_REDIS_URL_FILE", redis.as_str()),
        ("RUSHGATE_KAFKA_SASL_PASSWORD_FILE", &sasl),
    ];
    let config = resolved(&toml, &env).expect("valid");
    assert_eq!(config.admin_token.as_deref(), Some("t0ken"));
    assert_eq!(config.redis.url, "redis://:a@r:1");
    assert_eq!(
        config.database.url,
        "mysql://shop:%20p%40ss%2Fw%C3%B6rd%20@db:3307/sales"
    );
    assert_eq!(config.kafka.options["sasl.password"], "s");
    assert_eq!(config.kafka.options["ssl.key.password"], "s");
    assert!(!config.kafka.options.contains_key("ssl.key.password_file"));
    assert_eq!(config.warnings.len(), 2, "{:?}", config.warnings);
    assert!(
        config
            .warnings
            .iter()
            .all(|warning| warning.contains(&sasl) && warning.contains("0644"))
    );
}

#[test]
fn a_password_finds_its_place_in_a_url() {
    for (url, expected) in [
        ("redis://r:6379/1", "redis://:a%3A@r:6379/1"),
        ("rediss://shop@r", "rediss://shop:a%3A@r"),
        ("redis+unix:///run/r.sock", "redis+unix:///run/r.sock?pass=a%3A"),
        (
            "redis+unix:///run/r.sock?db=1",
            "redis+unix:///run/r.sock?db=1&pass=a%3A",
        ),
    ] {
        let env = [("RUSHGATE_REDIS_URL", url), ("RUSHGATE_REDIS_PASSWORD", "a:")];
        assert_eq!(resolved("", &env).expect("valid").redis.url, expected);
    }
}

#[test]
fn nothing_is_given_twice_and_both_places_are_named() {
    let secret = file("x\n", 0o600);
    let path = secret.path().display().to_string();
    let both = |toml: &str, env: &[(&str, &str)], names: [&str; 2]| {
        let error = resolved(toml, env).err().expect("twice");
        assert!(
            names.iter().all(|name| error.contains(name)) && error.contains("both"),
            "{error}"
        );
        assert!(!error.contains("s3cret"), "{error}");
    };
    let at = |key: &'static str| (key, path.as_str());
    both(
        "",
        &[
            ("RUSHGATE_ADMIN_TOKEN", "s3cret"),
            at("RUSHGATE_ADMIN_TOKEN_FILE"),
        ],
        ["RUSHGATE_ADMIN_TOKEN ", "RUSHGATE_ADMIN_TOKEN_FILE"],
    );
    both(
        "[redis]\nurl = \"redis://r\"",
        &[at("RUSHGATE_REDIS_URL_FILE")],
        ["redis.url (", "RUSHGATE_REDIS_URL_FILE"],
    );
    both(
        "",
        &[
            ("RUSHGATE_DATABASE_PASSWORD", "s3cret"),
            at("RUSHGATE_DATABASE_PASSWORD_FILE"),
        ],
        ["RUSHGATE_DATABASE_PASSWORD ", "RUSHGATE_DATABASE_PASSWORD_FILE"],
    );
    both(
        "",
        &[
            ("RUSHGATE_REDIS_URL", "redis://:s3cret@r"),
            at("RUSHGATE_REDIS_PASSWORD_FILE"),
        ],
        ["a password in redis.url", "RUSHGATE_REDIS_PASSWORD_FILE"],
    );
    both(
        "[kafka.options]\n\"sasl.password\" = \"s3cret\"",
        &[at("RUSHGATE_KAFKA_SASL_PASSWORD_FILE")],
        ["RUSHGATE_KAFKA_SASL_PASSWORD_FILE", "sasl.password"],
    );
    let toml =
        format!("[kafka.producer]\n\"sasl.password\" = \"s3cret\"\n\"sasl.password_file\" = \"{path}\"");
    both(
        &toml,
        &[],
        [
            "kafka.producer: sasl.password ",
            "kafka.producer: sasl.password_file",
        ],
    );
    // The empty text is none.
    assert!(
        resolved(
            "",
            &[("RUSHGATE_ADMIN_TOKEN", ""), at("RUSHGATE_ADMIN_TOKEN_FILE")]
        )
        .is_ok()
    );
}

#[test]
fn what_is_wrong_with_a_file_is_said() {
    let (empty, lines) = (file("\n", 0o600), file("a\nb\n", 0o600));
    for (path, expected) in [
        (
            "/no/such/file",
            "RUSHGATE_ADMIN_TOKEN_FILE: cannot read /no/such/file: No such file",
        ),
        ("/", "RUSHGATE_ADMIN_TOKEN_FILE: cannot read /: Is a directory"),
        (&empty.path().display().to_string(), "is empty"),
        (&lines.path().display().to_string(), "more than one line"),
    ] {
        let error = resolved("", &[("RUSHGATE_ADMIN_TOKEN_FILE", path)])
            .err()
            .expect(expected);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn what_was_mistyped_is_never_shown() {
    for (toml, env) in [
        ("[redis]\npasword = \"s3cret\"", None),
        ("[redis]\npassword = s3cret", None),
        ("[redis]\npassword = 53cret1", None),
        ("[redis]\npassword = 5333", None),
        ("redis = { password = 5333 }", None),
        ("[database]\nurl = 5333", None),
        ("admin_token = \"s3cret\"", None),
        ("[seal]\nkeys = \"s3cret\"", None),
        ("[seal]\nkeys = \"s3cret:nothing\"", None),
        ("[seal]\nkeys = \"a:s3cret\"", None),
        ("[kafka]\noptions = \"sasl.password:s3cret\"", None),
        ("[kafka]\nsasl_password_file = \"s3cret\"", None),
        ("", Some(("RUSHGATE_KAFKA_OPTIONS", "sasl.password=a,s3cret"))),
        ("", Some(("RUSHGATE_KAFKA_PRODUCER", "s3cret"))),
        ("", Some(("RUSHGATE_REDIS_PASSWORD_FILE", "s3cret"))),
        (
            "",
            Some(("RUSHGATE_DATABASE_URL", "mysql://me:12/s3cret@db/sales")),
        ),
        ("", Some(("RUSHGATE_REDIS_URL", "redis://:s3?cret@r"))),
        ("", Some(("RUSHGATE_REDIS_URL", "redis://:#s3cret@r"))),
    ] {
        let env: Vec<_> = env.into_iter().collect();
        let error = resolved(toml, &env).err().expect(toml);
        assert!(
            !error.contains("s3cret") && !error.contains("5333") && !error.contains("53cret1"),
            "{toml} {env:?}: {error}"
        );
    }
}

#[test]
fn commands_of_an_operator_find_the_token_in_its_file_too() {
    let secret = file("t0ken\n", 0o600);
    let path = secret.path().display().to_string();
    let token = |pairs: &[(&str, &str)]| {
        let env = |name: &str| {
            let found = pairs.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        admin_token(&env).map_err(|error| error.to_string())
    };
    assert_eq!(token(&[]), Ok(None));
    assert_eq!(token(&[("RUSHGATE_ADMIN_TOKEN", "a")]), Ok(Some("a".into())));
    assert_eq!(
        token(&[("RUSHGATE_ADMIN_TOKEN_FILE", &path)]),
        Ok(Some("t0ken".into()))
    );
    let both = token(&[
        ("RUSHGATE_ADMIN_TOKEN", "a"),
        ("RUSHGATE_ADMIN_TOKEN_FILE", &path),
    ]);
    assert_eq!(
        both.expect_err("twice"),
        "RUSHGATE_ADMIN_TOKEN and RUSHGATE_ADMIN_TOKEN_FILE are both given; leave one of them out"
    );
}

#[test]
fn a_payment_system_has_a_token_of_its_own() {
    let with = |pairs: &[(&str, &str)]| resolved("", pairs).map_err(|error| error.to_string());
    let admin = ("RUSHGATE_ADMIN_TOKEN", "a");
    let config = with(&[admin, ("RUSHGATE_PAYMENT_TOKEN", "p")]).expect("two tokens");
    assert_eq!(config.payment_token.as_deref(), Some("p"));
    assert_eq!(with(&[admin]).expect("one token").payment_token, None);
    for (pairs, words) in [
        (&[("RUSHGATE_PAYMENT_TOKEN", "p")][..], "set that, too"),
        (&[admin, ("RUSHGATE_PAYMENT_TOKEN", "a")], "make another one"),
        (
            &[admin, ("RUSHGATE_PAYMENT_TOKEN_FILE", "/no/such/file")],
            "RUSHGATE_PAYMENT_TOKEN_FILE: cannot read",
        ),
    ] {
        let error = with(pairs).err().expect(words);
        assert!(error.contains(words), "{error}");
        assert!(error.starts_with("RUSHGATE_PAYMENT_TOKEN"), "{error}");
    }
}
