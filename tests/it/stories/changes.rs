//! A merchant sees what a change would do before it counts, and goes back.

use hyper::Method;
use serde_json::{Value, json};

use crate::stories::gate::{Gate, command};

const CAMPAIGN: &str = "/campaigns/changing";

fn rules(params: Value) -> Value {
    json!({"rules": [{"module": "n-per-user", "params": params}]})
}

/// A campaign with `limit` 3 under revision 1.
async fn campaign() -> Gate {
    let gate = Gate::dev().await;
    let rules = json!([{"module": "n-per-user", "params": {"limit": 3}}]);
    gate.create("changing", 1000, rules).await;
    gate
}

async fn revise(gate: &Gate, params: Value) -> Value {
    let path = format!("{CAMPAIGN}/revisions");
    gate.control(&path, &rules(params)).await.expect(201).json()
}

async fn activate(gate: &Gate, body: Value) -> testkit::http::Reply {
    gate.control(&format!("{CAMPAIGN}/activate"), &body).await
}

async fn order(gate: &Gate, user: &str) -> testkit::http::Reply {
    gate.place_in("changing", user, &[], json!({"sku": "mug", "quantity": 1}))
        .await
}

/// Every sentence about this part.
fn sentences<'a>(answer: &'a Value, part: &str) -> Vec<&'a str> {
    let changes = answer["changes"].as_array().unwrap_or_else(|| panic!("{answer}"));
    let of_part = changes.iter().filter(|change| change["part"] == part);
    of_part.filter_map(|change| change["sentence"].as_str()).collect()
}

/// Class and sentence of what a change says about this part.
fn about<'a>(answer: &'a Value, part: &str) -> (&'a str, &'a str) {
    let changes = answer["changes"].as_array().unwrap_or_else(|| panic!("{answer}"));
    let change = changes.iter().find(|change| change["part"] == part);
    let change = change.unwrap_or_else(|| panic!("nothing about a {part}: {answer}"));
    let text = |field: &str| change[field].as_str().unwrap_or_default();
    (text("class"), text("sentence"))
}

#[tokio::test]
async fn a_revision_comes_with_its_proof() {
    let gate = campaign().await;
    let answer = revise(&gate, json!({"limit": 2})).await;
    let examples = &answer["proof"]["examples"];
    assert_eq!(examples["modules"][0]["module"], "n-per-user");
    assert!(
        examples["played"].as_u64().is_some_and(|played| played > 0),
        "{examples}"
    );
    let run = &answer["proof"]["differential"];
    assert_eq!(
        (&run["attempts"], &run["disagreements"]),
        (&json!(2000), &json!(0)),
        "{run}"
    );
    assert!(
        run["rejected"]["limit-per-user"]
            .as_u64()
            .is_some_and(|seen| seen > 0),
        "the limit is met: {run}"
    );
    let again = revise(&gate, json!({"limit": 2})).await;
    assert_eq!(again["proof"], answer["proof"], "a proof can be repeated");
}

#[tokio::test]
async fn limits_are_tightened_and_loosened_with_their_numbers() {
    let gate = campaign().await;
    for _ in 0..2 {
        order(&gate, "ada").await.expect(202);
    }
    let tighter = revise(&gate, json!({"limit": 2})).await;
    assert_eq!(
        about(&tighter, "constraint"),
        (
            "tighter",
            "n-per-user/limit-per-user: tighter, 3 → 2; counts are kept; 1 more is refused for every user who has 2"
        )
    );
    assert_eq!(about(&tighter, "counter").0, "unchanged");
    let activated = activate(&gate, json!({"revision": 2})).await.expect(200).json();
    assert_eq!(activated["replaced"], 1);
    assert_eq!(activated["changes"], tighter["changes"]);
    order(&gate, "ada").await.refused(409, "limit-per-user");

    let looser = revise(&gate, json!({"limit": 4})).await;
    assert_eq!(
        about(&looser, "constraint"),
        (
            "looser",
            "n-per-user/limit-per-user: looser, 2 → 4; counts are kept; 2 more is admitted for every user who has 2"
        )
    );
    activate(&gate, json!({"revision": 3})).await.expect(200);
    order(&gate, "ada").await.expect(202);
}

