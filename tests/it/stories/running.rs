//! A sale that is paused, resumed, ended, and brought to other times, over HTTP: wrong input first.

use hyper::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use testkit::database::{Database, connect};
use testkit::http::Reply;

use crate::stories::gate::{Gate, PATIENCE, POLL};

const LIMITED: &str = "n-per-user";

fn mug() -> Value {
    json!({"sku": "mug", "quantity": 1})
}

fn from_now(ms: i64) -> Timestamp {
    Timestamp::now() + SignedDuration::from_millis(ms)
}

fn rules() -> Value {
    json!([{"module": LIMITED, "params": {"limit": 2}}])
}

/// A sale of ten mugs between two moments, so many milliseconds from now.
async fn open(gate: &Gate, id: &str, (opens, closes): (i64, i64), rules: Value) {
    let campaign = json!({
        "id": id, "title": id, "opens_at": from_now(opens), "closes_at": from_now(closes),
        "skus": [{"id": "mug", "stock": 10}], "rules": rules,
    });
    gate.control("/campaigns", &campaign).await.expect(201);
}

const HOUR: i64 = 3_600_000;

async fn ask(gate: &Gate, path: &str, key: Option<&str>, body: &Value) -> Reply {
    let headers: Vec<(&str, &str)> = key.iter().map(|key| ("idempotency-key", *key)).collect();
    let url = format!("{}/admin/v1/campaigns/{path}", gate.admin);
    gate.http.post(&url, &headers, body).await
}

async fn patch(gate: &Gate, path: &str, body: &Value) -> Reply {
    let url = format!("{}/admin/v1/campaigns/{path}", gate.admin);
    let headers = [("content-type", "application/json")];
    let body = body.to_string().into_bytes();
    gate.http.send(Method::PATCH, &url, &headers, body).await
}

async fn shown(gate: &Gate, campaign: &str) -> Value {
    let url = format!("{}/v1/campaigns/{campaign}", gate.orders);
    gate.http.get(&url, &[]).await.expect(200).json()
}

fn did(reply: &Reply) -> String {
    reply.json()["did"].as_str().expect("a sentence").to_owned()
}

/// Polls until it holds.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(POLL).await;
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_pause_is_said_and_changes_nothing() {
    let gate = Gate::dev().await;
    open(&gate, "spring", (-HOUR, HOUR), rules()).await;
    for verb in ["pause", "resume", "end"] {
        let unknown = ask(&gate, &format!("nowhere/{verb}"), None, &json!({})).await;
        unknown.refused(404, "unknown");
        let unknown = ask(&gate, &format!("nowhere/{verb}"), Some("k"), &json!({})).await;
        unknown.refused(404, "unknown");
        for (body, status, reason) in [
            (json!({"nope": 1}), 422, "invalid"),
            (json!([]), 422, "invalid"),
            (json!({"note": 7}), 422, "invalid"),
            (json!({"note": "x\u{7}"}), 422, "invalid"),
            (json!({"note": "x".repeat(501)}), 422, "invalid"),
        ] {
            let problem = ask(&gate, &format!("spring/{verb}"), None, &body).await;
            problem.refused(status, reason);
        }
    }
    for (resume_at, hint) in [
        (json!(from_now(-1000)), "has passed"),
        (json!(from_now(2 * HOUR)), "before the sale closes"),
        (json!("tomorrow"), ""),
    ] {
        let problem = ask(&gate, "spring/pause", None, &json!({"resume_at": resume_at})).await;
        let problem = problem.refused(422, "invalid");
        assert_eq!(problem["pointer"], "/resume_at", "{problem}");
        let detail = problem["detail"].as_str().expect("a sentence");
        assert!(detail.contains(hint), "{problem}");
    }
    assert_eq!(shown(&gate, "spring").await["state"], "open");
    gate.place_in("spring", "ann", &[], mug()).await.expect(202);
}

