//! Names of modules: nobody takes over what another has, and everybody sees which version decides.

use hyper::Method;
use serde_json::{Value, json};
use testkit::forge::{Body, Forge, described};
use testkit::http::Reply;

use crate::stories::gate::Gate;

/// A module that says one thing of a limit and enforces another.
fn forge(id: &str, version: &str, limit: u32, says: &str) -> Vec<u8> {
    let plan = json!({
        "nodes": [{"int": 1}, {"counter": 0}, {"add": [1, 0]}, {"int": limit}, {"le": [2, 3]}],
        "counters": [{"id": "orders", "key": ["user"], "window": "campaign", "cost": 0}],
        "constraints": [{"require": 4, "reason": "no", "sentence": says, "measure": {"counter": 0, "limit": 3}}],
    });
    Forge {
        describe: Body::Answer(described(json!({"id": id, "version": version}))),
        ..Forge::planning(plan)
    }
    .component()
}

async fn upload_as(gate: &Gate, query: &str, bytes: Vec<u8>) -> Reply {
    let url = format!("{}/admin/v1/modules{query}", gate.admin);
    let wasm = [("content-type", "application/wasm")];
    gate.http.send(Method::POST, &url, &wasm, bytes).await
}

async fn upload(gate: &Gate, bytes: Vec<u8>) -> Reply {
    upload_as(gate, "", bytes).await
}

async fn delete(gate: &Gate, selector: &str) -> Reply {
    let url = format!("{}/admin/v1/modules/{selector}", gate.admin);
    gate.http.send(Method::DELETE, &url, &[], Vec::new()).await
}

async fn show(gate: &Gate, path: &str) -> Value {
    let url = format!("{}/admin/v1{path}", gate.admin);
    gate.http.get(&url, &[]).await.expect(200).json()
}

