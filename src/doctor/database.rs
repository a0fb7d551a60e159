//! The leg to the database.

use super::clocks::compare;
use super::leg::{Leg, Stopped, Wrong, login_key, url_key, wrong};
use super::net::reach;
use super::report::Finding;
use super::{Patient, Role};
use crate::store::{Place, Schema, ServerFacts, Store, StoreError, place};

pub(super) const STEPS: &[&str] = &[
    "address",
    "login",
    "server",
    "settings",
    "connections",
    "tables",
    "rights",
    "guards",
    "clock",
];
/// The first versions that enforce CHECK constraints.
const MYSQL_MIN: (u32, u32, u32) = (8, 0, 16);
const MARIADB_MIN: (u32, u32, u32) = (10, 6, 0);
const ISOLATION: &str = "READ-COMMITTED";
const TIME_ZONE: &str = "+00:00";
/// A statement of landing is smaller.
const PACKET_MIN: u64 = 4 << 20;

pub(super) async fn examine(patient: &Patient<'_>, leg: &mut Leg) -> Result<(), Stopped> {
    let config = &patient.config.database;
    let key = url_key("database", &patient.config.database.url_file);
    let is_local = address(&config.url, &key, leg).await?;
    let store = leg
        .step("login", async {
            Store::connect(config)
                .await
                .map_err(|error| not_in(&error, &key, patient))
        })
        .await?;
    let examined = look(patient, &store, (&key, is_local), leg).await;
    // A server that is silent is not waited for.
    drop(tokio::time::timeout(leg.limit(), store.close()).await);
    examined
}

/// Whether it is this machine.
async fn address(url: &str, key: &str, leg: &mut Leg) -> Result<bool, Stopped> {
    let read = place(url);
    let place = leg
        .step("address", async {
            read.map_err(|error| {
                let said = error.to_string();
                let todo = todo(&said, key, key, false);
                wrong(said, todo)
            })
        })
        .await?;
    match place {
        Place::Tcp { host, port } => {
            let reached = leg.step("address", reach(&host, port, key)).await?;
            leg.ok("address", format!("{host}:{port} takes connections"));
            Ok(reached.is_local)
        }
        Place::Socket(path) | Place::File(path) => {
            leg.ok("address", path);
            Ok(true)
        }
    }
}

/// `key` is where the URL stands; `is_local`: the server is this machine.
async fn look(
    patient: &Patient<'_>,
    store: &Store,
    (key, is_local): (&str, bool),
    leg: &mut Leg,
) -> Result<(), Stopped> {
    if store.is_server() {
        let facts = leg
            .step("server", async {
                store.server_facts().await.map_err(|error| broken(&error))
            })
            .await?;
        leg.note([logged_in(store, &facts, key, is_local)])?;
        let fit = leg
            .step("server", async {
                let tried = store.try_server().await;
                tried.map_err(|error| {
                    wrong(
                        error.to_string(),
                        "use MySQL 8.0.16 or newer, or MariaDB 10.6 or newer",
                    )
                })
            })
            .await;
        fit?;
        leg.note(judge(&facts, key, patient))?;
    } else {
        leg.ok("login", store.place());
    }
    let schema = leg.step("tables", tables(store)).await?;
    leg.ok("tables", schema);
    let missing = leg
        .step("rights", async {
            store.missing_rights().await.map_err(|error| broken(&error))
        })
        .await?;
    leg.note([judge_rights(&missing)])?;
    leg.step("guards", async {
        let guarded = store.check_schema().await;
        guarded.map_err(|error| wrong(error.to_string(), "mend the table as it says"))
    })
    .await?;
    leg.ok("guards", "limits and stock are guarded by the tables, too");
    let before = (patient.clock)();
    let theirs = leg
        .step("clock", async {
            store.clock().await.map_err(|error| broken(&error))
        })
        .await?;
    leg.note([compare(theirs, before, (patient.clock)())])
}

/// Whether the tables are those of this build.
async fn tables(store: &Store) -> Result<&'static str, Wrong> {
    match store.schema().await {
        Ok(Schema::Current) => Ok("those of this build"),
        Ok(Schema::Behind(what)) => Err(wrong(what, "rushgate migrate")),
        Err(error) => Err(wrong(
            error.to_string(),
            "run the rushgate that made the tables, or a newer one",
        )),
    }
}

fn broken(error: &StoreError) -> Wrong {
    wrong(error.to_string(), "see the server's log")
}

/// Why nobody is let in.
fn not_in(error: &StoreError, key: &str, patient: &Patient<'_>) -> Wrong {
    let said = error.to_string();
    let database = &patient.config.database;
    let is_plain = database.url.to_ascii_lowercase().contains("mode=disabled");
    let login = login_key("database", &database.url_file, &database.password_file);
    let todo = todo(&said, key, &login, is_plain);
    wrong(said, todo)
}