#[tokio::test]
async fn a_paused_sale_takes_no_order_and_answers_for_those_it_took() {
    let gate = Gate::dev().await;
    open(&gate, "spring", (-HOUR, HOUR), rules()).await;
    let keyed = [("idempotency-key", "cart-1")];
    let taken = gate.place_in("spring", "ann", &keyed, mug()).await.expect(202);
    let begun = Timestamp::now();
    let paused = ask(
        &gate,
        "spring/pause",
        None,
        &json!({"note": "the price is wrong"}),
    )
    .await;
    let paused = paused.expect(200).json();
    assert_eq!(
        (&paused["state"], &paused["paused"]["note"]),
        (&json!("paused"), &json!("the price is wrong"))
    );
    assert!(
        paused["did"]
            .as_str()
            .is_some_and(|did| did.starts_with("Paused:")),
        "{paused}"
    );
    let since: Timestamp = serde_json::from_value(paused["paused"]["since"].clone()).expect("a time");
    assert!(since >= begun - SignedDuration::from_secs(1), "{paused}");

    let refused = gate.place_in("spring", "bob", &[], mug()).await;
    let wait: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((5..=10).contains(&wait), "{wait}");
    let problem = refused.refused(503, "paused");
    assert_eq!(
        (&problem["retryable"], &problem["retry_at"]),
        (&json!(true), &Value::Null)
    );
    // With a key and without, whatever the rules would say.
    let other = [("idempotency-key", "cart-2")];
    gate.place_in("spring", "bob", &other, mug())
        .await
        .refused(503, "paused");
    gate.place_in("spring", "ann", &[], json!({"sku": "mug", "quantity": 99}))
        .await
        .refused(503, "paused");
    gate.place_in("spring", "ann", &[], json!({"sku": "hat", "quantity": 1}))
        .await
        .refused(404, "unknown-sku");
    let again = gate.place_in("spring", "ann", &keyed, mug()).await.expect(202);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.json()["order"], taken.json()["order"]);
    gate.order_in_state("ann", taken.header("location"), "confirmed")
        .await;

    let quota = gate.quota("spring", "bob", "?sku=mug").await.expect(200).json();
    assert_eq!(quota["refused"]["reason"], "paused", "{quota}");
    until("buyers see it", async || {
        shown(&gate, "spring").await["state"] == "paused"
    })
    .await;
    until("it is counted", async || {
        gate.figures("spring").await["rejected"]["paused"] == 3
    })
    .await;
    let figures = gate.figures("spring").await;
    assert_eq!(
        (&figures["state"], &figures["paused"]["since"]),
        (&json!("paused"), &paused["paused"]["since"])
    );

    let twice = ask(&gate, "spring/pause", None, &json!({})).await.expect(200);
    assert!(
        did(&twice).starts_with("It was paused already"),
        "{}",
        did(&twice)
    );
    let resumed = ask(&gate, "spring/resume", None, &json!({"note": "mended"}))
        .await
        .expect(200);
    assert!(
        did(&resumed).starts_with("Resumed: every gateway"),
        "{}",
        did(&resumed)
    );
    assert_eq!(
        (&resumed.json()["state"], &resumed.json()["paused"]),
        (&json!("open"), &Value::Null)
    );
    gate.place_in("spring", "bob", &other, mug()).await.expect(202);
    let twice = ask(&gate, "spring/resume", None, &json!({})).await.expect(200);
    assert!(did(&twice).starts_with("It was not paused"), "{}", did(&twice));
    until("buyers see it", async || {
        shown(&gate, "spring").await["state"] == "open"
    })
    .await;
}

#[tokio::test]
async fn a_change_under_a_key_is_made_once() {
    let gate = Gate::dev().await;
    open(&gate, "spring", (-HOUR, HOUR), rules()).await;
    let (key, body) = (Some("stop-1"), json!({"note": "once"}));
    let first = ask(&gate, "spring/pause", key, &body).await.expect(200);
    ask(&gate, "spring/resume", Some("go-1"), &json!({}))
        .await
        .expect(200);
    let again = ask(&gate, "spring/pause", key, &body).await.expect(200);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.json(), first.json());
    gate.place_in("spring", "ann", &[], mug()).await.expect(202);
    ask(&gate, "spring/pause", key, &json!({"note": "twice"}))
        .await
        .refused(422, "key-reused");
    ask(&gate, "spring/end", key, &body)
        .await
        .refused(422, "key-reused");
    gate.place_in("spring", "ann", &[], mug()).await.expect(202);
}

