//! Changes that are to be made at a moment: shown, cancelled, made once, and late where nobody was there.

use hyper::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use testkit::database;
use testkit::http::Reply;

use crate::stories::gate::{Gate, PATIENCE, POLL};

fn mug() -> Value {
    json!({"sku": "mug", "quantity": 1})
}

fn from_now(ms: i64) -> Timestamp {
    Timestamp::now() + SignedDuration::from_millis(ms)
}

const HOUR: i64 = 3_600_000;

fn limited(limit: u32) -> Value {
    json!([{"module": "n-per-user", "params": {"limit": limit}}])
}

async fn open(gate: &Gate) {
    let campaign = json!({
        "id": "spring", "title": "Spring", "opens_at": from_now(-HOUR), "closes_at": from_now(HOUR),
        "skus": [{"id": "mug", "stock": 100_000}], "rules": limited(1),
    });
    gate.control("/campaigns", &campaign).await.expect(201);
}

async fn cancel(gate: &Gate, id: &str) -> Reply {
    let url = format!("{}/admin/v1/campaigns/spring/scheduled/{id}", gate.admin);
    gate.http.send(Method::DELETE, &url, &[], Vec::new()).await
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
async fn a_pause_begins_and_ends_at_its_moments() {
    let gate = Gate::dev().await;
    open(&gate).await;
    let (pause_at, resume_at) = (from_now(1200), from_now(3500));
    let body = json!({"pause_at": pause_at, "resume_at": resume_at, "note": "maintenance"});
    let planned = gate
        .control("/campaigns/spring/pause", &body)
        .await
        .expect(200)
        .json();
    assert!(
        planned["did"]
            .as_str()
            .is_some_and(|did| did.starts_with("It is to be paused at")),
        "{planned}"
    );
    gate.place_in("spring", "ann", &[], mug()).await.expect(202);
    let scheduled = gate.figures("spring").await["scheduled"].clone();
    assert_eq!(scheduled, json!([planned["scheduled"]]));
    assert_eq!(
        (&scheduled[0]["change"], &scheduled[0]["note"]),
        (&json!("pause"), &json!("maintenance"))
    );
    until("it is paused", async || {
        let reply = gate
            .place_in(
                "spring",
                &format!("bob{}", from_now(0).as_millisecond()),
                &[],
                mug(),
            )
            .await;
        assert!(reply.status != 503 || Timestamp::now() >= pause_at, "too early");
        reply.status == 503
    })
    .await;
    let figures = gate.figures("spring").await;
    assert_eq!(
        (&figures["state"], &figures["paused"]["note"]),
        (&json!("paused"), &json!("maintenance"))
    );
    until("it is not to come any more", async || {
        gate.figures("spring").await["scheduled"] == Value::Null
    })
    .await;
    until("it goes on", async || {
        gate.place_in(
            "spring",
            &format!("cid{}", from_now(0).as_millisecond()),
            &[],
            mug(),
        )
        .await
        .status
            == 202
    })
    .await;
    assert!(Timestamp::now() >= resume_at, "too early");
}

#[tokio::test]
async fn a_revision_is_put_in_force_at_its_moment() {
    let gate = Gate::dev().await;
    open(&gate).await;
    let late = json!({"rules": limited(2), "activate_at": from_now(-1)});
    let problem = gate
        .control("/campaigns/spring/revisions", &late)
        .await
        .refused(422, "invalid");
    assert_eq!(problem["pointer"], "/activate_at", "{problem}");
    let soon = json!({"rules": limited(2), "activate_at": from_now(1000)});
    let made = gate
        .control("/campaigns/spring/revisions", &soon)
        .await
        .expect(201)
        .json();
    assert_eq!(made["scheduled"]["revision"], made["revision"], "{made}");
    assert_eq!(gate.figures("spring").await["revision"], 1);
    until("it is in force", async || {
        gate.figures("spring").await["revision"] == made["revision"]
    })
    .await;
    for status in [202, 202, 409] {
        gate.place_in("spring", "ann", &[], mug()).await.expect(status);
    }
}

#[tokio::test]
async fn what_is_scheduled_can_be_cancelled() {
    let gate = Gate::dev().await;
    open(&gate).await;
    for (body, pointer) in [
        (json!({"pause_at": from_now(-1000)}), "/pause_at"),
        (json!({"pause_at": from_now(2 * HOUR)}), "/pause_at"),
        (
            json!({"pause_at": from_now(2000), "resume_at": from_now(1000)}),
            "/resume_at",
        ),
        (
            json!({"pause_at": from_now(2000), "resume_at": from_now(2 * HOUR)}),
            "/resume_at",
        ),
    ] {
        let problem = gate
            .control("/campaigns/spring/pause", &body)
            .await
            .refused(422, "invalid");
        assert_eq!(problem["pointer"], pointer, "{problem}");
    }
    let soon = json!({"pause_at": from_now(HOUR / 2)});
    let planned = gate
        .control("/campaigns/spring/pause", &soon)
        .await
        .expect(200)
        .json();
    let id = planned["scheduled"]["id"].as_str().expect("an id");
    cancel(&gate, "nothing").await.refused(404, "unknown");
    let did = |reply: Reply| {
        reply.expect(200).json()["did"]
            .as_str()
            .expect("a sentence")
            .to_owned()
    };
    assert!(did(cancel(&gate, id).await).starts_with("Cancelled"));
    assert!(did(cancel(&gate, id).await).contains("already"));
    assert_eq!(gate.figures("spring").await["scheduled"], Value::Null);
}

#[tokio::test]
async fn what_was_due_while_nobody_was_there_is_made_late_and_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let gate = Gate::dev_in(folder.path()).await;
    open(&gate).await;
    let due = from_now(700);
    gate.control("/campaigns/spring/pause", &json!({"pause_at": due}))
        .await
        .expect(200);
    drop(gate);
    // Until it is late.
    let late = due + SignedDuration::from_secs(3);
    let wait = late.duration_since(Timestamp::now());
    tokio::time::sleep(wait.try_into().unwrap_or_default()).await;
    let gate = Gate::dev_in(folder.path()).await;
    until("it is paused", async || {
        let reply = gate
            .place_in(
                "spring",
                &format!("ann{}", from_now(0).as_millisecond()),
                &[],
                mug(),
            )
            .await;
        reply.status == 503 && reply.json()["reason"] == "paused"
    })
    .await;
    assert_eq!(gate.terminate(), Some(0));
    let path = folder.path().join("rushgate.db");
    let store = database::connect(&format!("sqlite://{}", path.display())).await;
    let audit = store.audited("spring", 100).await.expect("asked");
    let line = audit
        .iter()
        .find(|line| line.action == "campaign.scheduled")
        .expect("a line");
    assert!(
        line.detail["late_ms"].as_i64().is_some_and(|ms| ms >= 2000),
        "{line:?}"
    );
}

