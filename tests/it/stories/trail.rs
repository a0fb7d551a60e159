//! The audit trail of a sale: each change leaves its lines, with who, when, from where and from what to what; and what is done to the
//! trail afterwards is found.

use std::fs;
use std::process::{Command, Output};

use futures_util::future::join_all;
use hyper::Method;
use serde_json::{Value, json};
use testkit::database::{Database, connect};
use testkit::http::Http;

use crate::stories::gate::{Gate, command};
use crate::stories::keys::{Deployment, Gateway};

const KEYS: &[&str] = &["a"];

/// A gate, and what of its trail was seen.
struct House {
    gate: Gate,
    seen: i64,
    keys: u32,
}

impl House {
    async fn send(&mut self, method: Method, path: &str, body: &Value) -> Value {
        let url = format!("{}/admin/v1{path}", self.gate.admin);
        self.keys += 1;
        let key = format!("key-{}", self.keys);
        let mut headers = vec![("idempotency-key", key.as_str())];
        let body = match body {
            Value::Null => Vec::new(),
            Value::String(text) => {
                headers.push(("content-type", "text/plain"));
                text.clone().into_bytes()
            }
            body => {
                headers.push(("content-type", "application/json"));
                body.to_string().into_bytes()
            }
        };
        let reply = self.gate.http.send(method, &url, &headers, body).await;
        assert!((200..300).contains(&reply.status), "{path}: {}", reply.text());
        match reply.text().is_empty() {
            true => Value::Null,
            false => serde_json::from_str(&reply.text()).unwrap_or(Value::Null),
        }
    }

    /// The lines since the last look, oldest first, but for what the gate does by itself.
    async fn lines(&mut self) -> Vec<Value> {
        let url = format!("{}/admin/v1/audit?limit=100", self.gate.admin);
        let page = self.gate.http.get(&url, &[]).await.expect(200).json();
        let mut lines = page["lines"].as_array().expect("lines").clone();
        lines.retain(|line| line["seq"].as_i64() > Some(self.seen));
        lines.reverse();
        if let Some(last) = lines.last() {
            self.seen = last["seq"].as_i64().expect("a number");
        }
        lines.retain(|line| line["actor"] != "rushgate");
        lines
    }

    /// Does it, and holds the lines that it left against these actions.
    async fn does(
        &mut self,
        method: Method,
        path: &str,
        body: Value,
        actions: &[&str],
    ) -> (Value, Vec<Value>) {
        let begun = jiff::Timestamp::now();
        let answer = self.send(method, path, &body).await;
        let lines = self.lines().await;
        let named: Vec<&str> = lines.iter().filter_map(|line| line["action"].as_str()).collect();
        assert_eq!(named, actions, "{path} {body}: {lines:?}");
        for line in &lines {
            let at: jiff::Timestamp = serde_json::from_value(line["at"].clone()).expect("a moment");
            let is_now = at.as_millisecond() >= begun.as_millisecond() && at <= jiff::Timestamp::now();
            assert!(is_now, "{line}");
            assert_eq!(
                (&line["actor"], &line["address"]),
                (&json!("local"), &json!("127.0.0.1")),
                "{line}"
            );
            assert!(line["number"].is_u64() && line["hash"].is_string(), "{line}");
        }
        (answer, lines)
    }

    async fn posts(&mut self, path: &str, body: Value, actions: &[&str]) -> (Value, Vec<Value>) {
        self.does(Method::POST, path, body, actions).await
    }
}

fn rules(limit: u32) -> Value {
    json!([{"module": "n-per-user", "params": {"limit": limit}}])
}

fn campaign(id: &str) -> Value {
    json!({
        "id": id, "title": "Spring", "opens_at": "2026-01-01T00:00:00Z", "closes_at": "2027-12-31T00:00:00Z",
        "skus": [{"id": "mug", "stock": 10}], "rules": rules(2),
    })
}

fn from_to(line: &Value) -> (&Value, &Value) {
    (&line["detail"]["from"], &line["detail"]["to"])
}

