//! Rules in a form: changed, previewed, saved, activated and rolled back, without a script.

use serde_json::{Value, json};

use crate::console::desk::{Desk, check_plain};

const RULES: &str = "/console/sales/demo/rules";

async fn numbers(desk: &Desk) -> Vec<Value> {
    let url = format!("{}/admin/v1/campaigns/demo/revisions", desk.gate.admin);
    let all = desk.gate.http.get(&url, &[]).await.expect(200).json();
    all["revisions"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["revision"].clone())
        .collect()
}

#[tokio::test]
async fn a_limit_is_changed_and_rolled_back() {
    let desk = Desk::open().await;
    let page = desk.get(RULES).await.expect(200);
    page.has("n-per-user")
        .has("value=\"1\" inputmode=\"numeric\"")
        .has("Each user may order at most 1 unit");
    let form = page.form(RULES, &[("/rules/0/params/limit", "3"), ("step", "preview")]);
    let tried = desk.post(RULES, &form).await.expect(200);
    tried
        .has("Each user may order at most 3 units")
        .has("Against revision 1")
        .has("class=\"looser\"");
    assert_eq!(numbers(&desk).await, [1]);

    let form = tried.form(RULES, &[("step", "save")]);
    let saved = desk.post(RULES, &form).await;
    assert_eq!(saved.location, "/console/sales/demo/revisions/2");
    // A double click saves the same revision.
    assert_eq!(desk.post(RULES, &form).await.location, saved.location);
    assert_eq!(numbers(&desk).await, [2, 1]);
    assert_eq!(
        desk.gate.figures("demo").await["revision"],
        1,
        "it is not in force yet"
    );

    let revision = desk.follow(&saved).await;
    check_plain(&revision, "a revision");
    revision
        .has("Every gateway decides by revision 2")
        .has("{\"revision\":2}".replace('"', "&#34;").as_str());
    let form = revision.form(&saved.location, &[]);
    let sale = desk.post(&saved.location, &form).await.expect(200);
    sale.has("class=\"notice\"");
    assert_eq!(desk.gate.figures("demo").await["revision"], 2);
    desk.post(&saved.location, &form)
        .await
        .expect(200)
        .has("Done before");

    let older = desk.get("/console/sales/demo/revisions/1").await.expect(200);
    older.has("Roll back to this").has("class=\"tighter\"");
    let form = older.form("/console/sales/demo/revisions/1", &[]);
    desk.post("/console/sales/demo/revisions/1", &form)
        .await
        .expect(200);
    assert_eq!(desk.gate.figures("demo").await["revision"], 1);
}

#[tokio::test]
async fn what_is_wrong_stands_at_its_field_and_is_not_lost() {
    let desk = Desk::open().await;
    let page = desk.get(RULES).await.expect(200);
    for (limit, shown) in [("0", "0"), ("many", "many"), ("", "")] {
        let form = page.form(RULES, &[("/rules/0/params/limit", limit), ("step", "save")]);
        let refused = desk.post(RULES, &form).await.expect(422);
        let (_, field) = refused
            .html
            .split_once("data-pointer=\"/rules/0/params/limit\"")
            .expect("the field");
        let field = field.split("data-pointer=").next().expect("its text");
        assert!(field.contains(&format!("value=\"{shown}\"")), "{field}");
        if !limit.is_empty() {
            assert!(
                field.contains("class=\"fault\"") && field.contains("aria-invalid"),
                "{field}"
            );
        }
        refused.has("class=\"fault\"");
    }
    // While somebody types, a script gets the same with the places.
    let form = page.form(RULES, &[("/rules/0/params/limit", "0")]);
    let part = desk
        .post_from(RULES, &form, &[("hx-request", "true")])
        .await
        .expect(200);
    part.has("<code>/rules/0/params/limit</code>");
    assert_eq!(numbers(&desk).await, [1]);
}

#[tokio::test]
async fn rules_and_entries_are_added_and_taken_away() {
    let desk = Desk::open().await;
    let page = desk.get(RULES).await.expect(200);
    let form = page.form(RULES, &[("add-module", "per-subject"), ("step", "add")]);
    let two = desk.post(RULES, &form).await.expect(200);
    two.has("per-subject")
        .has("name=\"/rules/1/params/limits#\" value=\"0\"");
    let more = desk
        .post(
            RULES,
            &two.form(RULES, &[("step", "more:/rules/1/params/limits")]),
        )
        .await
        .expect(200);
    more.has("name=\"/rules/1/params/limits/0/limit\"");
    let filled = [
        ("/rules/1/params/limits/0/by", "client:device\nip"),
        ("/rules/1/params/limits/0/limit", "2"),
        // The third way of a window: a rolling one.
        ("/rules/1/params/limits/0/window#", "3"),
        ("/rules/1/params/limits/0/window~3/rolling", "24h"),
        ("step", "preview"),
    ];
    let tried = desk.post(RULES, &more.form(RULES, &filled)).await.expect(200);
    tried.has("client:device\nip</textarea>").has("value=\"24h\"");
    let saved = desk
        .post(RULES, &tried.form(RULES, &[("step", "save")]))
        .await
        .expect(303);
    let url = format!("{}/admin/v1/campaigns/demo/revisions/2", desk.gate.admin);
    let stored = desk.gate.http.get(&url, &[]).await.expect(200).json();
    let limit = &stored["rules"][1]["params"]["limits"][0];
    assert_eq!(
        (&limit["by"], &limit["limit"], &limit["window"]),
        (
            &json!(["client:device", "ip"]),
            &json!(2),
            &json!({"rolling": "24h"})
        )
    );
    desk.follow(&saved).await.has("per-subject");

    let one = desk
        .post(RULES, &tried.form(RULES, &[("step", "drop:/rules/0")]))
        .await
        .expect(200);
    one.has("name=\"/rules#\" value=\"1\"").has("value=\"24h\"");
    assert!(!one.html.contains("/rules/1/params"));
}

#[tokio::test]
async fn counters_that_would_lose_what_they_hold_are_accepted_by_name() {
    let desk = Desk::open().await;
    let page = desk.get(RULES).await.expect(200);
    let form = page.form(RULES, &[("add-module", "one-per-user"), ("step", "add")]);
    let two = desk.post(RULES, &form).await.expect(200);
    let one = desk
        .post(RULES, &two.form(RULES, &[("step", "drop:/rules/0")]))
        .await
        .expect(200);
    let saved = desk
        .post(RULES, &one.form(RULES, &[("step", "save")]))
        .await
        .expect(303);
    let revision = desk.follow(&saved).await;
    revision.has("class=\"dropped\"");
    if revision.html.contains("name=\"accept\"") {
        let refused = desk
            .post(&saved.location, &revision.form(&saved.location, &[]))
            .await
            .expect(409);
        refused.has("role=\"alert\"");
        let (_, rest) = revision
            .html
            .split_once("name=\"accept\" value=\"")
            .expect("a counter");
        let id = rest.split('"').next().expect("its id");
        desk.post(&saved.location, &refused.form(&saved.location, &[("accept", id)]))
            .await
            .expect(200);
    } else {
        desk.post(&saved.location, &revision.form(&saved.location, &[]))
            .await
            .expect(200);
    }
    assert_eq!(desk.gate.figures("demo").await["revision"], 2);
}