#[tokio::test]
async fn counts_are_not_lost_without_a_word() {
    let gate = campaign().await;
    for _ in 0..3 {
        order(&gate, "ada").await.expect(202);
    }
    order(&gate, "ada").await.refused(409, "limit-per-user");
    // What a device has ordered is told of no order before: the counter of users goes, and its own starts at zero.
    let devices = json!({"limits": [{"by": ["client:device"], "limit": 1}]});
    let rules = json!({"rules": [{"module": "per-subject", "name": "n-per-user", "params": devices}]});
    let path = format!("{CAMPAIGN}/revisions");
    let revised = gate.control(&path, &rules).await.expect(201).json();
    let said: Vec<&str> = sentences(&revised, "counter");
    assert!(
        said[0].ends_with(
            "the device of earlier orders is not known for certain. Who has bought may buy again."
        ),
        "{said:?}"
    );
    let problem = activate(&gate, json!({"revision": 2}))
        .await
        .refused(409, "accept-missing");
    let both = json!(["n-per-user/units-per-client-device", "n-per-user/units-per-user"]);
    assert_eq!(problem["accept"], both, "{problem}");
    let other = json!({"revision": 2, "accept": ["n-per-user/units-per-user"]});
    activate(&gate, other).await.refused(409, "accept-missing");
    order(&gate, "ada").await.refused(409, "limit-per-user");

    let accepted = json!({"revision": 2, "accept": both});
    let activated = activate(&gate, accepted.clone()).await.expect(200).json();
    assert_eq!(activated["rollback"], false);
    let on_device = async || {
        let order = json!({"sku": "mug", "quantity": 1, "attributes": {"device": "d1"}});
        gate.place_in("changing", "ada", &[], order).await
    };
    on_device().await.expect(202);
    on_device().await.refused(409, "limit-per-device");
    // The same again is no change, and says so.
    let again = activate(&gate, accepted).await.expect(200).json();
    assert!(
        again["meaning"][0]
            .as_str()
            .is_some_and(|says| says.contains("goes on deciding")),
        "{again}"
    );

    // Back to the first revision: its counter is filled with what came in between, and what devices ordered is lost.
    let lost = json!(["n-per-user/units-per-client-device"]);
    let refused = activate(&gate, json!({"revision": 1}))
        .await
        .refused(409, "accept-missing");
    assert_eq!(refused["accept"], lost, "{refused}");
    let accepted = json!({"revision": 1, "accept": lost});
    let back = activate(&gate, accepted).await.expect(200).json();
    assert_eq!((&back["rollback"], &back["replaced"]), (&json!(true), &json!(2)));
    let (class, sentence) = about(&back, "counter");
    assert_eq!(class, "new");
    assert!(
        sentence.contains("filled by the activation from all orders so far"),
        "{sentence}"
    );
    let meaning = back["meaning"].to_string();
    assert!(meaning.contains("Counters are as they are now"), "{meaning}");
    order(&gate, "ada").await.refused(409, "limit-per-user");
    order(&gate, "bob").await.expect(202);
}