const REVISED: [&str; 2] = ["revision.create", "revision.activate"];

async fn campaigns(house: &mut House) {
    house
        .posts("/campaigns?dry_run=true", campaign("spring"), &[])
        .await;
    house
        .posts("/campaigns", campaign("spring"), &["campaign.create"])
        .await;
    let change = json!({"title": "Summer", "hold": {"minutes": 10}, "note": "it is warm"});
    let (_, lines) = house
        .does(Method::PATCH, "/campaigns/spring", change, &["campaign.change"])
        .await;
    let (from, to) = from_to(&lines[0]);
    assert_eq!(
        (&from["title"], &to["title"], &lines[0]["note"]),
        (&json!("Spring"), &json!("Summer"), &json!("it is warm"))
    );
    let times = json!({"closes_at": "2027-12-30T00:00:00Z", "title": "Spring"});
    let (_, lines) = house
        .does(
            Method::PATCH,
            "/campaigns/spring",
            times,
            &[REVISED[0], REVISED[1], "campaign.change"],
        )
        .await;
    let (from, to) = from_to(&lines[2]);
    assert_eq!(from["closes_at"], "2027-12-31T00:00:00.000Z");
    assert_eq!(
        (&to["closes_at"], &to["title"]),
        (&json!("2027-12-30T00:00:00.000Z"), &json!("Spring"))
    );
    house
        .posts(
            "/campaigns/spring/revisions?dry_run=true",
            json!({"rules": rules(3)}),
            &[],
        )
        .await;
    house
        .posts(
            "/campaigns/spring/revisions",
            json!({"rules": rules(3)}),
            &REVISED[..1],
        )
        .await;
    let (_, lines) = house
        .posts(
            "/campaigns/spring/activate",
            json!({"revision": 3}),
            &REVISED[1..],
        )
        .await;
    assert_eq!(from_to(&lines[0]), (&json!(2), &json!(3)));
    let times = json!({"rules": rules(4), "activate_at": "2027-06-01T00:00:00Z"});
    house
        .posts(
            "/campaigns/spring/revisions",
            times,
            &["revision.create", "revision.schedule"],
        )
        .await;
}

async fn running(house: &mut House) {
    let (_, lines) = house
        .posts(
            "/campaigns/spring/pause",
            json!({"note": "rain"}),
            &["campaign.pause"],
        )
        .await;
    assert_eq!(from_to(&lines[0]), (&json!("running"), &json!("paused")));
    assert_eq!(lines[0]["note"], "rain");
    // What is so already is not said twice.
    house.posts("/campaigns/spring/pause", json!({}), &[]).await;
    house
        .posts("/campaigns/spring/resume", json!({}), &["campaign.resume"])
        .await;
    let later = json!({"pause_at": "2027-05-01T00:00:00Z"});
    let (planned, _) = house
        .posts("/campaigns/spring/pause", later, &["campaign.schedule-pause"])
        .await;
    let change = planned["scheduled"]["id"].as_str().expect("an id");
    let path = format!("/campaigns/spring/scheduled/{change}");
    house
        .does(Method::DELETE, &path, Value::Null, &["campaign.unschedule"])
        .await;
    let more = ["stock.change", "revision.activate"];
    let (_, lines) = house
        .posts("/campaigns/spring/skus/mug/stock", json!({"add": 5}), &more)
        .await;
    assert_eq!(from_to(&lines[0]), (&json!(10), &json!(15)));
    house
        .posts("/campaigns/spring/skus/mug/stock", json!({"remove": 3}), &more)
        .await;
    let new = ["sku.create", "revision.activate"];
    house
        .posts("/campaigns/spring/skus", json!({"id": "hat", "stock": 4}), &new)
        .await;
    let clone =
        json!({"id": "autumn", "opens_at": "2026-01-01T00:00:00Z", "closes_at": "2027-12-31T00:00:00Z"});
    house
        .posts("/campaigns/spring/clone", clone, &["campaign.create"])
        .await;
    house
        .does(
            Method::DELETE,
            "/campaigns/autumn",
            Value::Null,
            &["campaign.delete"],
        )
        .await;
}