#[tokio::test]
async fn what_is_scheduled_opens_no_sale_again_that_was_ended() {
    let gate = Gate::dev().await;
    open(&gate).await;
    let later = json!({"rules": limited(3), "activate_at": from_now(HOUR / 2)});
    gate.control("/campaigns/spring/revisions", &later)
        .await
        .expect(201);
    gate.control(
        "/campaigns/spring/pause",
        &json!({"pause_at": from_now(HOUR / 3)}),
    )
    .await
    .expect(200);
    let ended = gate
        .control("/campaigns/spring/end", &json!({}))
        .await
        .expect(200)
        .json();
    let did = ended["did"].as_str().expect("a sentence");
    assert!(
        did.contains("Cancelled: the activation of revision 2") && did.contains("Cancelled: the pause"),
        "{did}"
    );
    let figures = gate.figures("spring").await;
    assert_eq!(figures.get("scheduled"), None, "{figures}");
    gate.place_in("spring", "ann", &[], mug())
        .await
        .refused(410, "closed");
}

#[tokio::test]
async fn a_scheduled_revision_does_not_undo_other_times() {
    let gate = Gate::dev().await;
    open(&gate).await;
    let later = json!({"rules": limited(3), "activate_at": from_now(1500)});
    gate.control("/campaigns/spring/revisions", &later)
        .await
        .expect(201);
    let closes_at = json!(from_now(2 * HOUR));
    let url = format!("{}/admin/v1/campaigns/spring", gate.admin);
    let patch = json!({"closes_at": closes_at}).to_string().into_bytes();
    let json_type = [("content-type", "application/json")];
    gate.http
        .send(Method::PATCH, &url, &json_type, patch)
        .await
        .expect(200);
    until("it is refused", async || {
        let figures = gate.figures("spring").await;
        figures["scheduled"][0]["failed"]
            .as_str()
            .is_some_and(|why| why.contains("the times of the sale have changed"))
    })
    .await;
    let there = gate.figures("spring").await["closes_at"].clone();
    let moment = |at: &Value| {
        at.as_str()
            .and_then(|at| at.parse::<Timestamp>().ok())
            .map(Timestamp::as_millisecond)
    };
    assert_eq!(moment(&there), moment(&closes_at));
}

#[tokio::test]
async fn a_scheduled_pause_does_not_shorten_one_that_somebody_has_begun() {
    let gate = Gate::dev().await;
    open(&gate).await;
    let body = json!({"pause_at": from_now(1000), "resume_at": from_now(1800)});
    gate.control("/campaigns/spring/pause", &body).await.expect(200);
    gate.control("/campaigns/spring/pause", &json!({"note": "emergency"}))
        .await
        .expect(200);
    until("it is made", async || {
        gate.figures("spring").await.get("scheduled").is_none()
    })
    .await;
    let figures = gate.figures("spring").await;
    assert_eq!(figures["paused"].get("resume_at"), None, "{figures}");
    assert_eq!(figures["paused"]["note"], "emergency");
}