#[tokio::test]
async fn revisions_have_a_history() {
    let gate = campaign().await;
    revise(&gate, json!({"limit": 2})).await;
    activate(&gate, json!({"revision": 2})).await.expect(200);
    let get = async |path: &str| {
        let url = format!("{}/admin/v1{CAMPAIGN}{path}", gate.admin);
        gate.http.get(&url, &[]).await.expect(200).json()
    };
    let page = get("/revisions").await;
    let [two, one] = page["revisions"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
    else {
        panic!("two revisions: {page}");
    };
    assert_eq!((&two["revision"], &two["active"]), (&json!(2), &json!(true)));
    assert!(
        two["changed"].to_string().contains("tighter, 3 → 2"),
        "what it changed: {two}"
    );
    assert!(
        two["created_by"].is_string() && two["activations"][0]["by"].is_string(),
        "{two}"
    );
    assert_eq!((&one["revision"], &one["active"]), (&json!(1), &json!(false)));
    assert_eq!(one["rules"][0]["params"], json!({"limit": 3}));

    assert_eq!(get("/revisions/1").await.get("lua"), None);
    let shown = get("/revisions/1?lua=true").await;
    assert_eq!(about(&shown, "constraint").0, "looser");
    assert!(
        shown["lua"].as_str().is_some_and(|lua| lua.contains("at most 3")),
        "{shown}"
    );
    let compared = get("/revisions/1/diff?against=1").await;
    assert_eq!(about(&compared, "constraint").0, "unchanged");
    let url = format!("{}/admin/v1{CAMPAIGN}/revisions/9", gate.admin);
    gate.http.get(&url, &[]).await.refused(404, "unknown");
}

/// The module of the folder with its second buyer renamed to the first: its examples now promise what its
/// plan does not keep.
fn lying_module() -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/rules/dist/n-per-user.wasm");
    let mut bytes = std::fs::read(path).expect("it is part of the repository");
    let places: Vec<usize> = (0..bytes.len() - 3)
        .filter(|at| &bytes[*at..at + 3] == b"bob")
        .collect();
    assert!(!places.is_empty(), "an example has a second buyer");
    for at in places {
        bytes[at..at + 3].copy_from_slice(b"ann");
    }
    // The id of a built-in module is its own.
    let id = b"n-per-user";
    for at in 0..bytes.len() - id.len() {
        if &bytes[at..at + id.len()] == id {
            bytes[at..at + id.len()].copy_from_slice(b"n-per-liar");
        }
    }
    bytes
}

#[tokio::test]
async fn a_module_whose_examples_lie_is_refused() {
    let gate = Gate::dev().await;
    let url = format!("{}/admin/v1/modules", gate.admin);
    let wasm = [("content-type", "application/wasm")];
    let refused = gate
        .http
        .send(hyper::Method::POST, &url, &wasm, lying_module())
        .await;
    let problem = refused.refused(422, "examples");
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(
        detail.contains("promised admitted, the plan gives limit-per-user"),
        "{problem}"
    );
}

/// A first start does not wait for them; whoever asks does.
#[tokio::test]
async fn earlier_versions_of_built_in_modules_are_there_for_whoever_asks() {
    let cache = tempfile::tempdir().expect("a temporary folder");
    let mut dev = command(&["dev"]);
    dev.env("RUSHGATE_WASM_CACHE_DIR", cache.path());
    let gate = Gate::spawn(dev).await;
    let earlier = json!([{"module": "one-per-user@1.0.0"}]);
    gate.create("spring", 10, earlier).await;
    let get = async |path: &str| {
        let url = format!("{}/admin/v1{path}", gate.admin);
        gate.http.get(&url, &[]).await
    };
    let revision = get("/campaigns/spring/revisions/1").await.expect(200).json();
    assert_eq!(revision["rules"][0]["version"], "1.0.0", "{revision}");
    let one = get("/modules/order-cap@1.0.0").await.expect(200).json();
    assert_eq!(one["version"], "1.0.0", "{one}");
    let all = get("/modules").await.json();
    let names = all["modules"].as_array().expect("modules").iter().map(|module| {
        let text = |field: &str| module[field].as_str().expect("a text").to_owned();
        (text("id"), text("version"))
    });
    let names: std::collections::BTreeSet<(String, String)> = names.collect();
    assert_eq!(names.len(), rushgate::wasm::builtin().len(), "{names:?}");
    get("/modules/none@1.0.0").await.refused(404, "unknown");
}