#[tokio::test]
async fn a_change_that_is_being_carried_out_is_to_be_asked_for_again() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let gate = Gate::dev_in(data.path()).await;
    open(&gate, "spring", (-HOUR, HOUR), rules()).await;
    let (key, body) = (Some("stop-1"), json!({}));
    let first = ask(&gate, "spring/pause", key, &body).await.expect(200);
    // As a process leaves it that died on the way to the answer.
    let url = format!("sqlite://{}", data.path().join("rushgate.db").display());
    let db = Database::at(connect(&url).await, url);
    let now = Timestamp::now().as_millisecond();
    let busy = format!(
        "UPDATE operations SET answer = NULL, busy_until_ms = {}",
        now + HOUR
    );
    db.execute(&busy).await;
    let held = ask(&gate, "spring/pause", key, &body).await;
    assert_eq!(held.header("retry-after"), "1");
    assert_eq!(held.refused(409, "in-progress")["retryable"], true);
    db.execute("UPDATE operations SET busy_until_ms = 0").await;
    let again = ask(&gate, "spring/pause", key, &body).await.expect(200);
    assert_eq!(again.json()["paused"], first.json()["paused"]);
}

#[tokio::test]
async fn whoever_sets_other_times_too_late_leaves_nothing_behind() {
    let gate = Gate::dev().await;
    open(&gate, "spring", (-HOUR, HOUR), rules()).await;
    let others = (1..=16).map(|n| json!({"closes_at": from_now(HOUR + n * 60_000)}));
    let others: Vec<_> = others.collect();
    let asked = others.iter().map(|body| patch(&gate, "spring", body));
    let replies = futures_util::future::join_all(asked).await;
    let mut changed = 0;
    for reply in replies {
        match reply.status {
            200 => changed += 1,
            _ => drop(reply.refused(409, "conflict")),
        }
    }
    let url = format!("{}/admin/v1/campaigns/spring/revisions", gate.admin);
    let revisions = gate.http.get(&url, &[]).await.expect(200).json();
    let revisions = revisions["revisions"].as_array().expect("a list").len();
    assert!(
        changed >= 1 && revisions == 1 + changed,
        "{changed} changes, {revisions} revisions"
    );
}

#[tokio::test]
async fn a_body_may_be_left_out() {
    let gate = Gate::dev().await;
    open(&gate, "spring", (-HOUR, HOUR), rules()).await;
    for (verb, status) in [("pause", 503), ("resume", 202), ("end", 410)] {
        let url = format!("{}/admin/v1/campaigns/spring/{verb}", gate.admin);
        gate.http
            .send(Method::POST, &url, &[], Vec::new())
            .await
            .expect(200);
        gate.place_in("spring", "ann", &[], mug()).await.expect(status);
    }
}

#[tokio::test]
async fn a_pause_ends_by_itself_at_its_moment() {
    let gate = Gate::dev().await;
    open(&gate, "spring", (-HOUR, HOUR), rules()).await;
    let resume_at = from_now(1500);
    let paused = ask(&gate, "spring/pause", None, &json!({"resume_at": resume_at}))
        .await
        .expect(200);
    assert!(did(&paused).contains("until 20"), "{}", did(&paused));
    let refused = gate.place_in("spring", "ann", &[], mug()).await;
    let wait: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((1..=7).contains(&wait), "{wait}");
    let problem = refused.refused(503, "paused");
    let said: Timestamp = serde_json::from_value(problem["retry_at"].clone()).expect("a time");
    assert_eq!(said.as_millisecond(), resume_at.as_millisecond());
    until("buyers see when", async || {
        let shown = shown(&gate, "spring").await;
        assert!(
            shown["state"] == "open" || shown["resume_at"] == problem["retry_at"],
            "{shown}"
        );
        shown["state"] == "paused"
    })
    .await;
    let keyed = [("idempotency-key", "k")];
    until("it goes on", async || {
        let taken = gate.place_in("spring", "ann", &keyed, mug()).await.status == 202;
        // The engine of a gateway in one process has this clock.
        assert!(!taken || Timestamp::now() >= resume_at, "too early");
        taken
    })
    .await;
    assert_eq!(gate.figures("spring").await["state"], "open");
    let late = ask(&gate, "spring/resume", None, &json!({})).await.expect(200);
    assert!(did(&late).contains("ended by itself"), "{}", did(&late));
}

