//! What a merchant does around a sale: looks at orders, writes a campaign into a file and applies it, clones it, removes it, and
//! watches it; over HTTP and by command.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use futures_util::future::join_all;
use hyper::Method;
use serde_json::{Value, json};
use testkit::http::Reply;

use crate::stories::gate::{Gate, PATIENCE, POLL, signal};
use crate::stories::modules::tool::{Said, command, said};

fn mug() -> Value {
    json!({"sku": "mug", "quantity": 1})
}

fn limit(limit: u32) -> Value {
    json!([{"module": "n-per-user", "params": {"limit": limit}}])
}

/// `rushgate …` against a gate.
pub(super) async fn rushgate(gate: &Gate, folder: &Path, arguments: &[&str]) -> Said {
    let mut command = command("rushgate", folder);
    command
        .args(arguments)
        .env("RUSHGATE_ADMIN_URL", &gate.admin)
        .stdin(Stdio::null());
    said(command).await
}

async fn admin(gate: &Gate, method: Method, path: &str) -> Reply {
    let url = format!("{}/admin/v1{path}", gate.admin);
    gate.http.send(method, &url, &[], Vec::new()).await
}

async fn get(gate: &Gate, path: &str) -> Reply {
    admin(gate, Method::GET, path).await
}

/// Orders of these buyers, each in the database.
async fn sell(gate: &Gate, campaign: &str, buyers: &[&str]) {
    for buyer in buyers {
        let placed = gate.place_in(campaign, buyer, &[], mug()).await.expect(202);
        let location = placed.header("location").to_owned();
        gate.order_in_state(buyer, &location, "confirmed").await;
    }
}

#[tokio::test]
async fn orders_of_a_sale_are_found_by_their_merchant() {
    let gate = Gate::dev().await;
    gate.create("spring", 10, limit(2)).await;
    let buyers = ["ada", "bob", "ada", "=1+1", "cid"];
    sell(&gate, "spring", &buyers).await;
    let orders = "/campaigns/spring/orders";
    get(&gate, &format!("{orders}?state=accepted"))
        .await
        .refused(400, "malformed");
    get(&gate, "/campaigns/sprin/orders")
        .await
        .refused(404, "unknown");

    let (mut all, mut before) = (Vec::new(), String::new());
    loop {
        let page = get(&gate, &format!("{orders}?limit=2{before}"))
            .await
            .expect(200)
            .json();
        all.extend(page["orders"].as_array().expect("orders").clone());
        match page["next"].as_str() {
            Some(next) => before = format!("&before={next}"),
            None => break,
        }
    }
    let users: Vec<&str> = all.iter().filter_map(|order| order["user"].as_str()).collect();
    assert_eq!(
        users,
        ["cid", "=1+1", "ada", "bob", "ada"],
        "the one placed last first"
    );
    let of_ada = get(&gate, &format!("{orders}?user=ada&sku=mug&state=confirmed"))
        .await
        .json();
    assert_eq!(of_ada["orders"].as_array().map(Vec::len), Some(2));
    let (from, to) = (&all[3]["placed_at"], &all[2]["placed_at"]);
    let within = format!(
        "{orders}?from={}&to={}",
        from.as_str().expect("a time"),
        to.as_str().expect("a time")
    );
    assert_eq!(get(&gate, &within).await.json()["orders"][0]["user"], "bob");
    let one = format!("{orders}/{}", all[0]["order"].as_str().expect("an id"));
    let shown = get(&gate, &one).await.expect(200).json();
    assert_eq!(
        (&shown["user"], &shown["campaign"]),
        (&"cid".into(), &"spring".into())
    );
    assert_eq!(shown["charges"][0]["counter"], "n-per-user/units-per-user");
    get(&gate, &format!("{orders}/{}", "0".repeat(32)))
        .await
        .refused(404, "unknown");

    // The same by command.
    let folder = tempfile::tempdir().expect("a folder");
    let run = async |arguments: &[&str]| rushgate(&gate, folder.path(), arguments).await;
    run(&["order", "list", "sprin"])
        .await
        .refused(&["no campaign \"sprin\""]);
    run(&["order", "list", "spring", "--state", "shipped"])
        .await
        .refused(&["use confirmed, paid, cancelled"]);
    let listed = run(&["order", "list", "spring", "--user", "ada"]).await.ok();
    assert_eq!(listed.lines().count(), 3, "{listed}");
    let listed: Value =
        serde_json::from_str(&run(&["order", "list", "spring", "--json"]).await.ok()).expect("JSON");
    assert_eq!(listed.as_array().map(Vec::len), Some(5));
    let id = all[0]["order"].as_str().expect("an id");
    assert!(
        run(&["order", "show", "spring", id])
            .await
            .ok()
            .contains("n-per-user/units-per-user: 1")
    );
    run(&["order", "list", "spring", "--csv", "-o", "orders.csv"])
        .await
        .ok();
    let table = fs::read_to_string(folder.path().join("orders.csv")).expect("written");
    assert_eq!(table.lines().count(), 6, "{table}");
    assert!(
        table.contains(",'=1+1,") && table.starts_with("\u{feff}order,"),
        "{table}"
    );
    let lines = run(&["order", "list", "spring", "--jsonl", "--sku", "mug"])
        .await
        .ok();
    assert_eq!(lines.lines().count(), 5, "{lines}");
    run(&["order", "list", "sprin", "--csv", "-o", "none.csv"])
        .await
        .refused(&["no campaign"]);
    assert!(!folder.path().join("none.csv").exists());
}

