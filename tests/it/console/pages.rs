//! Each page: what it must say, in both languages, under a strict policy; the same as JSON and as a command.

use hyper::Method;
use serde_json::json;

use crate::console::desk::{Desk, check_plain, pair, unescaped};

const PAGES: [(&str, &str); 21] = [
    ("/console", "Demo: one mug each"),
    ("/console/sales/demo", "Units left"),
    ("/console/sales/demo/act/pause", "No gateway takes orders"),
    ("/console/sales/demo/act/times", "Opens at (UTC)"),
    (
        "/console/sales/demo/act/stock",
        "taken off cannot be sold any more",
    ),
    ("/console/sales/demo/rules", "Each user may order at most 1 unit"),
    ("/console/sales/demo/revisions", "in force"),
    ("/console/sales/demo/revisions/1", "n-per-user"),
    ("/console/sales/demo/rules/lua", "#!lua"),
    ("/console/sales/demo/orders", "No order in the database fits"),
    ("/console/sales/demo/preview", "would be answered otherwise"),
    (
        "/console/sales/demo/playground?user=ada&times=3",
        "limit-per-user",
    ),
    ("/console/sales/demo/reconcile", "Comparing changes nothing"),
    ("/console/lists", "No list yet"),
    ("/console/modules", "n-per-user"),
    ("/console/webhooks", "No endpoint yet"),
    ("/console/letters", "No dead letter matches"),
    ("/console/keys", "No key yet"),
    ("/console/keys/new", "campaigns:write"),
    ("/console/audit?action=campaign.*", "campaign.create"),
    ("/console/health", "engine"),
];

#[tokio::test]
async fn every_page_is_there_under_a_strict_policy_and_in_two_languages() {
    let mut desk = Desk::open().await;
    for (path, text) in PAGES {
        let page = desk.get(path).await.expect(200);
        page.has(text).has("<html lang=\"en\"").has("as curl");
        check_plain(&page, path);
        let (bare, sign) = match path.split_once('?') {
            Some((bare, _)) => (bare, '&'),
            None => (path, '?'),
        };
        for foreign in [format!("{bare}/"), format!("{path}{sign}limits=1")] {
            let refused = desk.get(&foreign).await;
            assert!(
                matches!(refused.status, 400 | 404),
                "{foreign}: {}",
                refused.status
            );
        }
    }
    desk.cookies.insert("lang".into(), "zh".into());
    desk.cookies.insert("theme".into(), "dark".into());
    for (path, _) in PAGES {
        let page = desk.get(path).await.expect(200);
        page.has("<html lang=\"zh\" data-theme=\"dark\"").has("促销活动");
        check_plain(&page, path);
    }
    for (path, status) in [
        ("/console/sales/none", 404),
        ("/console/sales/none/orders", 404),
        ("/console/sales/demo/act/jump", 404),
        ("/console/sales/demo/revisions/99", 404),
        ("/console/sales/demo/revisions/x", 404),
        ("/console/sales/demo/orders/x", 404),
    ] {
        let page = desk.get(path).await.expect(status);
        check_plain(&page, path);
        page.has("role=\"alert\"");
    }
}

#[tokio::test]
async fn the_language_is_the_browser_s_until_it_is_switched() {
    let mut desk = Desk::open().await;
    let asked = [("accept-language", "zh-CN,zh;q=0.9,en;q=0.5")];
    desk.send(Method::GET, "/console", &asked, Vec::new())
        .await
        .has("促销活动")
        .has("进行中");
    let switched = desk.get("/console/sales/demo/orders?state=paid&lang=en").await;
    assert_eq!(
        (switched.status, switched.location.as_str()),
        (303, "/console/sales/demo/orders?state=paid")
    );
    desk.keep(&switched);
    desk.send(Method::GET, "/console", &asked, Vec::new())
        .await
        .has("Sales");
}

#[tokio::test]
async fn what_a_page_shows_can_be_had_as_json_and_by_a_command() {
    let desk = Desk::open().await;
    let page = desk.get("/console/sales/demo").await.expect(200);
    let api = desk
        .gate
        .http
        .get(&format!("{}/admin/v1/campaigns/demo", desk.gate.admin), &[])
        .await
        .json();
    let shown: serde_json::Value =
        serde_json::from_str(&desk.get("/console/sales/demo?as=json").await.expect(200).html).expect("JSON");
    assert_eq!((&shown["id"], &shown["skus"]), (&api["id"], &api["skus"]));
    let command = format!("curl '{}/admin/v1/campaigns/demo'", desk.gate.admin);
    assert!(unescaped(&page.html).contains(&command), "{}", page.html);
    page.has("needs campaigns:read");
    let health = desk.get("/console/health?as=json").await.expect(200).html;
    let health: serde_json::Value = serde_json::from_str(&health).expect("JSON");
    assert_eq!(health["checks"][0]["state"], "ok", "{health}");
}

