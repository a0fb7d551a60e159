//! A merchant tries a limit on what buyers really did, before it counts.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use hyper::Method;
use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection};
use testkit::forge::{Body, Forge, described};

use crate::stories::gate::Gate;

const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
const REFUSED: &str = "n-per-user/limit-per-user";

fn limit(limit: u32) -> Value {
    json!([{"module": "n-per-user", "params": {"limit": limit}}])
}

/// The simulation once so many attempts are recorded.
async fn simulated(gate: &Gate, campaign: &str, attempts: u64, rules: Value) -> Value {
    let begun = Instant::now();
    loop {
        let path = format!("/campaigns/{campaign}/simulate");
        let answer = gate
            .control(&path, &json!({"rules": rules}))
            .await
            .expect(200)
            .json();
        if answer["attempts"] == attempts {
            return answer;
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "{attempts} attempts are not recorded: {answer}"
        );
        tokio::time::sleep(POLL).await;
    }
}

async fn number(data: &Path, sql: &'static str) -> i64 {
    let url = format!("sqlite://{}", data.join("rushgate.db").display());
    let mut database = SqliteConnection::connect(&url).await.expect("the database opens");
    sqlx::query_scalar(sql)
        .fetch_one(&mut database)
        .await
        .expect("a number")
}

async fn rushgate(gate: &Gate, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rushgate"));
    command
        .args(args)
        .args(["--admin-url", &gate.admin])
        .env_remove("RUSHGATE_ADMIN_TOKEN");
    tokio::task::spawn_blocking(move || command.output().expect("the rushgate binary runs"))
        .await
        .expect("it does not panic")
}

/// Outcome → how often it was recorded, and answered by the old side.
fn outcome(answer: &Value, name: &str) -> (u64, u64) {
    let rows = answer["outcomes"].as_array().expect("outcomes");
    let row = rows.iter().find(|row| row["outcome"] == name);
    let count = |row: &Value, side: &str| row[side].as_u64().expect("a count");
    row.map_or((0, 0), |row| (count(row, "recorded"), count(row, "old")))
}

#[tokio::test]
async fn what_was_decided_is_recorded_rejections_included() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let gate = Gate::dev_in(data.path()).await;
    gate.create("small", 3, limit(2)).await;
    let one = json!({"sku": "mug", "quantity": 1});
    let place = async |user: &str, body: &Value| gate.place_in("small", user, &[], body.clone()).await;

    place("ada", &one).await.expect(202);
    let key = [("idempotency-key", "k")];
    let keyed = async |body: &Value| gate.place_in("small", "ada", &key, body.clone()).await;
    keyed(&one).await.expect(202);
    keyed(&one).await.expect(202);
    keyed(&json!({"sku": "mug", "quantity": 2}))
        .await
        .refused(422, "key-reused");
    place("ada", &one).await.refused(409, "limit-per-user");
    place("bob", &json!({"sku": "cup", "quantity": 1}))
        .await
        .refused(404, "unknown-sku");
    place("bob", &one).await.expect(202);
    // The script says so once; then the gateway knows.
    for user in ["eve", "zoe", "joe"] {
        place(user, &one).await.refused(409, "sold-out");
    }

    let answer = simulated(&gate, "small", 9, limit(1)).await;
    for (name, count) in [
        ("admitted", 3),
        ("key-reused", 1),
        (REFUSED, 1),
        ("unknown-sku", 1),
        ("sold-out", 3),
    ] {
        assert_eq!(outcome(&answer, name), (count, count), "{name}: {answer}");
    }
    assert_eq!(
        answer["recorded"],
        json!({"attempts": 9, "differ": 0, "kinds": []})
    );
    // The second of ada is refused, and what was hers goes to whoever comes next.
    let flips: Vec<(&Value, &Value, &Value)> = answer["flips"]
        .as_array()
        .expect("flips")
        .iter()
        .map(|flip| (&flip["from"], &flip["to"], &flip["count"]))
        .collect();
    assert!(
        flips.contains(&(&json!("admitted"), &json!(REFUSED), &json!(1))),
        "{answer}"
    );
    assert!(
        flips.contains(&(&json!("sold-out"), &json!("admitted"), &json!(1))),
        "{answer}"
    );

    place("ann", &one).await.refused(409, "sold-out");
    assert_eq!(gate.terminate(), Some(0));
    let rows = number(data.path(), "SELECT SUM(attempts) FROM attempt_pieces").await;
    assert_eq!(rows, 10, "a process that stops writes what it decided");
}