#[tokio::test]
async fn a_mistyped_campaign_is_removed_and_one_with_orders_is_not() {
    let gate = Gate::dev().await;
    admin(&gate, Method::DELETE, "/campaigns/sprin")
        .await
        .refused(404, "unknown");
    gate.create("spring", 10, limit(1)).await;
    gate.create("sprin", 5, limit(1)).await;
    // Refused attempts are none that were admitted.
    let wrong = json!({"sku": "mug", "quantity": 11});
    gate.place_in("sprin", "ada", &[], wrong)
        .await
        .refused(409, "sold-out");
    sell(&gate, "spring", &["ada"]).await;
    let refused = admin(&gate, Method::DELETE, "/campaigns/spring")
        .await
        .refused(409, "conflict");
    let detail = refused["detail"].as_str().expect("a detail");
    assert!(
        detail.contains("1 in the database") && detail.contains("never admitted"),
        "{detail}"
    );
    sell(&gate, "spring", &["bob"]).await;

    let before = get(&gate, "/campaigns/sprin").await.expect(200).json()["created_at"].clone();
    let gone = admin(&gate, Method::DELETE, "/campaigns/sprin?note=a%20slip").await;
    assert_eq!((gone.status, gone.body.len()), (204, 0));
    for url in [
        format!("{}/admin/v1/campaigns/sprin", gate.admin),
        format!("{}/admin/v1/campaigns/sprin/revisions", gate.admin),
        format!("{}/admin/v1/campaigns/sprin/orders", gate.admin),
        format!("{}/v1/campaigns/sprin", gate.orders),
    ] {
        gate.http.get(&url, &[]).await.refused(404, "unknown");
    }
    gate.place_in("sprin", "ada", &[], mug())
        .await
        .refused(404, "unknown");
    gate.quota("sprin", "ada", "").await.refused(404, "unknown");
    admin(&gate, Method::DELETE, "/campaigns/sprin")
        .await
        .refused(404, "unknown");

    // Another one of its name has nothing of it.
    gate.create("sprin", 2, limit(2)).await;
    let shown = get(&gate, "/campaigns/sprin").await.expect(200).json();
    assert_ne!(shown["created_at"], before);
    assert_eq!(
        (&shown["skus"][0]["stock"], &shown["rejected"]),
        (&2.into(), &json!({}))
    );
    let history = get(&gate, "/campaigns/sprin/revisions").await.json();
    assert_eq!(
        history["revisions"].as_array().map(Vec::len),
        Some(1),
        "{history}"
    );
    sell(&gate, "sprin", &["ada", "ada"]).await;
    gate.place_in("sprin", "bob", &[], mug())
        .await
        .refused(409, "sold-out");
}