#[tokio::test]
async fn a_pause_is_moved_by_another_one() {
    let gate = Gate::dev().await;
    open(&gate, "spring", (-HOUR, HOUR), rules()).await;
    let first = ask(&gate, "spring/pause", None, &json!({"note": "why"}))
        .await
        .expect(200)
        .json();
    let soon = json!({"resume_at": from_now(HOUR / 2)});
    let moved = ask(&gate, "spring/pause", None, &soon).await.expect(200);
    assert!(
        did(&moved).starts_with("It was paused already, until somebody"),
        "{}",
        did(&moved)
    );
    let moved = moved.json();
    assert_eq!(moved["paused"]["since"], first["paused"]["since"]);
    assert_eq!(moved["paused"]["note"], "why");
    assert!(moved["paused"]["resume_at"].is_string(), "{moved}");
    let back = ask(&gate, "spring/pause", None, &json!({}))
        .await
        .expect(200)
        .json();
    assert_eq!(back["paused"]["resume_at"], Value::Null);
    gate.place_in("spring", "ann", &[], mug())
        .await
        .refused(503, "paused");
}

#[tokio::test]
async fn before_it_opens_and_after_it_closed_a_pause_shows_in_the_control_plane_alone() {
    let gate = Gate::dev().await;
    open(&gate, "soon", (HOUR, 2 * HOUR), rules()).await;
    open(&gate, "over", (-2 * HOUR, -HOUR), rules()).await;
    for (campaign, state, status, reason) in [
        ("soon", "scheduled", 425, "not-open"),
        ("over", "closed", 410, "closed"),
    ] {
        let paused = ask(&gate, &format!("{campaign}/pause"), None, &json!({}))
            .await
            .expect(200);
        assert!(did(&paused).starts_with("Paused"), "{}", did(&paused));
        assert_eq!(paused.json()["state"], state);
        if campaign == "soon" {
            let before = json!({"resume_at": from_now(HOUR / 2)});
            let ends = ask(&gate, "soon/pause", None, &before).await.expect(200);
            assert!(did(&ends).contains("now it is until"), "{}", did(&ends));
            ask(&gate, "soon/resume", None, &json!({})).await.expect(200);
            let ends = ask(&gate, "soon/pause", None, &before).await.expect(200);
            assert!(
                did(&ends).contains("which is over when it opens"),
                "{}",
                did(&ends)
            );
            ask(&gate, "soon/pause", None, &json!({})).await.expect(200);
        }
        gate.place_in(campaign, "ann", &[], mug())
            .await
            .refused(status, reason);
        assert_eq!(shown(&gate, campaign).await["state"], state);
        assert!(gate.figures(campaign).await["paused"]["since"].is_string());
    }
}

#[tokio::test]
async fn an_activation_keeps_a_pause() {
    let gate = Gate::dev().await;
    open(&gate, "spring", (-HOUR, HOUR), rules()).await;
    ask(&gate, "spring/pause", None, &json!({})).await.expect(200);
    let looser = json!({"rules": [{"module": LIMITED, "params": {"limit": 5}}]});
    gate.control("/campaigns/spring/revisions", &looser)
        .await
        .expect(201);
    gate.control("/campaigns/spring/activate", &json!({"revision": 2}))
        .await
        .expect(200);
    gate.place_in("spring", "ann", &[], mug())
        .await
        .refused(503, "paused");
    ask(&gate, "spring/resume", None, &json!({})).await.expect(200);
    gate.place_in("spring", "ann", &[], mug()).await.expect(202);
}