async fn orders(house: &mut House) {
    let mut ids = Vec::new();
    for user in ["ada", "bob", "cid"] {
        let placed = house
            .gate
            .place_in("spring", user, &[], json!({"sku": "mug", "quantity": 1}))
            .await
            .expect(202);
        house
            .gate
            .order_in_state(user, placed.header("location"), "confirmed")
            .await;
        ids.push(placed.json()["order"].as_str().expect("an id").to_owned());
    }
    let path = |n: usize, act: &str| format!("/campaigns/spring/orders/{}/{act}", ids[n]);
    let (_, lines) = house.posts(&path(0, "pay"), json!({}), &["order.pay"]).await;
    assert_eq!(from_to(&lines[0]), (&json!("confirmed"), &json!("paid")));
    house
        .posts(&path(0, "refund"), json!({"note": "broken"}), &["order.refund"])
        .await;
    house
        .posts(&path(1, "cancel"), json!({}), &["order.cancel"])
        .await;
    let all = json!({"filter": {"user": "cid"}});
    house
        .posts("/campaigns/spring/orders/cancel?dry_run=true", all.clone(), &[])
        .await;
    house
        .posts("/campaigns/spring/orders/cancel", all, &["order.bulk"])
        .await;
    house
        .does(Method::GET, "/buyers/ada/data", Value::Null, &["buyer.export"])
        .await;
    let (_, lines) = house
        .posts("/buyers/dan/erase", json!({"note": "by mail"}), &["buyer.erase"])
        .await;
    assert!(!lines[0].to_string().contains("dan"), "{}", lines[0]);
}

async fn lists_and_endpoints(house: &mut House) {
    let put = Method::PUT;
    house
        .does(
            put.clone(),
            "/audiences/vip",
            json!("ada\nbob\n"),
            &["audience.upload"],
        )
        .await;
    house
        .does(put.clone(), "/audiences/vip", json!("ada\nbob\n"), &[])
        .await;
    let (_, lines) = house
        .does(
            put.clone(),
            "/audiences/vip",
            json!("ada\n"),
            &["audience.upload"],
        )
        .await;
    assert_eq!(
        (
            &lines[0]["detail"]["from"]["version"],
            &lines[0]["detail"]["version"]
        ),
        (&json!(1), &json!(2))
    );
    house
        .does(
            put,
            "/audiences/vip/members/eve",
            Value::Null,
            &["audience.member.put"],
        )
        .await;
    house
        .does(
            Method::DELETE,
            "/audiences/vip/members/eve",
            Value::Null,
            &["audience.member.delete"],
        )
        .await;
    house
        .does(
            Method::DELETE,
            "/audiences/vip/1",
            Value::Null,
            &["audience.delete"],
        )
        .await;
    let new = json!({"url": "http://127.0.0.1:9/hook?token=s3cret", "note": "warehouse"});
    let (made, _) = house.posts("/webhooks", new, &["webhook.create"]).await;
    let path = format!("/webhooks/{}", made["id"].as_str().expect("an id"));
    let change = json!({"events": ["order.paid"], "disabled": true});
    let (_, lines) = house
        .does(Method::PATCH, &path, change, &["webhook.change"])
        .await;
    let (from, to) = from_to(&lines[0]);
    assert_eq!(
        (&from["disabled"], &to["disabled"]),
        (&json!(false), &json!(true))
    );
    assert!(!lines[0].to_string().contains("s3cret"), "{}", lines[0]);
    house
        .posts(&format!("{path}/secret"), json!({}), &["webhook.rotate"])
        .await;
    house
        .posts(&format!("{path}/test"), Value::Null, &["webhook.test"])
        .await;
    house
        .posts(&format!("{path}/replay"), json!({}), &["webhook.replay"])
        .await;
    house
        .does(Method::DELETE, &path, Value::Null, &["webhook.remove"])
        .await;
}