/// Both want to replace revision 1, and only one of them may drop what the other brought.
#[tokio::test]
async fn two_activations_at_once_are_compared_one_after_the_other() {
    let gate = campaign().await;
    let by = async |claim: &str| {
        let params = json!({"limits": [{"by": [claim], "limit": 1}]});
        let rules = json!({"rules": [{"module": "per-subject", "name": "n-per-user", "params": params}]});
        let path = format!("{CAMPAIGN}/revisions");
        gate.control(&path, &rules).await.expect(201).json()
    };
    by("claim:two").await;
    by("claim:three").await;
    let [two, three] = [(2, "two"), (3, "three")].map(|(revision, claim)| {
        let own = format!("n-per-user/units-per-claim-{claim}");
        json!({"revision": revision, "accept": ["n-per-user/units-per-user", own]})
    });
    let (two, three) = tokio::join!(activate(&gate, two), activate(&gate, three));
    let statuses = [two.status, three.status];
    assert!(
        statuses.contains(&200) && statuses.contains(&409),
        "{two:?} {three:?}"
    );
    let refused = if two.status == 409 { two } else { three };
    let problem = refused.json();
    // The loser either saw the winner's counter, which it did not name, or was told that it came too late.
    assert!(
        ["accept-missing", "conflict"].contains(&problem["reason"].as_str().unwrap_or_default()),
        "{problem}"
    );
}

#[tokio::test]
async fn times_that_are_refused_leave_no_revision_behind() {
    let gate = campaign().await;
    let patch = async |body: Value| {
        let url = format!("{}/admin/v1{CAMPAIGN}", gate.admin);
        let headers = [("content-type", "application/json")];
        let body = body.to_string().into_bytes();
        gate.http.send(Method::PATCH, &url, &headers, body).await
    };
    let revisions = async || {
        let url = format!("{}/admin/v1{CAMPAIGN}/revisions", gate.admin);
        let listed = gate.http.get(&url, &[]).await.expect(200).json();
        let listed = listed["revisions"].as_array().expect("a list").len();
        (listed, gate.figures("changing").await["revision"].clone())
    };
    let before = revisions().await;
    // It closed so long ago that it would be archived at once; it closes before it opens; both with a title that fits.
    for (body, pointer) in [
        (
            json!({"opens_at": "2020-01-01T00:00:00Z", "closes_at": "2020-02-01T00:00:00Z", "title": "Gone"}),
            "/closes_at",
        ),
        (
            json!({"closes_at": "2025-12-31T00:00:00Z", "title": "Gone"}),
            "/closes_at",
        ),
    ] {
        let refused = patch(body.clone()).await.refused(422, "invalid");
        assert_eq!(refused["pointer"], pointer, "{refused}");
        assert_eq!(revisions().await, before, "{body}");
    }
    assert_eq!(gate.figures("changing").await["title"], "changing");
    let later = patch(json!({"closes_at": "2028-01-31T00:00:00Z"}))
        .await
        .expect(200)
        .json();
    assert_eq!(later["revision"], 2, "{later}");
    assert_eq!(revisions().await, (before.0 + 1, json!(2)));
}

#[tokio::test]
async fn a_module_that_there_is_not_is_answered_with_those_that_there_are() {
    let gate = Gate::dev().await;
    for (module, words) in [
        (
            "n-per-user@9.9.9",
            "module \"n-per-user\" has no version \"9.9.9\"",
        ),
        ("n-per-usr", "no module \"n-per-usr\""),
    ] {
        let rules = json!({"rules": [{"module": module, "params": {"limit": 2}}]});
        let problem = gate
            .control("/campaigns/demo/revisions", &rules)
            .await
            .refused(422, "invalid");
        assert_eq!(
            (&problem["pointer"], &problem["detail"]),
            (&json!("/rules/0/module"), &json!(words))
        );
        let hint = problem["errors"][0]["hint"].as_str().expect("a hint");
        let named = if module.contains('@') {
            "1.0.0"
        } else {
            "n-per-user"
        };
        assert!(hint.contains(named), "{problem}");
        let url = format!("{}/admin/v1/modules/{module}", gate.admin);
        let unknown = gate.http.get(&url, &[]).await.refused(404, "unknown");
        let detail = unknown["detail"].as_str().expect("a detail");
        assert!(detail.starts_with(words) && detail.contains(named), "{detail}");
    }
}