#[tokio::test]
async fn a_sale_is_ended_now_and_can_be_opened_again() {
    let gate = Gate::dev().await;
    open(&gate, "spring", (-HOUR, HOUR), rules()).await;
    let keyed = [("idempotency-key", "k")];
    gate.place_in("spring", "ann", &keyed, mug()).await.expect(202);
    let ended = ask(&gate, "spring/end", Some("e"), &json!({"note": "recalled"}))
        .await
        .expect(200);
    assert!(did(&ended).starts_with("Ended at"), "{}", did(&ended));
    gate.place_in("spring", "bob", &[], mug())
        .await
        .refused(410, "closed");
    gate.place_in("spring", "ann", &keyed, mug()).await.expect(202);
    let figures = gate.figures("spring").await;
    assert_eq!(
        (&figures["state"], &figures["paused"], &figures["revision"]),
        (&json!("closed"), &Value::Null, &ended.json()["revision"])
    );
    let again = ask(&gate, "spring/end", None, &json!({})).await.expect(200);
    assert!(did(&again).starts_with("It was over already"), "{}", did(&again));
    assert_eq!(gate.figures("spring").await["revision"], figures["revision"]);
    let longer = patch(&gate, "spring", &json!({"closes_at": from_now(HOUR)}))
        .await
        .expect(200);
    assert!(
        did(&longer).contains("So it is open from now on."),
        "{}",
        did(&longer)
    );
    gate.place_in("spring", "bob", &[], mug()).await.expect(202);
    // One that never opened does not open any more.
    open(&gate, "soon", (HOUR, 2 * HOUR), rules()).await;
    gate.place_in("soon", "ann", &[], mug())
        .await
        .refused(425, "not-open");
    let ended = ask(&gate, "soon/end", None, &json!({})).await.expect(200);
    assert!(did(&ended).contains("before it opened"), "{}", did(&ended));
    gate.place_in("soon", "ann", &[], mug())
        .await
        .refused(410, "closed");
}