async fn rushgate(args: &[&str], url: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rushgate"));
    command.arg("audit").args(args).args(["--database-url", url]);
    let run = tokio::task::spawn_blocking(move || command.output().expect("it runs"));
    run.await.expect("no panic")
}

fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_change_leaves_its_lines_and_none_twice() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let config = data.path().join("rushgate.toml");
    fs::write(&config, "[webhooks]\nprivate = \"127.0.0.1\"\n").expect("written");
    let path = data.path().to_str().expect("a UTF-8 path");
    let mut dev = command(&["dev", "--data", path]);
    dev.arg("--config").arg(&config);
    let gate = Gate::spawn(dev).await;
    let mut house = House {
        gate,
        seen: 0,
        keys: 0,
    };
    // What a first start leaves: a sale to try.
    house.lines().await;
    campaigns(&mut house).await;
    running(&mut house).await;
    orders(&mut house).await;
    lists_and_endpoints(&mut house).await;
    let ended = [
        "campaign.pause",
        REVISED[0],
        REVISED[1],
        "campaign.end",
        "campaign.resume",
        "campaign.unschedule",
    ];
    let (_, lines) = house
        .posts("/campaigns/spring/end", json!({"note": "sold"}), &ended)
        .await;
    assert_eq!(from_to(&lines[3]).0["closes_at"], "2027-12-30T00:00:00.000Z");
    a_retry_is_not_told_twice(&house.gate).await;
    wrong_questions(&house.gate).await;
    let url = format!("sqlite://{}", data.path().join("rushgate.db").display());
    the_trail_by_command(&house.gate, &url).await;
}

async fn a_retry_is_not_told_twice(gate: &Gate) {
    let http = Http::new();
    gate.create("retried", 10, rules(2)).await;
    let url = format!("{}/admin/v1/campaigns/retried/pause", gate.admin);
    for _ in 0..3 {
        let headers = [("idempotency-key", "once")];
        http.post(&url, &headers, &json!({"note": "rain"}))
            .await
            .expect(200);
    }
    let url = format!(
        "{}/admin/v1/audit?target=retried&action=campaign.pause",
        gate.admin
    );
    let page = http.get(&url, &[]).await.expect(200).json();
    assert_eq!(page["lines"].as_array().map(Vec::len), Some(1));
}

async fn wrong_questions(gate: &Gate) {
    let get = async |query: &str| {
        let url = format!("{}/admin/v1/audit{query}", gate.admin);
        gate.http.get(&url, &[]).await
    };
    for wrong in [
        "?limit=0",
        "?limit=101",
        "?limit=x",
        "?before=x",
        "?from=soon",
        "?nope=1",
        "?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z",
    ] {
        get(wrong).await.refused(400, "malformed");
    }
    let first = get("?limit=2").await.expect(200).json();
    let next = first["next"].as_i64().expect("more follow");
    let second = get(&format!("?limit=2&before={next}")).await.expect(200).json();
    assert!(second["lines"][0]["seq"].as_i64() < Some(next), "{second}");
    let of_webhooks = get("?action=webhook.*&actor=local").await.expect(200).json();
    assert_eq!(of_webhooks["lines"].as_array().map(Vec::len), Some(6));
    let heads = get("/head").await.expect(200).json();
    assert_eq!(heads["heads"][0]["merchant"], "default");
}

