//! The leg to Redis.

use super::Patient;
use super::clocks::compare;
use super::leg::{Leg, Stopped, Wrong, login_key, url_key, wrong};
use super::net::{Reached, plain_answer, reach};
use super::report::Finding;
use crate::engine::redis::{Closed, Examination, Lacking, Place, Redis, ServerFacts};

pub(super) const STEPS: &[&str] = &[
    "address",
    "login",
    "server",
    "memory",
    "persistence",
    "rights",
    "clock",
];
/// The oldest version whose scripts may say what they write.
const VERSION_MIN: (u32, u32) = (7, 0);

pub(super) async fn examine(patient: &Patient<'_>, leg: &mut Leg) -> Result<(), Stopped> {
    let limit = leg.limit();
    let key = url_key("redis", &patient.config.redis.url_file);
    let redis = leg
        .step("address", async {
            Redis::new(patient.config.redis.clone()).map_err(|error| unusable(&error.to_string(), &key))
        })
        .await?;
    let (reached, tls) = match redis.place() {
        Place::Socket(path) => {
            leg.ok("address", path.display().to_string());
            (None, false)
        }
        Place::Tcp { host, port, tls } => {
            let reached = leg.step("address", reach(&host, port, &key)).await?;
            leg.ok("address", format!("{host}:{port} takes connections"));
            (Some(reached), tls)
        }
    };
    let connected = async {
        if let Some(reached) = &reached {
            speaks(reached, tls, &key).await?;
        }
        let examination = redis.examine(limit).await;
        examination.map_err(|closed| match closed {
            Closed::Broken(cause) if tls => {
                let todo = encryption(&cause, &key, patient);
                wrong(cause, todo)
            }
            closed => refused(&closed, patient, &redis.user()),
        })
    };
    let mut examination = leg.step("login", connected).await?;
    leg.note([logged_in(&redis, reached.as_ref(), tls, &key)])?;
    let facts = leg
        .step("server", async {
            let facts = examination.server().await;
            facts.map_err(|closed| refused(&closed, patient, &redis.user()))
        })
        .await?;
    leg.note(judge(&facts, &key))?;
    rights(patient, &redis, &mut examination, leg).await?;
    let before = (patient.clock)();
    let theirs = leg
        .step("clock", async {
            let clock = examination.clock().await;
            clock.map_err(|closed| refused(&closed, patient, &redis.user()))
        })
        .await?;
    leg.note([compare(theirs, before, (patient.clock)())])
}

async fn rights(
    patient: &Patient<'_>,
    redis: &Redis,
    examination: &mut Examination,
    leg: &mut Leg,
) -> Result<(), Stopped> {
    let token = uuid::Uuid::now_v7().simple().to_string();
    let lacking = leg
        .step("rights", async {
            let lacking = examination.lacking(&token).await;
            lacking.map_err(|closed| refused(&closed, patient, &redis.user()))
        })
        .await?;
    leg.note([judge_rights(&redis.user(), &lacking)])
}

/// Fails where one side speaks TLS and the other does not: both would wait for each other.
async fn speaks(reached: &Reached, tls: bool, key: &str) -> Result<(), Wrong> {
    let answer = plain_answer(reached.address, b"PING\r\n").await;
    match answer.first() {
        // What every answer of Redis begins with, and what a proxy in front of it may say itself.
        Some(b'+' | b'-') if tls => Err(wrong(
            "the server speaks no TLS here",
            format!("write redis:// in {key}, or give the port with TLS (tls-port in redis.conf)"),
        )),
        Some(b'+' | b'-') => Ok(()),
        // An alert of TLS, or a connection that was closed for what it said.
        None | Some(0x15) if tls => Ok(()),
        None | Some(0x15) => Err(wrong(
            "the server understands no plain text: it speaks TLS here",
            format!("write rediss:// in {key}, or give the port without TLS"),
        )),
        Some(_) => Err(wrong(
            format!("what listens there is no Redis: it answers {:?}", shown(&answer)),
            format!("mend host and port in {key}"),
        )),
    }
}

fn shown(answer: &[u8]) -> String {
    let text = String::from_utf8_lossy(&answer[..answer.len().min(40)]).into_owned();
    text.chars().filter(|c| !c.is_control()).collect()
}