fn detail(problem: &Value) -> &str {
    problem["detail"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn a_built_in_id_is_not_taken_over_without_a_word() {
    let gate = Gate::dev().await;
    let before = show(&gate, "/modules/n-per-user").await;
    for (id, version) in [
        ("n-per-user", "1.0.0"),
        ("n-per-user", "9.9.9"),
        ("tlered", "1.0.0"),
    ] {
        let problem = upload(&gate, forge(id, version, 1000, "At most 1.")).await;
        let problem = problem.refused(409, "conflict");
        assert!(detail(&problem).contains("built-in"), "{problem}");
    }
    for id in [
        "N-per-user",
        "n-p\u{435}r-user",
        "n\u{200b}-per-user",
        "n-per-user ",
    ] {
        upload(&gate, forge(id, "1.0.0", 1000, "At most 1."))
            .await
            .refused(422, "descriptor");
    }
    assert_eq!(show(&gate, "/modules/n-per-user").await, before);

    // Said out loud it may; but not under a version that is another's.
    let flag = "?replace_builtin=true";
    let taken = upload_as(&gate, flag, forge("n-per-user", "2.0.0", 7, "At most 7.")).await;
    let digest = before["digest"].as_str().expect("a digest");
    assert!(detail(&taken.refused(409, "conflict")).contains(digest));
    let bytes = forge("n-per-user", "2.1.0", 7, "At most 7.");
    let answer = upload_as(&gate, flag, bytes.clone()).await.expect(201).json();
    assert_eq!(answer["replaces_builtin"], true);
    assert_eq!(show(&gate, "/modules/n-per-user").await["version"], "2.1.0");
    let again = upload(&gate, bytes).await.expect(200).json();
    assert_eq!(again["replaces_builtin"], true, "and says so again");
    for version in ["1.0.0", "2.0.0"] {
        let problem = delete(&gate, &format!("n-per-user@{version}")).await;
        let problem = problem.refused(409, "conflict");
        assert!(detail(&problem).contains("comes with the gateway"), "{problem}");
    }
}

#[tokio::test]
async fn a_version_is_the_same_bytes_for_good_and_the_highest_is_the_newest() {
    let gate = Gate::dev().await;
    let two = upload(&gate, forge("tiers", "2.0.0", 2, "At most 2."))
        .await
        .expect(201)
        .json();
    assert_eq!(
        (&two["replaces_builtin"], &two["highest"]),
        (&json!(false), &json!("2.0.0"))
    );
    upload(&gate, forge("tiers", "2.0.0", 2, "At most 2."))
        .await
        .expect(200);
    let problem = upload(&gate, forge("tiers", "2.0.0", 1000, "At most 2."))
        .await
        .refused(409, "conflict");
    let digest = two["digest"].as_str().expect("a digest");
    assert!(
        detail(&problem).contains(digest) && detail(&problem).contains("tiers@2.0.0"),
        "{problem}"
    );
    for older in ["1.5.0", "2.0.0-rc.1", "2.1.0-rc.1"] {
        let answer = upload(&gate, forge("tiers", older, 1000, "At most 2."))
            .await
            .expect(201)
            .json();
        assert_eq!(answer["highest"], "2.0.0", "{older}");
    }
    for bad in ["2.0.0+other", "2.0", "02.0.0"] {
        upload(&gate, forge("tiers", bad, 1000, "At most 2."))
            .await
            .refused(422, "descriptor");
    }
    assert_eq!(show(&gate, "/modules/tiers").await["version"], "2.0.0");

    gate.create("spring", 10, json!([{"module": "tiers"}])).await;
    let pinned = delete(&gate, "tiers@2.0.0").await.refused(409, "conflict");
    assert!(
        detail(&pinned).contains("revision 1 of campaign \"spring\""),
        "{pinned}"
    );
    delete(&gate, "tiers").await.refused(400, "malformed");
    delete(&gate, "tiers@7.0.0").await.refused(404, "unknown");
    delete(&gate, "tiers@1.5.0").await.expect(204);
    let gone = upload(&gate, forge("tiers", "1.5.0", 1, "At most 2.")).await;
    assert!(detail(&gone.refused(409, "conflict")).contains("was deleted"));
    upload(&gate, forge("tiers", "1.5.0", 1000, "At most 2."))
        .await
        .expect(201);

    // The change names the versions, and the host says what the plan enforces.
    let revision = json!({"rules": [{"module": "tiers@1.5.0"}]});
    let answer = gate
        .control("/campaigns/spring/revisions", &revision)
        .await
        .expect(201)
        .json();
    let changes = answer["changes"].as_array().expect("changes");
    let module = changes
        .iter()
        .find(|change| change["part"] == "module")
        .expect("named");
    assert_eq!(
        (&module["class"], &module["sentence"]),
        (
            &json!("changed"),
            &json!("tiers: module tiers@2.0.0 → tiers@1.5.0")
        )
    );
    assert_eq!(
        answer["explain"][1],
        "At most 2. Enforced: at most 1000. Counts orders per user, over the whole campaign."
    );
    let diff = show(&gate, "/campaigns/spring/revisions/2/diff").await;
    assert_eq!(diff["changes"], answer["changes"]);
    let history = show(&gate, "/campaigns/spring/revisions").await;
    assert_eq!(
        history["revisions"][0]["changed"][0],
        "tiers: module tiers@2.0.0 → tiers@1.5.0"
    );
    let quota = gate.quota("spring", "ada", "").await.expect(200).json();
    assert_eq!(quota["constraints"][0]["enforced"], "at most 2");
}

#[tokio::test]
async fn what_is_not_seen_is_not_said() {
    let gate = Gate::dev().await;
    let sentence = upload(&gate, forge("tiers", "1.0.0", 2, "At most \u{202e}2")).await;
    sentence.expect(201);
    let revision = json!({"rules": [{"module": "tiers"}]});
    let path = "/campaigns/demo/revisions";
    let problem = gate.control(path, &revision).await.refused(422, "invalid");
    assert!(detail(&problem).contains("U+202E"), "{problem}");
    for params in [
        json!({"limit": 1, "note": "x\u{202e}"}),
        json!({"limit": 1, "x\u{0}": 1}),
    ] {
        let revision = json!({"rules": [{"module": "n-per-user", "params": params}]});
        let problem = gate.control(path, &revision).await.refused(422, "invalid");
        let pointer = problem["pointer"].as_str().unwrap_or_default();
        assert!(pointer.starts_with("/rules/0/params"), "{problem}");
    }
    let titled = described(json!({"title": "Two\u{2066}"}));
    let forge = Forge {
        describe: Body::Answer(titled),
        ..Forge::default()
    };
    upload(&gate, forge.component()).await.refused(422, "descriptor");
}