/// `key` is where the URL stands, `login` where user and password do; `is_plain`: the URL asks for no encryption.
fn todo(said: &str, key: &str, login: &str, is_plain: bool) -> String {
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if has(&["database URL"]) {
        let parameters = [
            "ssl-ca:",
            "ssl-cert",
            "ssl-key",
            "ssl-mode",
            "certificate",
            "private key",
        ];
        return match parameters.iter().any(|name| said.contains(name)) {
            true => format!("mend ssl-mode, ssl-ca, ssl-cert or ssl-key in {key}, as it says"),
            false => format!("mend {key}: mysql://user:password@host:3306/name"),
        };
    }
    if has(&["1045 (", "1698 ("]) {
        match is_plain {
            true => format!(
                "set user and password in {login}; where the server or that user wants TLS (require_secure_transport, REQUIRE SSL), \
                 ?ssl-mode=verify_identity&ssl-ca=/path/ca.pem in {key} instead of ssl-mode=disabled"
            ),
            false => format!("set user and password in {login}: mysql://user:password@host:3306/name"),
        }
    } else if has(&["1049 ("]) {
        format!("CREATE DATABASE of that name, or mend the name in {key}")
    } else if has(&["1044 ("]) {
        "GRANT SELECT, INSERT, UPDATE, DELETE ON <database>.* TO <user>".to_owned()
    } else if has(&["1130 ("]) {
        "CREATE USER <user>@<this machine> on the server".to_owned()
    } else if has(&["1040 (", "1203 ("]) {
        "raise max_connections on the server, or lower database.connections".to_owned()
    } else if has(&["3159 (", "insecure transport"]) {
        format!(
            "the server takes encrypted connections alone: ?ssl-mode=verify_identity&ssl-ca=/path/ca.pem in {key} instead of \
             ssl-mode=disabled"
        )
    } else if has(&["does not support TLS", "TLS upgrade"]) {
        format!("give the server a certificate, or set ssl-mode=disabled in {key}")
    } else if has(&["not valid for name", "NotValidForName"]) {
        format!("write a host into {key} that the server's certificate names, or ssl-mode=verify_ca")
    } else if has(&["expired", "Expired"]) {
        "have the server's certificate renewed (ssl_cert of the server)".to_owned()
    } else if has(&["certificate", "UnknownIssuer", "TLS", "tls"]) {
        format!(
            "ssl-ca=/path/ca.pem in {key}: a file with the authority that signed the server's certificate"
        )
    } else {
        "see the server's log".to_owned()
    }
}

fn logged_in(store: &Store, facts: &ServerFacts, key: &str, is_local: bool) -> Finding {
    match &facts.cipher {
        Some(cipher) => Finding::ok("login", format!("{}, over TLS ({cipher})", store.place())),
        None if is_local => Finding::ok("login", store.place()),
        None => Finding::warning(
            "login",
            format!("{}; nothing is encrypted on the way", store.place()),
            format!("give the server a certificate and add ?ssl-mode=verify_identity to {key}"),
        ),
    }
}

fn judge(facts: &ServerFacts, key: &str, patient: &Patient<'_>) -> Vec<Finding> {
    let pool = u64::from(patient.config.database.connections);
    let processes = if patient.role.is_some() { 1 } else { 2 };
    // A lander's threads have connections of their own besides.
    let landing = match patient.role {
        Some(Role::Serve) => 0,
        Some(Role::Land) | None => patient.config.landing.consumers + patient.topics.retries.len(),
    };
    let mut findings = vec![server(facts, key)];
    findings.extend(settings(facts));
    findings.push(connections(
        facts,
        pool * processes + landing as u64,
        patient.role,
    ));
    findings
}

fn server(facts: &ServerFacts, key: &str) -> Finding {
    let version = version(&facts.version);
    let (product, oldest) = match facts.is_mariadb {
        true => ("MariaDB", MARIADB_MIN),
        false => ("MySQL", MYSQL_MIN),
    };
    let name = format!("{product} {}", facts.version);
    if version < oldest {
        return Finding::failed(
            "server",
            format!("{name} is too old: it does not guard the limits"),
            format!(
                "install {product} {}.{}.{} or newer",
                oldest.0, oldest.1, oldest.2
            ),
        );
    }
    if facts.read_only {
        return Finding::failed(
            "server",
            format!("{name} is read-only: a replica, or one that was told so"),
            format!("put the primary's address into {key}, or SET GLOBAL read_only = 0"),
        );
    }
    Finding::ok("server", name)
}

/// Major, minor, patch.
fn version(text: &str) -> (u32, u32, u32) {
    // Some servers write a version for old replicas in front.
    let text = text.strip_prefix("5.5.5-").unwrap_or(text);
    let numbers = text.split(|c: char| !c.is_ascii_digit());
    let mut numbers = numbers.map(|number| number.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next(), next())
}

