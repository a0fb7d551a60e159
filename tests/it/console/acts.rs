//! The buttons of a running sale: each says what it does, is confirmed, and is done once.

use serde_json::json;

use crate::console::desk::{Desk, check_plain, pair, unescaped};

fn path(act: &str) -> String {
    format!("/console/sales/demo/act/{act}")
}

#[tokio::test]
async fn a_sale_is_paused_and_resumed_once_however_often_it_is_clicked() {
    let desk = Desk::open().await;
    let page = desk.get(&path("pause")).await.expect(200);
    page.has("No gateway takes orders").has("Idempotency-Key: ");
    let form = page.form(&path("pause"), &[("step", "confirm"), ("note", "fire drill")]);
    let first = desk.post(&path("pause"), &form).await.expect(200);
    first.has("class=\"notice\"").has("paused").has("fire drill");
    check_plain(&first, "what was done");
    let again = desk.post(&path("pause"), &form).await.expect(200);
    again.has("Done before under the same key");
    assert_eq!(desk.gate.figures("demo").await["paused"]["note"], "fire drill");

    let page = desk.get(&path("resume")).await.expect(200);
    desk.post(
        &path("resume"),
        &page.form(&path("resume"), &[("step", "confirm")]),
    )
    .await
    .expect(200);
    assert_eq!(desk.gate.figures("demo").await["state"], "open");
    // The form of before is still the pause of before: nothing is paused anew.
    desk.post(&path("pause"), &form)
        .await
        .expect(200)
        .has("Done before");
    assert_eq!(desk.gate.figures("demo").await["state"], "open");
}

#[tokio::test]
async fn a_pause_that_is_scheduled_is_shown_and_taken_back() {
    let desk = Desk::open().await;
    let at = "2027-03-01T10:00";
    let page = desk.get(&path("pause")).await.expect(200);
    let form = page.form(&path("pause"), &[("step", "confirm"), ("pause_at", at)]);
    let sale = desk.post(&path("pause"), &form).await.expect(200);
    sale.has("2027-03-01 10:00:00 UTC").has("Take back");
    let change = desk.gate.figures("demo").await["scheduled"][0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let page = desk
        .get(&format!("{}?change={change}", path("unschedule")))
        .await
        .expect(200);
    let form = page.form(&path("unschedule"), &[("step", "confirm")]);
    desk.post(&path("unschedule"), &form).await.expect(200);
    assert!(desk.gate.figures("demo").await["scheduled"].is_null());
    // One that ends before it begins is refused at its field.
    let page = desk.get(&path("pause")).await.expect(200);
    let form = page.form(
        &path("pause"),
        &[
            ("step", "confirm"),
            ("pause_at", at),
            ("resume_at", "2027-02-01T10:00"),
        ],
    );
    let refused = desk.post(&path("pause"), &form).await.expect(422);
    refused
        .has("<code>/resume_at</code>")
        .has("value=\"2027-02-01T10:00\"");
}

#[tokio::test]
async fn units_are_added_after_a_preview_and_what_is_wrong_stands_at_its_field() {
    let desk = Desk::open().await;
    let page = desk.get(&path("stock")).await.expect(200);
    page.has("mug (100 of 100 left)");
    for (units, said) in [("many", "/add"), ("-5", "/add"), ("", "role=\"alert\"")] {
        let form = page.form(&path("stock"), &[("units", units), ("step", "confirm")]);
        let refused = desk.post(&path("stock"), &form).await;
        assert!(matches!(refused.status, 400 | 422), "{units}: {}", refused.html);
        refused.has(said).has("aria-invalid=\"true\"");
    }
    let tried = desk
        .post(
            &path("stock"),
            &page.form(&path("stock"), &[("units", "20"), ("step", "preview")]),
        )
        .await
        .expect(200);
    tried.has("What it would do").has("value=\"20\"");
    assert_eq!(
        desk.gate.figures("demo").await["skus"][0]["stock"],
        100,
        "nothing is done yet"
    );
    let form = tried.form(&path("stock"), &[("step", "confirm")]);
    for _ in 0..2 {
        desk.post(&path("stock"), &form)
            .await
            .expect(200)
            .has("class=\"notice\"");
    }
    assert_eq!(desk.gate.figures("demo").await["skus"][0]["stock"], 120, "once");
    // While somebody types, a script asks for the preview alone.
    let headers = [("hx-request", "true")];
    let part = desk
        .post_from(
            &path("stock"),
            &form
                .iter()
                .filter(|(name, _)| name != "step")
                .cloned()
                .collect::<Vec<_>>(),
            &headers,
        )
        .await
        .expect(200);
    part.has("What it would do");
    assert!(!part.html.contains("<html"));
}

#[tokio::test]
async fn a_sku_is_added_and_times_are_changed() {
    let desk = Desk::open().await;
    let page = desk.get(&path("sku")).await.expect(200);
    let refused = desk
        .post(
            &path("sku"),
            &page.form(
                &path("sku"),
                &[("id", "mug"), ("units", "5"), ("step", "confirm")],
            ),
        )
        .await;
    assert!(matches!(refused.status, 409 | 422), "{}", refused.html);
    refused.has("role=\"alert\"");
    let form = refused.form(
        &path("sku"),
        &[("id", "tee"), ("units", "5"), ("step", "confirm")],
    );
    desk.post(&path("sku"), &form).await.expect(200).has("tee");
    assert_eq!(desk.gate.figures("demo").await["skus"][1]["stock"], 5);

    let page = desk.get(&path("times")).await.expect(200);
    let form = page.form(
        &path("times"),
        &[("closes_at", "2020-01-01T00:00"), ("step", "preview")],
    );
    desk.post(&path("times"), &form)
        .await
        .expect(422)
        .has("<code>/closes_at</code>");
    let form = page.form(
        &path("times"),
        &[
            ("title", "Mugs & tees"),
            ("closes_at", "2027-06-01T12:30:00"),
            ("step", "confirm"),
        ],
    );
    let sale = desk.post(&path("times"), &form).await.expect(200);
    assert!(unescaped(&sale.html).contains("Mugs & tees"));
    let shown = desk.gate.figures("demo").await;
    assert_eq!(
        (&shown["closes_at"], &shown["title"]),
        (&json!("2027-06-01T12:30:00.000Z"), &json!("Mugs & tees"))
    );
}

#[tokio::test]
async fn a_sale_is_ended_by_whoever_writes_its_name() {
    let desk = Desk::open().await;
    let page = desk.get(&path("end")).await.expect(200);
    let refused = desk
        .post(
            &path("end"),
            &page.form(&path("end"), &[("named", "dem"), ("step", "confirm")]),
        )
        .await
        .expect(422);
    refused.has("is not demo: nothing was done");
    assert_eq!(desk.gate.figures("demo").await["state"], "open");
    let sale = desk
        .post(
            &path("end"),
            &page.form(&path("end"), &[("named", "demo"), ("step", "confirm")]),
        )
        .await
        .expect(200);
    sale.has("class=\"notice\"").has("closed");
    assert_eq!(desk.gate.figures("demo").await["state"], "closed");
    assert!(!sale.html.contains("act/pause\""), "what is over is not paused");
    let unknown = desk.post(&path("end"), &[pair("step", "confirm")]).await;
    assert_eq!(unknown.status, 403);
}