/// Whoever was told that an order is taken finds it: a campaign that is removed at that moment stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_beside_a_removal_is_refused_or_keeps_its_campaign() {
    let gate = Gate::dev().await;
    for round in 0..6 {
        let id = format!("round-{round}");
        gate.create(&id, 100, limit(1)).await;
        let place = async |number: usize| {
            let buyer = format!("buyer-{number}");
            // Some come before the removal begins, some after.
            tokio::time::sleep(POLL * (number as u32 % 4) / 2).await;
            let reply = gate.place_in(&id, &buyer, &[], mug()).await;
            (reply.status == 202).then(|| (buyer, reply.header("location").to_owned()))
        };
        let places = join_all((0..24).map(place));
        let path = format!("/campaigns/{id}");
        let remove = async {
            tokio::time::sleep(POLL * round / 4).await;
            admin(&gate, Method::DELETE, &path).await
        };
        let (placed, removed) = futures_util::join!(places, remove);
        let placed: Vec<(String, String)> = placed.into_iter().flatten().collect();
        match removed.status {
            204 => {
                assert_eq!(placed, [], "round {round}: taken, and gone");
                get(&gate, &path).await.refused(404, "unknown");
            }
            status => {
                assert_eq!(status, 409, "round {round}: {}", removed.text());
                for (buyer, location) in &placed {
                    gate.order_in_state(buyer, location, "confirmed").await;
                }
                // Its gate is open again.
                let begun = std::time::Instant::now();
                while gate
                    .place_in(&id, "late", &[("idempotency-key", "k")], mug())
                    .await
                    .status
                    != 202
                {
                    assert!(begun.elapsed() < PATIENCE);
                    tokio::time::sleep(POLL).await;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_campaign_is_cloned_with_all_that_it_is() {
    let gate = Gate::dev().await;
    let list = format!("{}/admin/v1/audiences/vip", gate.admin);
    let text = [("content-type", "text/plain")];
    let upload = async |members: &str| gate.http.send(Method::PUT, &list, &text, members.into()).await;
    upload("ada\n").await.expect(201);
    let body = json!({
        "id": "spring", "title": "Spring", "opens_at": "2026-01-01T00:00:00Z", "closes_at": "2027-12-31T00:00:00Z",
        "retention_days": 30, "fold": {"user": ["lowercase"]},
        "skus": [{"id": "mug", "stock": 10, "attributes": {"category": "mugs"}}, {"id": "hat", "stock": 3}],
        "rules": [{"module": "n-per-user", "params": {"limit": 2}, "name": "two"}, {"module": "audience", "params": {"list": "vip"}}],
        "shadow": [{"module": "n-per-user", "params": {"limit": 1}}],
    });
    let made = gate.control("/campaigns", &body).await;
    assert_eq!(made.status, 201, "{}", made.text());
    upload("bob\n").await.expect(201);
    sell(&gate, "spring", &["ada"]).await;

    let times =
        json!({"id": "summer", "opens_at": "2026-06-01T00:00:00Z", "closes_at": "2027-06-01T00:00:00Z"});
    let with = |name: &str, value: Value| {
        let mut body = times.clone();
        body[name] = value;
        body
    };
    let clone = async |body: &Value| gate.control("/campaigns/spring/clone", body).await;
    clone(&with("id", "spring".into())).await.refused(409, "conflict");
    assert_eq!(
        clone(&with("id", "{x}".into())).await.refused(422, "invalid")["pointer"],
        "/id"
    );
    assert_eq!(
        clone(&with("closes_at", "2026-06-01T00:00:00Z".into()))
            .await
            .refused(422, "invalid")["pointer"],
        "/closes_at"
    );
    assert_eq!(
        clone(&with("stock", 7.into())).await.refused(422, "invalid")["pointer"],
        "/stock"
    );
    gate.control("/campaigns/winter/clone", &times)
        .await
        .refused(404, "unknown");

    let url = format!("{}/admin/v1/campaigns/spring/clone", gate.admin);
    let keyed = async |body: &Value| gate.http.post(&url, &[("idempotency-key", "k")], body).await;
    let made = keyed(&with("note", "next season".into())).await.expect(201);
    let again = keyed(&with("note", "next season".into())).await.expect(201);
    assert_eq!(
        (made.json(), again.header("idempotent-replayed")),
        (again.json(), "true")
    );
    keyed(&times).await.refused(422, "key-reused");
    assert_eq!(made.header("location"), "/admin/v1/campaigns/summer");
    let of = async |path: &str| get(&gate, path).await.expect(200).json();
    let (old, new) = (of("/campaigns/spring").await, of("/campaigns/summer").await);
    for name in ["title", "retention_days"] {
        assert_eq!(old[name], new[name], "{name}");
    }
    assert_eq!(new["opens_at"], "2026-06-01T00:00:00.000Z");
    assert_eq!(
        new["skus"][0],
        json!({
            "id": "mug", "stock": 10, "attributes": {"category": "mugs"}, "remaining": 10, "admitted": 0, "landed": 0,
        })
    );
    let (old, new) = (
        of("/campaigns/spring/revisions/1").await,
        of("/campaigns/summer/revisions/1").await,
    );
    for name in ["rules", "shadow", "fold", "lists"] {
        assert_eq!(old[name], new[name], "{name}");
    }
    assert_eq!(
        (&new["lists"], &new["created_by"]),
        (&json!({"vip": 1}), &"local".into())
    );
    // The version of the list is the one that was pinned.
    gate.place_in("summer", "ada", &[], mug()).await.expect(202);
    let refused = gate.place_in("summer", "bob", &[], mug()).await;
    assert_eq!(refused.status, 409, "{}", refused.text());
}

const SALE: &str = "\
id: spring
title: Spring sale
opens_at: 2026-01-01T00:00:00Z
closes_at: 2027-12-31T00:00:00Z
skus:
  - {id: mug, stock: 100}
rules:
  - module: n-per-user
    params: {limit: 2}
";

#[tokio::test]
async fn a_sale_in_a_file_is_created_compared_and_changed() {
    let gate = Gate::dev().await;
    let folder = tempfile::tempdir().expect("a folder");
    let write = |text: &str| fs::write(folder.path().join("sale.yaml"), text).expect("written");
    let apply = async |more: &[&str]| {
        let arguments = [&["campaign", "apply", "-f", "sale.yaml"], more].concat();
        rushgate(&gate, folder.path(), &arguments).await
    };
    // Wrong first: each says where, and nothing is made of it.
    apply(&[]).await.refused(&["cannot read the sale in sale.yaml"]);
    write(&SALE.replace("title:", "tittle:"));
    apply(&["--yes"]).await.refused(&["sale.yaml:2:1: ", "tittle"]);
    write(&SALE.replace("limit: 2", "limit: two"));
    apply(&["--yes"]).await.refused(&["/rules/0/params"]);
    write(&format!("{SALE}lists: [vip]\n"));
    apply(&["--yes"]).await.refused(&["there is no list \"vip\""]);
    write(SALE);
    apply(&[]).await.refused(&["--yes"]);
    let dry = apply(&["--dry-run"]).await;
    assert_eq!(
        (dry.code, dry.out.contains("campaign spring is new")),
        (Some(2), true),
        "{dry:?}"
    );
    get(&gate, "/campaigns/spring").await.refused(404, "unknown");

    let made = apply(&["--yes"]).await.ok();
    assert!(
        made.contains("created, under revision 1") && made.contains("at most 2 units"),
        "{made}"
    );
    for more in [&["--dry-run"][..], &["--yes"], &[]] {
        let same = apply(more).await.ok();
        assert!(same.contains("is as sale.yaml says, under revision 1"), "{same}");
    }

    write(
        &SALE
            .replace("limit: 2", "limit: 3")
            .replace("2027-12-31", "2027-12-30"),
    );
    let dry = apply(&["--dry-run"]).await;
    assert_eq!(dry.code, Some(2), "{dry:?}");
    assert!(
        dry.out.contains("looser, 2 → 3") && dry.out.contains("2027-12-30"),
        "{dry:?}"
    );
    assert_eq!(get(&gate, "/campaigns/spring").await.json()["revision"], 1);
    let changed = apply(&["--yes"]).await.ok();
    assert!(changed.contains("Revision 2 decides from epoch"), "{changed}");
    assert!(apply(&["--dry-run"]).await.ok().contains("under revision 2"));
    sell(&gate, "spring", &["ada", "ada", "ada"]).await;

    // Other times alone.
    let later = SALE
        .replace("limit: 2", "limit: 3")
        .replace("2027-12-31", "2027-12-29");
    write(&later);
    apply(&["--yes"]).await.ok();
    let shown = get(&gate, "/campaigns/spring").await.json();
    assert_eq!(shown["closes_at"], "2027-12-29T00:00:00.000Z");
    apply(&["--dry-run"]).await.ok();

    // Counts that would be lost have to be named.
    let one = SALE
        .replace("n-per-user", "one-per-user")
        .replace("{limit: 2}", "{}");
    write(&one);
    apply(&["--yes"])
        .await
        .refused(&["--accept n-per-user/units-per-user"]);
    assert_eq!(
        get(&gate, "/campaigns/spring/revisions").await.json()["revisions"][0]["revision"],
        3
    );
    apply(&["--yes", "--accept", "n-per-user/units-per-user"])
        .await
        .ok();

    // What is sold cannot be taken off: the file says something that cannot be.
    let fewer = one.replace("stock: 100", "stock: 2");
    assert_ne!(fewer, one);
    write(&fewer);
    for more in [&["--dry-run"][..], &["--yes"]] {
        apply(more)
            .await
            .refused(&["mug has 3 units and not 2: the others are sold or on their way to a buyer"]);
    }
    let shown = get(&gate, "/campaigns/spring").await.json();
    assert_eq!(shown["skus"][0]["stock"], 100, "nothing was changed");

    // No SKU is taken away.
    write(&SALE.replace("id: mug", "id: hat"));
    apply(&["--yes", "--accept", "n-per-user/units-per-user"])
        .await
        .refused(&["mug is sold there and not in the file"]);
}

#[tokio::test]
async fn terms_of_orders_are_set_by_a_command() {
    let gate = Gate::dev().await;
    let folder = tempfile::tempdir().expect("a folder");
    let set = async |terms: &[&str]| {
        let arguments = [&["campaign", "set", "demo"], terms].concat();
        rushgate(&gate, folder.path(), &arguments).await
    };
    let terms = async || {
        let shown = get(&gate, "/campaigns/demo").await.json();
        ["hold", "cancel_by_buyer", "releases"].map(|name| shown[name].clone())
    };
    let before = terms().await;
    let releases = "fraud=stock, refunded=none";
    let given = [
        "--hold",
        "15",
        "--cancel-by-buyer",
        "true",
        "--releases",
        releases,
    ];
    set(&given).await.ok();
    let hold = json!({"minutes": 15, "on_expiry": "release"});
    let releases = json!({"fraud": "stock", "refunded": "none"});
    assert_eq!(terms().await, [hold, json!(true), releases.clone()]);
    // What is not named stays.
    set(&["--hold", "none"]).await.ok();
    assert_eq!(terms().await, [Value::Null, json!(true), releases]);
    set(&["--cancel-by-buyer", "false", "--releases", ""]).await.ok();
    assert_eq!(terms().await, before);
    set(&["--hold", "0"]).await.refused(&["/hold/minutes"]);
    set(&["--releases", "fraud=half"])
        .await
        .refused(&["/releases/fraud"]);
    for (name, value, told) in [
        ("--hold", "15m", "whole number of minutes"),
        ("--hold", "-1", "whole number of minutes"),
        ("--releases", "fraud", "of the form fraud=stock"),
    ] {
        let said = set(&[name, value]).await;
        assert_eq!(said.code, Some(2), "{}", said.err);
        assert!(said.err.contains(told), "{}", said.err);
    }
    assert_eq!(terms().await, before);
}

#[tokio::test]
async fn what_is_exported_applies_as_it_is() {
    let gate = Gate::dev().await;
    let folder = tempfile::tempdir().expect("a folder");
    let run = async |arguments: &[&str]| rushgate(&gate, folder.path(), arguments).await;
    run(&["campaign", "show", "nowhere"])
        .await
        .refused(&["no campaign \"nowhere\""]);
    run(&["campaign", "export", "nowhere"])
        .await
        .refused(&["no campaign"]);
    run(&["campaign", "create", "-f", "nowhere.yaml"])
        .await
        .refused(&["cannot read"]);
    // The demonstration has rules of several modules.
    run(&["campaign", "export", "demo", "-o", "demo.yaml"]).await.ok();
    let same = run(&["campaign", "apply", "-f", "demo.yaml"]).await.ok();
    assert!(same.contains("is as demo.yaml says"), "{same}");
    let json = run(&["campaign", "export", "demo", "--json"]).await.ok();
    fs::write(folder.path().join("demo.json"), &json).expect("written");
    run(&["campaign", "apply", "-f", "demo.json", "--dry-run"])
        .await
        .ok();
    let text = fs::read_to_string(folder.path().join("demo.yaml")).expect("there");
    fs::write(
        folder.path().join("again.yaml"),
        text.replacen("id: demo", "id: again", 1),
    )
    .expect("written");
    run(&["campaign", "create", "-f", "again.yaml"]).await.ok();
    run(&["campaign", "create", "-f", "again.yaml"])
        .await
        .refused(&["exists already"]);

    let listed = run(&["campaign", "list"]).await.ok();
    let ids: Vec<&str> = listed.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(ids, ["campaign", "again", "demo"], "{listed}");
    let listed: Value =
        serde_json::from_str(&run(&["campaign", "list", "--json", "--limit", "1"]).await.ok()).expect("JSON");
    assert_eq!(
        (listed.as_array().map(Vec::len), &listed[0]["id"]),
        (Some(1), &"again".into())
    );
    let shown = run(&["campaign", "show", "again"]).await.ok();
    assert!(
        shown.starts_with("again (") && shown.contains("revision 1"),
        "{shown}"
    );
    run(&["campaign", "activate", "again", "7"])
        .await
        .refused(&["no revision 7"]);
    assert!(
        run(&["campaign", "activate", "again", "1"])
            .await
            .ok()
            .contains("goes on deciding")
    );
    let times = [
        "--opens-at",
        "2026-06-01T00:00:00Z",
        "--closes-at",
        "2027-06-01T00:00:00Z",
    ];
    let clone = [
        &["campaign", "clone", "again", "third", "--note", "try"][..],
        &times,
    ]
    .concat();
    assert!(run(&clone).await.ok().contains("campaign third is created"));
    run(&clone).await.refused(&["exists already"]);
    run(&["campaign", "delete", "third"]).await.refused(&["--yes"]);
    run(&["campaign", "delete", "third", "--yes", "--note", "enough"])
        .await
        .ok();
    run(&["campaign", "delete", "third", "--yes"])
        .await
        .refused(&["no campaign"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sale_is_watched_line_by_line_until_somebody_ends_it() {
    let gate = Gate::dev().await;
    gate.create("spring", 10, limit(1)).await;
    let folder = tempfile::tempdir().expect("a folder");
    rushgate(&gate, folder.path(), &["campaign", "watch", "nowhere"])
        .await
        .refused(&["no campaign"]);
    sell(&gate, "spring", &["ada"]).await;
    let mut watch = command("rushgate", folder.path());
    watch
        .args(["campaign", "watch", "spring"])
        .env("RUSHGATE_ADMIN_URL", &gate.admin)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut watch = watch.spawn().expect("it starts");
    let mut lines = BufReader::new(watch.stdout.take().expect("a pipe")).lines();
    let first = lines.next().expect("a line").expect("text");
    assert!(
        first.contains("spring open mug=9/10 admitted=1 per-second=0"),
        "{first}"
    );
    sell(&gate, "spring", &["bob", "cid"]).await;
    gate.place_in("spring", "bob", &[], mug())
        .await
        .refused(409, "limit-per-user");
    let told = lines
        .map_while(Result::ok)
        .take(30)
        .inspect(|line| println!("{line}"))
        .find(|line| line.contains("mug=7/10") && line.contains("limit-per-user=1"));
    assert!(told.is_some(), "what was sold since is not said");
    signal(&watch, "INT");
    assert_eq!(watch.wait().expect("it ends").code(), Some(0));
}