/// Why nothing can be tried: the URL, or a file that it needs.
fn unusable(error: &str, key: &str) -> Wrong {
    let files = ["redis.ca_file", "redis.certificate_file and redis.key_file"];
    let about = files.iter().find(|file| error.contains(*file));
    let todo = match about {
        _ if error.contains("are for rediss://") => {
            format!(
                "write rediss:// in {key}, or take redis.ca_file, redis.certificate_file and redis.key_file away"
            )
        }
        Some(file) => format!("mend {file}"),
        // What is wrong with a pair of files is told with their paths.
        None if error.contains("certificate")
            || error.contains("private key")
            || error.contains("cannot read") =>
        {
            "mend redis.certificate_file and redis.key_file".to_owned()
        }
        None => format!("mend {key}: redis://user:password@host:6379"),
    };
    wrong(error, todo)
}

/// What to do about a connection that TLS does not let be.
fn encryption(cause: &str, key: &str, patient: &Patient<'_>) -> String {
    let has = |words: &[&str]| words.iter().any(|word| cause.contains(word));
    let tls = patient.config.redis.tls();
    if has(&["UnknownIssuer", "BadSignature", "CaUsedAsEndEntity"]) {
        match &tls.ca_file {
            Some(path) => format!(
                "put the authority that signed the server's certificate into redis.ca_file ({})",
                path.display()
            ),
            None => "set redis.ca_file to a file with the authority that signed the server's certificate"
                .to_owned(),
        }
    } else if has(&["not valid for name", "NotValidForName"]) {
        format!("write a host into {key} that the server's certificate names")
    } else if has(&["expired", "Expired"]) {
        "have the server's certificate renewed (tls-cert-file in redis.conf)".to_owned()
    } else if has(&["CertificateRequired", "HandshakeFailure", "alert"]) {
        match tls.certificate_file {
            Some(_) => "have a certificate made by an authority that the server believes (tls-ca-cert-file in redis.conf) for \
                        redis.certificate_file and redis.key_file"
                .to_owned(),
            None => "the server wants a certificate: set redis.certificate_file and redis.key_file".to_owned(),
        }
    } else {
        "see the server's log, and redis.ca_file, redis.certificate_file and redis.key_file".to_owned()
    }
}

fn refused(closed: &Closed, patient: &Patient<'_>, user: &str) -> Wrong {
    match closed {
        Closed::Login(cause) => {
            let redis = &patient.config.redis;
            let place = login_key("redis", &redis.url_file, &redis.password_file);
            wrong(
                cause.clone(),
                format!(
                    "set user and password in {place} (redis://user:password@host:port): ACL GETUSER {user} on the server"
                ),
            )
        }
        Closed::Broken(cause) => wrong(cause.clone(), "see the server's log"),
        Closed::NotAllowed(command, cause) => wrong(cause.clone(), format!("ACL SETUSER {user} +{command}")),
    }
}

fn logged_in(redis: &Redis, reached: Option<&Reached>, tls: bool, key: &str) -> Finding {
    let user = redis.user();
    match reached {
        _ if tls => Finding::ok("login", format!("user {user}, over TLS")),
        Some(reached) if !reached.is_local => Finding::warning(
            "login",
            format!(
                "user {user}; nothing is encrypted on the way to {}",
                reached.address
            ),
            format!("give the server a certificate (tls-port) and write rediss:// in {key}"),
        ),
        _ => Finding::ok("login", format!("user {user}")),
    }
}

fn judge(facts: &ServerFacts, key: &str) -> Vec<Finding> {
    vec![server(facts, key), memory(facts), persistence(facts)]
}

fn server(facts: &ServerFacts, key: &str) -> Finding {
    let product = &facts.product;
    let failed = |found: String, todo: &str| Finding::failed("server", found, todo);
    if facts.is_sentinel {
        return failed(
            format!("{product} is a Sentinel: it keeps no data"),
            &format!("put the master's address into {key}: SENTINEL GET-MASTER-ADDR-BY-NAME <name>"),
        );
    }
    if facts.version < VERSION_MIN {
        return failed(
            format!("{product} is too old: scripts need Redis 7 or Valkey"),
            "install Redis 7 or newer, or Valkey",
        );
    }
    if let Some(master) = &facts.master {
        return failed(
            format!("{product} is a replica, which takes no writes"),
            &format!("put its master into {key}: {master}"),
        );
    }
    if facts.is_loading {
        return failed(
            format!("{product} still loads its data: the gate is closed until it has"),
            "wait, and try again: redis-cli INFO persistence says how far it is",
        );
    }
    if facts.is_cluster {
        return Finding::warning(
            "server",
            format!("{product} is part of a cluster, and rushgate talks to this node alone"),
            "campaigns whose keys other nodes hold stay closed: use a server of its own",
        );
    }
    Finding::ok("server", format!("{product}, a master"))
}

