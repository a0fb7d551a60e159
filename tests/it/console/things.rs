//! Lists, modules and webhooks in the console, and rules tried on attempts that somebody makes up.

use hyper::Method;
use serde_json::json;

use crate::console::desk::{Desk, check_plain, unescaped};
use crate::stories::webhooks;

async fn upload(desk: &Desk, id: &str, members: &str) {
    let url = format!("{}/admin/v1/audiences/{id}", desk.gate.admin);
    let headers = [("content-type", "text/plain")];
    let body = members.as_bytes().to_vec();
    desk.gate
        .http
        .send(Method::PUT, &url, &headers, body)
        .await
        .expect(201);
}

#[tokio::test]
async fn a_list_is_looked_at_and_changed_by_one() {
    let desk = Desk::open().await;
    upload(&desk, "vip", "ada\nbob\n").await;
    let page = desk.get("/console/lists").await.expect(200);
    page.has("href=\"/console/lists/vip\"");
    check_plain(&page, "/console/lists");
    let page = desk.get("/console/lists/vip?member=ada").await.expect(200);
    page.has("ada is on version 1.");
    check_plain(&page, "/console/lists/vip");
    let page = desk.get("/console/lists/vip?member=eve").await.expect(200);
    page.has("eve is not on version 1.");
    let put = page.form("/console/lists/vip", &[("act", "put")]);
    let page = desk.post("/console/lists/vip", &put).await.expect(200);
    page.has("vip is in version 2 now.").has("eve is on version 2.");
    let taken = page.form("/console/lists/vip", &[("act", "remove"), ("member", "ada")]);
    let page = desk.post("/console/lists/vip", &taken).await.expect(200);
    page.has("ada is not on version 3.");
    let nobody = page.form("/console/lists/vip", &[("act", "put"), ("member", "")]);
    let page = desk.post("/console/lists/vip", &nobody).await.expect(422);
    page.has("is empty: who is it about?");
    let wrong = page.form(
        "/console/lists/vip",
        &[("act", "put"), ("member", "zoe"), ("activate", "none")],
    );
    let page = desk.post("/console/lists/vip", &wrong).await.expect(404);
    page.has("role=\"alert\"");
    desk.get("/console/lists/none").await.expect(404);
}

#[tokio::test]
async fn a_file_is_uploaded_by_its_own_page() {
    let desk = Desk::open().await;
    let page = desk.get("/console/lists").await.expect(200);
    let (_, proof) = page.html.split_once("data-proof=\"").expect("the form of a file");
    let proof = proof.split('"').next().unwrap_or_default();
    let put = async |path: &str, headers: &[(&str, &str)], body: &str| {
        let mut all = vec![("origin", desk.gate.admin.as_str())];
        all.extend_from_slice(headers);
        desk.send(Method::PUT, path, &all, body.as_bytes().to_vec()).await
    };
    let plain = [("x-csrf", proof), ("content-type", "text/plain")];
    // Neither without what only the page knows, nor from another page.
    for headers in [
        &plain[1..],
        &[("x-csrf", "made up"), plain[1]],
        &[("x-csrf", ""), plain[1]],
    ] {
        put("/console/lists/vip", headers, "ada\n").await.expect(403);
    }
    let foreign = [plain[0], plain[1], ("origin", "http://evil.example")];
    desk.send(Method::PUT, "/console/lists/vip", &foreign, b"ada\n".to_vec())
        .await
        .expect(403);
    desk.get("/console/lists/vip").await.expect(404);

    let part = put("/console/lists/vip", &plain, "ada\nbob\n").await.expect(200);
    part.has("vip is in version 1 now, with 2 members.")
        .has("/console/lists/vip");
    assert!(!part.html.contains("<html"), "{}", part.html);
    let table = [plain[0], ("content-type", "text/csv")];
    let part = put("/console/lists/vip?column=buyer", &table, "no,buyer\n1,eve\n")
        .await
        .expect(200);
    part.has("version 2");
    desk.get("/console/lists/vip?member=eve")
        .await
        .expect(200)
        .has("eve is on version 2.");
    let part = put("/console/lists/vip?column=nobody", &table, "no,buyer\n1,eve\n")
        .await
        .expect(422);
    part.has("role=\"alert\"").has("nobody");
    let part = put("/console/lists/vip?activate=none", &plain, "ada\n")
        .await
        .expect(404);
    part.has("role=\"alert\"");
    put("/console/lists/vip?who=me", &plain, "ada\n")
        .await
        .expect(400);
}

#[tokio::test]
async fn a_module_says_what_it_is() {
    let desk = Desk::open().await;
    let page = desk.get("/console/modules/n-per-user").await.expect(200);
    page.has("limit-per-user").has("Golden examples");
    check_plain(&page, "/console/modules/n-per-user");
    desk.get("/console/modules/none").await.expect(404);
}

#[tokio::test]
async fn a_webhook_is_disabled_enabled_and_tried() {
    let desk = Desk::at(webhooks::dev().await);
    // Nobody listens there.
    let new = json!({"url": "http://127.0.0.1:1/hooks", "note": "the shop"});
    let made = desk.gate.control("/webhooks", &new).await.expect(201).json();
    let path = format!("/console/webhooks/{}", made["id"].as_str().expect("an id"));
    let page = desk.get("/console/webhooks").await.expect(200);
    page.has(&path).has("the shop");
    let page = desk.get(&path).await.expect(200);
    page.has("enabled").has("Nothing was sent yet that fits.");
    check_plain(&page, &path);
    let page = desk.post(&path, &page.form(&path, &[("act", "disable")])).await;
    let page = page.expect(200);
    page.has("badge failed");
    let page = desk.post(&path, &page.form(&path, &[("act", "enable")])).await;
    let page = page.expect(200);
    page.has("badge ok");
    let page = desk.post(&path, &page.form(&path, &[("act", "test")])).await;
    page.expect(200).has("The test was not delivered:");
}

#[tokio::test]
async fn rules_are_tried_on_attempts_that_somebody_makes_up() {
    let desk = Desk::open().await;
    let rules = json!({"rules": [{"module": "n-per-user", "params": {"limit": 2}}]});
    desk.gate
        .control("/campaigns/demo/revisions", &rules)
        .await
        .expect(201);
    let path = "/console/sales/demo/playground?user=ada&sku=mug&quantity=1&times=3";
    let page = desk.get(path).await.expect(200);
    // One of three by the rules in force, two by those of the revision made last.
    let html = unescaped(&page.html);
    assert!(
        html.contains("1 of 3 attempts would be answered otherwise."),
        "{html}"
    );
    page.has("Each user may order at most 2 units");
    for (wrong, told) in [
        ("times=0", "is not a whole number from 1 to 100"),
        ("claims=tier", "is not of the form name = value"),
        ("at=soon", "is no time"),
    ] {
        let page = desk
            .get(&format!("/console/sales/demo/playground?user=ada&{wrong}"))
            .await;
        page.expect(422).has(told);
    }
    desk.gate
        .place("ada", json!({"sku": "mug", "quantity": 1}))
        .await
        .expect(202);
    let page = desk
        .get("/console/sales/demo/preview?revision=2&from=orders")
        .await;
    page.expect(200).has("attempts would be answered otherwise.");
    let refused = desk.get("/console/sales/demo/preview?from=nowhere").await;
    refused.expect(422).has("role=\"alert\"");
    desk.get("/console/sales/demo/preview?revision=9")
        .await
        .expect(404);
    desk.get("/console/sales/demo/preview?revision=x")
        .await
        .expect(404);
}
