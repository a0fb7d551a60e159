//! A sale whose retention ends while its gateway runs: what is said of it, to whom, and how it comes back.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::{Connection, Row, SqliteConnection};

use crate::stories::gate::Gate;

const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// The gateway's database, past the gateway.
struct Behind(SqliteConnection);

impl Behind {
    async fn of(data: &Path) -> Self {
        let url = format!("sqlite://{}", data.join("rushgate.db").display());
        Self(SqliteConnection::connect(&url).await.expect("connects"))
    }

    /// Time passes for a campaign: it closed so many days ago.
    async fn close_days_ago(&mut self, campaign: &str, days: i64) {
        let sql = "UPDATE revisions SET opens_at = strftime('%Y-%m-%d %H:%M:%f', 'now', ?), \
                   closes_at = strftime('%Y-%m-%d %H:%M:%f', 'now', ?) WHERE campaign_id = ?";
        let done = sqlx::query(sql)
            .bind(format!("-{} days", days + 1))
            .bind(format!("-{days} days"))
            .bind(campaign)
            .execute(&mut self.0)
            .await;
        assert_eq!(done.expect("runs").rows_affected(), 1);
    }

    async fn epoch(&mut self, campaign: &str) -> i64 {
        let sql = "SELECT epoch FROM campaigns WHERE campaign_id = ?";
        let row = sqlx::query(sql).bind(campaign).fetch_one(&mut self.0).await;
        row.expect("there is the campaign").get(0)
    }
}

fn limit(limit: u32) -> Value {
    json!([{"module": "n-per-user", "params": {"limit": limit}}])
}

fn days_ago(days: i64) -> String {
    (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * days)).to_string()
}

fn mug() -> Value {
    json!({"sku": "mug", "quantity": 1})
}

/// A gauge of the control plane's metrics.
async fn gauge(gate: &Gate, name: &str) -> String {
    let reply = gate.http.get(&format!("{}/metrics", gate.admin), &[]).await;
    let text = String::from_utf8(reply.body.to_vec()).expect("text");
    let line = text
        .lines()
        .find(|line| line.contains(name) && !line.starts_with('#'));
    let value = line.and_then(|line| line.rsplit(' ').next());
    value.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
}

/// Waits until orders are answered that the sale is over.
async fn over(gate: &Gate, campaign: &str) {
    let begun = Instant::now();
    while gate.place_in(campaign, "late", &[], mug()).await.status != 410 {
        assert!(begun.elapsed() < PATIENCE, "orders are taken");
        tokio::time::sleep(POLL).await;
    }
}