fn memory(facts: &ServerFacts) -> Finding {
    let mib = |bytes: u64| bytes / (1 << 20);
    let policy = facts.memory_policy.as_str();
    match facts.memory_max {
        0 => Finding::ok("memory", "no limit of its own"),
        max if policy != "noeviction" => Finding::warning(
            "memory",
            format!(
                "above {} MiB it throws keys away ({policy}): stock, limits and orders are among them",
                mib(max)
            ),
            "CONFIG SET maxmemory-policy noeviction, and the same in redis.conf",
        ),
        max if facts.memory_used > max / 10 * 9 => Finding::warning(
            "memory",
            format!(
                "{} of {} MiB are used: orders are refused when it is full",
                mib(facts.memory_used),
                mib(max)
            ),
            "raise maxmemory",
        ),
        max => Finding::ok(
            "memory",
            format!(
                "{} of {} MiB used, nothing is thrown away",
                mib(facts.memory_used),
                mib(max)
            ),
        ),
    }
}

fn persistence(facts: &ServerFacts) -> Finding {
    let warning = |found: &str, todo: &str| Finding::warning("persistence", found, todo);
    if facts.write_failed {
        return Finding::failed(
            "persistence",
            "its last write to disk failed: it refuses writes until one succeeds",
            "make room on its disk, and see its log",
        );
    }
    match (facts.appendonly, facts.appendfsync.as_deref()) {
        (false, _) => warning(
            "appendonly is off: a restart loses what it admitted since the last snapshot, and every gate closes until it is rebuilt",
            "CONFIG SET appendonly yes, and the same in redis.conf",
        ),
        (true, Some("no")) => warning(
            "appendfsync is no: a power cut loses half a minute of orders that were admitted",
            "CONFIG SET appendfsync everysec, and the same in redis.conf",
        ),
        (true, Some(fsync)) => Finding::ok("persistence", format!("appendonly, appendfsync {fsync}")),
        (true, None) => Finding::ok("persistence", "appendonly; this user may not ask for appendfsync"),
    }
}

fn judge_rights(user: &str, lacking: &Lacking) -> Finding {
    if lacking.is_empty() {
        return Finding::ok("rights", "every command that rushgate calls");
    }
    let mut found: Vec<String> = Vec::new();
    let mut grants: Vec<String> = Vec::new();
    if !lacking.commands.is_empty() {
        found.push(format!("user {user} may not run {}", lacking.commands.join(", ")));
        grants.extend(lacking.commands.iter().map(|command| format!("+{command}")));
    }
    if lacking.keys {
        found.push(format!("keys of rushgate are closed to user {user}"));
        grants.push("~rg:*".to_owned());
    }
    found.extend(lacking.other.clone());
    let todo = match grants.is_empty() {
        true => "see the server's log".to_owned(),
        false => format!("ACL SETUSER {user} {}", grants.join(" ")),
    };
    Finding::failed("rights", found.join("; "), todo)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::FindingLevel;

    fn healthy() -> ServerFacts {
        ServerFacts {
            product: "Redis 7.0.15".into(),
            version: (7, 0),
            memory_policy: "noeviction".into(),
            appendonly: true,
            appendfsync: Some("everysec".into()),
            ..ServerFacts::default()
        }
    }

    fn told(facts: ServerFacts) -> String {
        let findings = judge(&facts, "redis.url");
        let bad = findings
            .into_iter()
            .filter(|finding| finding.level != FindingLevel::Ok);
        let lines = bad.map(|finding| {
            format!(
                "{:?} {}: {} -> {}",
                finding.level,
                finding.step,
                finding.found,
                finding.todo.unwrap_or_default()
            )
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn servers_that_are_not_well_are_told_apart() {
        assert_eq!(told(healthy()), "");
        let cases = [
            ServerFacts {
                product: "Redis 6.2.14".into(),
                version: (6, 2),
                ..healthy()
            },
            ServerFacts {
                master: Some("m:6379".into()),
                ..healthy()
            },
            ServerFacts {
                is_sentinel: true,
                ..healthy()
            },
            ServerFacts {
                is_loading: true,
                ..healthy()
            },
            ServerFacts {
                is_cluster: true,
                ..healthy()
            },
            ServerFacts {
                memory_max: 100 << 20,
                memory_policy: "allkeys-lru".into(),
                ..healthy()
            },
            ServerFacts {
                memory_max: 100 << 20,
                memory_used: 95 << 20,
                ..healthy()
            },
            ServerFacts {
                appendonly: false,
                ..healthy()
            },
            ServerFacts {
                appendfsync: Some("no".into()),
                ..healthy()
            },
            ServerFacts {
                write_failed: true,
                ..healthy()
            },
        ];
        insta::assert_snapshot!(cases.map(told).join("\n"));
    }
}