#[tokio::test]
async fn a_tightened_limit_flips_what_sql_and_the_shadow_find() {
    const BUYERS: u64 = 60;
    const ATTEMPTS: u64 = 300;
    let data = tempfile::tempdir().expect("a temporary folder");
    let gate = Gate::dev_in(data.path()).await;
    gate.create("spring", 10_000, limit(3)).await;
    let watched = json!({"rules": limit(3), "shadow": limit(1)});
    gate.control("/campaigns/spring/revisions", &watched)
        .await
        .expect(201);
    gate.control("/campaigns/spring/activate", &json!({"revision": 2}))
        .await
        .expect(200);
    let places = (0..ATTEMPTS).map(|number| {
        let user = format!("user-{}", number * number % BUYERS);
        let gate = &gate;
        async move {
            let body = json!({"sku": "mug", "quantity": 1});
            gate.place_in("spring", &user, &[], body).await.status
        }
    });
    let statuses = futures_util::future::join_all(places).await;
    let admitted = statuses.iter().filter(|status| **status == 202).count() as u64;

    let answer = simulated(&gate, "spring", ATTEMPTS, limit(1)).await;
    assert_eq!(outcome(&answer, "admitted"), (admitted, admitted));
    assert_eq!(answer["recorded"]["differ"], 0, "{answer}");
    // Orders land a moment later than they are admitted.
    let begun = Instant::now();
    while number(data.path(), "SELECT COUNT(*) FROM orders").await < admitted as i64 {
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(POLL).await;
    }
    let flips = number(
        data.path(),
        "SELECT COUNT(*) - COUNT(DISTINCT user_id) FROM orders",
    )
    .await;
    assert!(flips > 20);
    assert_eq!(answer["flipped"], flips);
    let shadow = gate.figures("spring").await["shadow"]["differ"].clone();
    let expected = json!([{"live": "admitted", "shadow": REFUSED, "count": flips}]);
    assert_eq!(shadow, expected);
    eprintln!(
        "{ATTEMPTS} attempts: {flips} flips by SQL, {} by simulation, {} by the shadow",
        answer["flipped"], shadow[0]["count"]
    );

    // The same from the command line, in a merchant's words.
    let rules = data.path().join("rules.json");
    std::fs::write(&rules, limit(1).to_string()).expect("written");
    let rules = rules.to_str().expect("a UTF-8 path");
    let output = rushgate(&gate, &["simulate", "--campaign", "spring", "--rules", rules]).await;
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        text.contains(&format!("{flips} attempts would be answered otherwise:")),
        "{text}"
    );
    assert!(
        text.contains("The replay under revision 2 answers every attempt as it was answered then."),
        "{text}"
    );

    let args = [
        "simulate",
        "--campaign",
        "spring",
        "--rules",
        rules,
        "--json",
        "--from",
    ];
    let orders = rushgate(&gate, &[&args[..], &["orders"]].concat()).await;
    let orders: Value = serde_json::from_slice(&orders.stdout).expect("JSON");
    assert_eq!(orders["attempts"], admitted);
    assert_eq!(
        orders["flipped"], flips,
        "orders in the order of their moments: {orders}"
    );
}