#[tokio::test]
async fn texts_of_merchants_are_texts() {
    let desk = Desk::open().await;
    let title = "<script>alert(1)</script> & \"sale\"";
    let made = json!({
            "id": "odd", "title": title, "opens_at": "2026-01-01T00:00:00Z", "closes_at": "2027-12-31T00:00:00Z",
            "skus": [{"id": "a<b>\" onload=", "stock": 3}], "rules": [{"module": "n-per-user", "params": {"limit": 1}}],
    });
    desk.gate.control("/campaigns", &made).await.expect(201);
    for path in [
        "/console",
        "/console/sales/odd",
        "/console/sales/odd/act/stock",
        "/console/sales/odd/rules",
        "/console/sales/odd/orders",
    ] {
        let page = desk.get(path).await.expect(200);
        assert!(
            !page.html.contains("<script>alert") && !page.html.contains("a<b>"),
            "{path}"
        );
        assert!(unescaped(&page.html).contains(title), "{path}");
    }
}

#[tokio::test]
async fn a_console_without_a_sale_says_how_one_is_made() {
    let desk = Desk::open().await;
    let demo = format!("{}/admin/v1/campaigns/demo", desk.gate.admin);
    let removed = desk.gate.http.send(Method::DELETE, &demo, &[], Vec::new());
    removed.await.expect(204);
    let page = unescaped(&desk.get("/console").await.expect(200).html);
    for part in [
        "No sale yet",
        "curl -X POST",
        "/admin/v1/campaigns'",
        "n-per-user",
    ] {
        assert!(page.contains(part), "no {part} in {page}");
    }
}

#[tokio::test]
async fn files_are_kept_for_good_and_known_again() {
    let desk = Desk::open().await;
    let page = desk.get("/console").await.expect(200);
    let (_, rest) = page.html.split_once("href=\"/console/static/").expect("a style");
    let tag = rest.split('/').next().expect("a folder");
    for name in [
        "console.css",
        "page.js",
        "live.js",
        "vendor/htmx.min.js",
        "vendor/hx-sse.min.js",
        "vendor/uplot.min.js",
    ] {
        let url = format!("{}/console/static/{tag}/{name}", desk.gate.admin);
        let file = desk
            .gate
            .http
            .get(&url, &[("accept-encoding", "gzip")])
            .await
            .expect(200);
        assert_eq!(file.header("content-encoding"), "gzip");
        assert_eq!(file.header("x-content-type-options"), "nosniff");
        assert!(file.header("cache-control").contains("immutable"));
        let etag = file.header("etag").to_owned();
        let plain = desk.gate.http.get(&url, &[]).await.expect(200);
        assert!(plain.body.len() > file.body.len() && plain.header("content-encoding").is_empty());
        let known = desk
            .gate
            .http
            .get(&url, &[("if-none-match", &etag)])
            .await
            .expect(304);
        assert!(known.body.is_empty());
    }
    for path in [
        "0000000000000000/console.css".to_owned(),
        format!("{tag}/mod.rs"),
        format!("{tag}/../words.rs"),
    ] {
        desk.get(&format!("/console/static/{path}")).await.expect(404);
    }
    desk.get("/console/icon.svg").await.expect(200);
}

#[tokio::test]
async fn a_form_that_is_too_long_or_has_no_proof_does_nothing() {
    let desk = Desk::open().await;
    let action = "/console/sales/demo/act/pause";
    let form = desk
        .get(action)
        .await
        .expect(200)
        .form(action, &[("step", "confirm")]);
    let without: Vec<_> = form.iter().filter(|(name, _)| name != "csrf").cloned().collect();
    desk.post(action, &without).await.expect(403);
    let mut wrong = without;
    wrong.push(pair("csrf", &"0".repeat(64)));
    desk.post(action, &wrong).await.expect(403);
    let mut long = form.clone();
    long.push(pair("note", &"x".repeat(1_100_000)));
    desk.post(action, &long).await.expect(413);
    assert_eq!(desk.gate.figures("demo").await["state"], "open");
}