#[tokio::test]
async fn a_sale_is_ended_also_where_its_rules_do_not_take_the_time() {
    let gate = Gate::dev().await;
    let reserve = json!([{"module": "region-quota",
        "params": {"shares": {"eu": 30}, "release": {"before_closing": "2h"}}}]);
    open(&gate, "spring", (-HOUR, 24 * HOUR), reserve).await;
    // By a change of times it is refused, and says where.
    let earlier = json!({"closes_at": from_now(60_000)});
    let problem = patch(&gate, "spring", &earlier).await.refused(422, "invalid");
    assert!(
        problem["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("between the opening")),
        "{problem}"
    );
    gate.place_in("spring", "ann?region=eu", &[], mug())
        .await
        .expect(202);
    let ended = ask(&gate, "spring/end", None, &json!({})).await.expect(200);
    assert!(did(&ended).contains("Its plan is as it was"), "{}", did(&ended));
    gate.place_in("spring", "bob?region=eu", &[], mug())
        .await
        .refused(410, "closed");
    assert_eq!(gate.figures("spring").await["paused"], Value::Null);
}

#[tokio::test]
async fn what_is_wrong_with_other_times_is_said() {
    let gate = Gate::dev().await;
    open(&gate, "spring", (-HOUR, HOUR), rules()).await;
    patch(&gate, "nowhere", &json!({"title": "x"}))
        .await
        .refused(404, "unknown");
    for (body, pointer) in [
        (json!({}), ""),
        (json!({"note": "nothing else"}), ""),
        (json!({"title": ""}), "/title"),
        (json!({"title": "x\u{7}"}), "/title"),
        (json!({"title": "x".repeat(201)}), "/title"),
        (json!({"closes_at": from_now(-2 * HOUR)}), "/closes_at"),
        (json!({"opens_at": from_now(2 * HOUR)}), "/closes_at"),
        (json!({"closes_at": "soon"}), "/closes_at"),
        (json!({"close_at": from_now(HOUR)}), "/close_at"),
        (json!({"title": "x", "note": "x".repeat(501)}), "/note"),
    ] {
        let problem = patch(&gate, "spring", &body).await.refused(422, "invalid");
        assert_eq!(problem["pointer"], pointer, "{body}: {problem}");
    }
    patch(&gate, "spring?dry=true", &json!({"title": "x"}))
        .await
        .refused(400, "malformed");
    let figures = gate.figures("spring").await;
    assert_eq!(
        (&figures["revision"], &figures["title"]),
        (&json!(1), &json!("spring"))
    );
}

#[tokio::test]
async fn other_times_and_another_title_need_no_rules() {
    let gate = Gate::dev().await;
    open(&gate, "spring", (-HOUR, HOUR), rules()).await;
    let later = from_now(2 * HOUR);
    let body = json!({"title": "Spring!", "closes_at": later, "note": "everybody asks"});
    let rehearsed = patch(&gate, "spring?dry_run=true", &body).await.expect(200);
    assert!(did(&rehearsed).contains("would close at"), "{}", did(&rehearsed));
    assert_eq!(gate.figures("spring").await["title"], "spring");
    let changed = patch(&gate, "spring", &body).await.expect(200);
    assert!(
        did(&changed).contains("Its title is \"Spring!\"."),
        "{}",
        did(&changed)
    );
    let figures = gate.figures("spring").await;
    assert_eq!(
        (&figures["revision"], &figures["title"]),
        (&json!(2), &json!("Spring!"))
    );
    let closes_at: Timestamp = serde_json::from_value(figures["closes_at"].clone()).expect("a time");
    assert_eq!(closes_at.as_millisecond(), later.as_millisecond());
    // What is so already is said, and makes no revision.
    let same = patch(&gate, "spring", &body).await.expect(200);
    assert!(did(&same).starts_with("It is so already"), "{}", did(&same));
    patch(&gate, "spring", &json!({"title": "Spring?"}))
        .await
        .expect(200);
    assert_eq!(gate.figures("spring").await["revision"], 2);
    // Not open any more, and then again.
    let shut = json!({"opens_at": from_now(HOUR)});
    let shut = patch(&gate, "spring", &shut).await.expect(200);
    assert!(
        did(&shut).contains("So it is scheduled from now on."),
        "{}",
        did(&shut)
    );
    gate.place_in("spring", "ann", &[], mug())
        .await
        .refused(425, "not-open");
    patch(&gate, "spring", &json!({"opens_at": from_now(-HOUR)}))
        .await
        .expect(200);
    gate.place_in("spring", "ann", &[], mug()).await.expect(202);
}

/// Windows of an hour begin with the opening: they are others then, and filled with the orders so far.
#[tokio::test]
async fn a_counter_that_other_times_cut_anew_knows_who_has_bought() {
    let gate = Gate::dev().await;
    let hourly = json!([{"module": "per-window",
        "params": {"limit": 1, "count": "orders", "window": {"tumbling": {"length": "1h"}}}}]);
    open(&gate, "spring", (-HOUR, HOUR), hourly).await;
    gate.place_in("spring", "ann", &[], mug()).await.expect(202);
    let body = json!({"opens_at": from_now(-HOUR - 7 * 60_000)});
    let rehearsed = patch(&gate, "spring?dry_run=true", &body)
        .await
        .expect(200)
        .json();
    assert_eq!(gate.figures("spring").await["revision"], 1);
    let changed = patch(&gate, "spring", &body).await.expect(200).json();
    assert_eq!(changed["changes"], rehearsed["changes"]);
    let is_filled = |change: &Value| change["counter"]["counts"] == "filled";
    let changes = changed["changes"].as_array().expect("a list");
    assert!(changes.iter().any(is_filled), "{changed}");
    until("the gate is open", async || {
        let again = gate.place_in("spring", "ann", &[], mug()).await;
        assert_ne!(again.status, 202);
        again.status == 409
    })
    .await;
    gate.place_in("spring", "bob", &[], mug()).await.expect(202);
}