fn settings(facts: &ServerFacts) -> Vec<Finding> {
    let mut findings = Vec::new();
    if facts.isolation != ISOLATION || facts.time_zone != TIME_ZONE {
        findings.push(Finding::failed(
            "settings",
            format!(
                "sessions are {} in time zone {}, though they were set to {ISOLATION} and {TIME_ZONE}",
                facts.isolation, facts.time_zone
            ),
            "give this address without a proxy that changes or shares sessions",
        ));
    }
    if facts.logs_statements {
        findings.push(Finding::failed(
            "settings",
            "binlog_format is STATEMENT, which refuses every write under READ COMMITTED",
            "SET GLOBAL binlog_format = 'ROW', and the same in its configuration",
        ));
    }
    if !facts.flushes_commits {
        findings.push(Finding::warning(
            "settings",
            "innodb_flush_log_at_trx_commit is not 1: a power cut loses orders that were confirmed",
            "SET GLOBAL innodb_flush_log_at_trx_commit = 1, and the same in its configuration",
        ));
    }
    if facts.packet_max < PACKET_MIN {
        findings.push(Finding::warning(
            "settings",
            format!(
                "max_allowed_packet is {} bytes: statements of landing may be larger",
                facts.packet_max
            ),
            "SET GLOBAL max_allowed_packet = 16777216, and the same in its configuration",
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(
            "settings",
            format!("{ISOLATION}, UTC, commits are on disk"),
        ));
    }
    findings
}

fn connections(facts: &ServerFacts, needed: u64, role: Option<Role>) -> Finding {
    let free = facts.connections_max.saturating_sub(facts.connections);
    let who = match role {
        Some(_) => "this process",
        None => "a gateway and a lander",
    };
    let told = format!(
        "{free} of {} are free, {who} may take {needed}",
        facts.connections_max
    );
    match needed > free {
        true => Finding::warning(
            "connections",
            told,
            "SET GLOBAL max_connections to more on the server, or lower database.connections; processes that run already are \
             among those in use",
        ),
        false => Finding::ok("connections", told),
    }
}

fn judge_rights(missing: &[String]) -> Finding {
    if missing.is_empty() {
        return Finding::ok("rights", "every table may be read and written");
    }
    let shown: Vec<&str> = missing.iter().take(4).map(String::as_str).collect();
    let more = match missing.len() - shown.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Finding::failed(
        "rights",
        format!("this user may not {}{more}", shown.join(", ")),
        "GRANT SELECT, INSERT, UPDATE, DELETE ON <database>.* TO <user>; `rushgate migrate` needs CREATE, ALTER, INDEX and DROP, \
         too",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::FindingLevel;

    fn healthy() -> ServerFacts {
        ServerFacts {
            version: "8.0.36".into(),
            isolation: ISOLATION.into(),
            time_zone: TIME_ZONE.into(),
            connections_max: 151,
            connections: 1,
            flushes_commits: true,
            packet_max: 16 << 20,
            ..ServerFacts::default()
        }
    }

    fn told(facts: &ServerFacts) -> String {
        let mut findings = vec![server(facts, "database.url"), connections(facts, 16, None)];
        findings.extend(settings(facts));
        let bad = findings
            .into_iter()
            .filter(|finding| finding.level != FindingLevel::Ok);
        let line = |finding: Finding| {
            let todo = finding.todo.unwrap_or_default();
            format!(
                "{:?} {}: {} -> {todo}",
                finding.level, finding.step, finding.found
            )
        };
        bad.map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn servers_that_are_not_well_are_told_apart() {
        assert_eq!(told(&healthy()), "");
        let mariadb = |version: &str| ServerFacts {
            version: version.into(),
            is_mariadb: true,
            ..healthy()
        };
        assert_eq!(told(&mariadb("10.11.6-MariaDB-0+deb12u1")), "");
        assert_eq!(told(&mariadb("5.5.5-10.6.2-MariaDB")), "");
        let cases = [
            mariadb("10.5.9-MariaDB"),
            ServerFacts {
                version: "8.0.15".into(),
                ..healthy()
            },
            ServerFacts {
                read_only: true,
                ..healthy()
            },
            ServerFacts {
                isolation: "REPEATABLE-READ".into(),
                ..healthy()
            },
            ServerFacts {
                logs_statements: true,
                ..healthy()
            },
            ServerFacts {
                flushes_commits: false,
                packet_max: 1 << 20,
                ..healthy()
            },
            ServerFacts {
                connections: 140,
                ..healthy()
            },
        ];
        insta::assert_snapshot!(cases.iter().map(told).collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn what_is_not_granted_is_named() {
        let missing: Vec<String> = ["a", "b", "c", "d", "e", "f"]
            .map(|table| format!("INSERT on {table}"))
            .into();
        let finding = judge_rights(&missing);
        assert_eq!(
            finding.found,
            "this user may not INSERT on a, INSERT on b, INSERT on c, INSERT on d and 2 more"
        );
    }
}