#[tokio::test]
async fn an_archived_sale_is_told_from_the_database_and_comes_back_when_it_is_extended() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let gate = Gate::dev_in(data.path()).await;
    let mut behind = Behind::of(data.path()).await;
    gate.create("spring", 10, limit(2)).await;
    let key = [("idempotency-key", "k")];
    let first = gate.place_in("spring", "ada", &key, mug()).await.expect(202);
    let location = first.header("location").to_owned();
    let first = first.json();
    gate.order_in_state("ada", &location, "confirmed").await;

    behind.close_days_ago("spring", 8).await;
    over(&gate, "spring").await;
    let epoch = behind.epoch("spring").await;

    // A retry is the same order; other attempts are told that the sale is over.
    let again = gate.place_in("spring", "ada", &key, mug()).await.expect(202);
    assert_eq!(again.header("idempotent-replayed"), "true");
    let again = again.json();
    assert_eq!(again["state"], "confirmed");
    for member in ["order", "campaign", "sku", "quantity", "revision", "placed_at"] {
        assert_eq!(first[member], again[member], "{member}");
    }
    let other = json!({"sku": "mug", "quantity": 2});
    gate.place_in("spring", "ada", &key, other)
        .await
        .refused(422, "key-reused");
    gate.place_in("spring", "bob", &key, mug())
        .await
        .refused(410, "closed");
    gate.place_in("spring", "bob", &[], mug())
        .await
        .refused(410, "closed");

    // What buyers read comes from the database.
    let shown = gate.order_in_state("ada", &location, "confirmed").await;
    assert_eq!(shown["order"], first["order"]);
    let url = format!("{}/v1/campaigns/spring", gate.orders);
    let campaign = gate.http.get(&url, &[]).await.expect(200).json();
    assert_eq!(campaign["state"], "closed");
    assert_eq!(campaign["skus"], json!([{"id": "mug", "sold_out": false}]));
    gate.quota("spring", "ada", "").await.refused(410, "closed");
    let missing = format!("{url}/orders/{}", "0".repeat(32));
    let ada = [("authorization", "Bearer dev:ada")];
    gate.http.get(&missing, &ada).await.refused(404, "unknown");

    // Nobody rebuilds it, and it is no closed gate.
    for _ in 0..100 {
        gate.http.get(&url, &[]).await.expect(200);
        gate.quota("spring", "ada", "").await.expect(410);
    }
    let figures = gate.figures("spring").await;
    assert_eq!(
        (figures["state"].as_str(), figures["redis_whole"].as_bool()),
        (Some("archived"), Some(false))
    );
    assert_eq!(
        figures["skus"][0]["landed"], figures["skus"][0]["admitted"],
        "{figures}"
    );
    assert_eq!(gauge(&gate, "gates_closed").await, "0");
    assert_eq!(behind.epoch("spring").await, epoch);

    // Nor does a gateway that starts, whose engine never had it: what is said stays the same.
    assert_eq!(gate.terminate(), Some(0));
    let gate = Gate::dev_in(data.path()).await;
    gate.place_in("spring", "bob", &[], mug())
        .await
        .refused(410, "closed");
    let again = gate
        .place_in("spring", "ada", &key, mug())
        .await
        .expect(202)
        .json();
    assert_eq!(
        (&again["order"], &again["state"]),
        (&first["order"], &json!("confirmed"))
    );
    assert_eq!(behind.epoch("spring").await, epoch);

    // The revision it has would not bring it back; one that closes later does.
    let refused = gate
        .control("/campaigns/spring/activate", &json!({"revision": 1}))
        .await;
    let why = refused.refused(409, "conflict");
    assert!(
        why["detail"]
            .as_str()
            .is_some_and(|text| text.contains("later closes_at")),
        "{why}"
    );
    let longer =
        json!({"rules": limit(2), "opens_at": "2026-01-01T00:00:00Z", "closes_at": "2027-12-31T00:00:00Z"});
    gate.control("/campaigns/spring/revisions", &longer)
        .await
        .expect(201);
    gate.control("/campaigns/spring/activate", &json!({"revision": 2}))
        .await
        .expect(200);
    let again = gate
        .place_in("spring", "ada", &key, mug())
        .await
        .expect(202)
        .json();
    assert_eq!(again["order"], first["order"]);
    gate.place_in("spring", "ada", &[], mug()).await.expect(202);
    gate.place_in("spring", "ada", &[], mug())
        .await
        .refused(409, "limit-per-user");
    assert_eq!(gate.figures("spring").await["state"], "open");
}

#[tokio::test]
async fn retention_is_the_campaigns_own() {
    let gate = Gate::dev().await;
    let create = async |id: &str, days: Value| {
        let mut body = json!({
            "id": id, "skus": [{"id": "mug", "stock": 1}], "rules": limit(1),
            "opens_at": days_ago(11), "closes_at": days_ago(10),
        });
        if !days.is_null() {
            body["retention_days"] = days;
        }
        gate.control("/campaigns", &body).await
    };
    create("kept", json!(30)).await.expect(201);
    create("archived", Value::Null).await.expect(201);
    for days in [json!(0), json!(367)] {
        let refused = create("never", days).await.refused(422, "invalid");
        assert_eq!(refused["pointer"], "/retention_days");
    }
    for (id, state, days, open) in [("kept", "closed", 30, true), ("archived", "archived", 7, false)] {
        let figures = gate.figures(id).await;
        assert_eq!(
            (&figures["state"], &figures["retention_days"]),
            (&json!(state), &json!(days))
        );
        assert_eq!(figures["redis_whole"], open);
        gate.place_in(id, "ada", &[], mug()).await.refused(410, "closed");
        gate.place_in(id, "ada", &[("idempotency-key", "k")], mug())
            .await
            .refused(410, "closed");
    }
    // A revision says it anew, or leaves it as it is.
    let revision = gate
        .control("/campaigns/kept/revisions", &json!({"rules": limit(1)}))
        .await;
    revision.expect(201);
    let revision = json!({"rules": limit(1), "retention_days": 366});
    gate.control("/campaigns/kept/revisions", &revision)
        .await
        .expect(201);
    let url = format!("{}/admin/v1/campaigns/kept/revisions", gate.admin);
    let all = gate.http.get(&url, &[]).await.expect(200).json();
    let days: Vec<_> = [0, 1, 2]
        .map(|n| all["revisions"][n]["retention_days"].clone())
        .into();
    assert_eq!(days, [json!(366), json!(30), json!(30)]);
    // A name nobody gave is no campaign, and costs nothing.
    gate.place_in("invented", "ada", &[], mug())
        .await
        .refused(404, "unknown");
}