async fn the_trail_by_command(gate: &Gate, url: &str) {
    let heads = gate
        .http
        .get(&format!("{}/admin/v1/audit/head", gate.admin), &[])
        .await
        .json();
    let head = &heads["heads"][0];
    let noted = format!("{}:{}", head["number"], head["hash"].as_str().expect("a hash"));
    let printed = rushgate(&["head"], url).await;
    assert_eq!(said(&printed).trim(), format!("default  {noted}"));
    let verified = rushgate(&["verify", "--head", &noted], url).await;
    assert_eq!(verified.status.code(), Some(0), "{}", said(&verified));
    assert!(
        said(&verified).contains("as they were written"),
        "{}",
        said(&verified)
    );
    let listed = rushgate(&["list", "--action", "campaign.end"], url).await;
    assert!(
        said(&listed).contains("campaign.end  spring  local@127.0.0.1"),
        "{}",
        said(&listed)
    );
    let exported = rushgate(&["export"], url).await;
    let lines: Vec<Value> = said(&exported)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.last().expect("lines")["hash"], head["hash"]);
    let seq = lines[3]["seq"].to_string();
    let shown = rushgate(&["show", &seq, "--json"], url).await;
    let shown: Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    assert_eq!(shown, lines[3]);
    let missing = rushgate(&["show", "99999999"], url).await;
    assert_eq!(missing.status.code(), Some(1));

    let db = Database::at(connect(url).await, url.to_owned());
    db.execute("UPDATE audit SET actor = 'somebody else' WHERE number = 5")
        .await;
    let verified = rushgate(&["verify"], url).await;
    assert_eq!(verified.status.code(), Some(1));
    let told = said(&verified);
    assert!(
        told.contains("line 5 (seq ") && told.contains("expected ") && told.contains("found "),
        "{told}"
    );
    let verified = rushgate(&["verify", "--json"], url).await;
    let document: Value = serde_json::from_slice(&verified.stdout).expect("JSON");
    assert_eq!(
        (&document["whole"], &document["chains"][0]["finding"]["number"]),
        (&json!(false), &json!(5))
    );
    let unread = rushgate(&["verify"], "sqlite:///nowhere/at/all.db").await;
    assert_eq!(unread.status.code(), Some(2), "{}", said(&unread));
}

async fn titled(gateway: &Gateway, title: &str) -> Option<u16> {
    let url = format!("{}/admin/v1/campaigns/spring", gateway.admin);
    let body = json!({ "title": title }).to_string().into_bytes();
    let call = tokio::spawn(async move {
        let headers = [("content-type", "application/json")];
        Http::new().send(Method::PATCH, &url, &headers, body).await.status
    });
    call.await.ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gateways_keep_one_chain_and_one_that_dies_leaves_neither() {
    let deployment = Deployment::start().await;
    let (code, said) = deployment.run(&["migrate"], KEYS);
    assert_eq!(code, Some(0), "{said}");
    let db = &deployment.db;
    let gateways = [
        Gateway::up(deployment.role("serve", KEYS)),
        Gateway::up(deployment.role("serve", KEYS)),
    ];
    gateways[0].create().await;
    for gateway in &gateways {
        gateway.readyz(200, "ready").await;
    }
    let changes = (0..16).map(|n| titled_as(&gateways[n % 2], n));
    for status in join_all(changes).await {
        assert_eq!(status, Some(200));
    }
    let lines = "SELECT COUNT(*) FROM audit WHERE action = 'campaign.change'";
    assert_eq!(db.number(lines).await, 16);
    let (code, said) = deployment.run(&["audit", "verify"], KEYS);
    assert_eq!(code, Some(0), "{said}");

    // It dies with the change and its line written, and nothing committed.
    let armed = [("RUSHGATE_FAILPOINT", "A1=abort")];
    let dying = Gateway::up(deployment.role_with("serve", KEYS, &armed));
    dying.readyz(200, "ready").await;
    let before = db.text("SELECT title FROM campaigns").await;
    assert_eq!(titled(&dying, "of a dying gateway").await, None);
    assert_eq!(db.text("SELECT title FROM campaigns").await, before);
    assert_eq!(db.number(lines).await, 16);
    let (code, said) = deployment.run(&["audit", "verify"], KEYS);
    assert_eq!(code, Some(0), "{said}");
    // The others are not held up by it.
    assert_eq!(titled(&gateways[0], "after it").await, Some(200));
    assert_eq!(db.number(lines).await, 17);
}

async fn titled_as(gateway: &Gateway, n: usize) -> Option<u16> {
    titled(gateway, &format!("Title {n}")).await
}