#[tokio::test]
async fn attempts_of_a_file_are_replayed_and_wrong_ones_named() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let gate = Gate::dev().await;
    let write = |name: &str, text: &str| {
        let path = data.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("a UTF-8 path").to_owned()
    };
    let now = jiff::Timestamp::now();
    let line = |seconds: i64, user: &str| {
        let at = now + jiff::SignedDuration::from_secs(seconds);
        json!({"at": at, "user": user, "sku": "mug", "quantity": 1}).to_string()
    };
    let lines = [line(0, "ada"), line(1, "bob"), line(2, "ada")];
    let (rules, file) = (
        write("rules.json", &limit(2).to_string()),
        write("attempts.ndjson", &lines.join("\n")),
    );
    let simulate = async |rules: &str, from: &str| {
        let args = ["simulate", "--campaign", "demo", "--rules", rules, "--from", from];
        let output = rushgate(&gate, &args).await;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.success(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    let (good, text, _) = simulate(&rules, &file).await;
    assert!(good && text.contains("demo: 3 attempts"), "{text}");
    assert!(
        text.contains("1 attempt would be answered otherwise:")
            && text.contains(&format!("1  {REFUSED} → admitted")),
        "{text}"
    );
    assert!(
        text.contains("Nothing says how the attempts were answered then."),
        "{text}"
    );

    let unsorted = write("unsorted.ndjson", &[line(1, "ada"), line(0, "bob")].join("\n"));
    let wrong_rules = write("wrong.json", &limit(0).to_string());
    let no_rules = write("none.json", "{\"module\":\"n-per-user\"}");
    let no_json = write("broken.json", "[\n{]");
    for (rules, from, expected) in [
        (
            &rules,
            unsorted.as_str(),
            "line 3: is earlier than the line before",
        ),
        (&rules, "no-such-file", "--from takes sample, orders, or a file"),
        (&wrong_rules, "sample", "/rules/0/params/limit"),
        (&no_rules, "sample", "neither a list of rules nor an object"),
        (&no_json, "sample", "broken.json:2:2: "),
    ] {
        let (good, _, error) = simulate(rules, from).await;
        assert!(!good && error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn lists_and_prechecks_decide_in_a_simulation_too() {
    let gate = Gate::dev().await;
    gate.create("spring", 100, limit(5)).await;
    let upload = async |method, path: &str, media_type: &str, body: Vec<u8>| {
        let url = format!("{}/admin/v1{path}", gate.admin);
        let headers = [("content-type", media_type)];
        gate.http.send(method, &url, &headers, body).await.expect(201)
    };
    upload(
        Method::PUT,
        "/audiences/vip",
        "text/plain",
        b"ada\nbob\n".to_vec(),
    )
    .await;
    let pairs = Forge {
        describe: Body::Answer(described(json!({"id": "no-pairs"}))),
        ..Forge::checking(
            "(select (global.get $reject0) (global.get $pass) (i32.gt_u (local.get $quantity) (i32.const 1)))",
        )
    };
    upload(Method::POST, "/modules", "application/wasm", pairs.component()).await;
    for (user, quantity) in [("ada", 1), ("bob", 2), ("eve", 1), ("eve", 1)] {
        let body = json!({"sku": "mug", "quantity": quantity});
        gate.place_in("spring", user, &[], body).await.expect(202);
    }
    let rules = json!([
        {"module": "audience", "params": {"list": "vip", "mode": "allow"}},
        {"module": "no-pairs"},
    ]);
    let answer = simulated(&gate, "spring", 4, rules).await;
    let new = |name: &str| {
        let rows = answer["outcomes"].as_array().expect("outcomes");
        let row = rows.iter().find(|row| row["outcome"] == name);
        row.map(|row| row["new"].clone())
    };
    assert_eq!(new("admitted"), Some(json!(1)), "{answer}");
    assert_eq!(new("audience/not-invited"), Some(json!(2)), "{answer}");
    assert_eq!(new("no-pairs/no"), Some(json!(1)), "{answer}");
    assert_eq!(answer["recorded"]["differ"], 0, "{answer}");
}
