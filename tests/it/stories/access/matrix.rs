//! Every route with every kind of token and key: allowed, 401, 403 or 404.

use hyper::Method;
use rushgate::access::{KeyHead, KeyText, Scope, Scopes};
use rushgate::admin::{ROUTES, Reach, Route};
use rushgate::store::{ApiKeyRow, new_secret};
use serde_json::json;
use testkit::http::Reply;

use super::house::{House, ROOT, Things};

/// The path of a route, about a merchant's things.
fn path(route: &Route, of: &Things, webhook: &str, key: &str) -> String {
    let (merchant, order) = (of.merchant, &of.order);
    let first = match route.reach {
        Reach::Campaign => format!("sale-{merchant}"),
        Reach::List | Reach::NewList => format!("list-{merchant}"),
        Reach::Webhook => webhook.to_owned(),
        // A revision pins it, so that it stays.
        Reach::Module | Reach::OwnModule => format!("module-{merchant}@1.0.0"),
        Reach::Key => key.to_owned(),
        Reach::Merchant => merchant.to_owned(),
        Reach::Own | Reach::All | Reach::Letter => "nobody".to_owned(),
    };
    if route.reach == Reach::Letter {
        return route.path.replace("{topic}/{partition}/{offset}", &of.letter);
    }
    let fill = |part: &str| match part {
        "{order}" => order.clone(),
        "{version}" | "{revision}" => "1".to_owned(),
        "{sku}" => "mug".to_owned(),
        "{member}" => format!("{merchant}-1"),
        "{job}" | "{change}" | "{proposal}" => "none".to_owned(),
        part if part.starts_with('{') => first.clone(),
        part => part.to_owned(),
    };
    route.path.split('/').map(fill).collect::<Vec<_>>().join("/")
}

/// Asks for something that is refused once it is known who asks, so that the next one finds everything as it was.
async fn ask(house: &House, token: &str, route: &Route, path: &str) -> Reply {
    let method: Method = route.method.parse().expect("a method");
    house.send(token, method, path, "application/x-none", b"{").await
}

/// What was seen: `404` where the guard says that there is no such thing, as for somebody else's.
fn seen(reply: &Reply) -> &'static str {
    let text = reply.text();
    match reply.status {
        401 => "401",
        403 => "403",
        404 if [
            "no campaign",
            "no list",
            "no webhook",
            "no module",
            "no key",
            "no merchant",
            "no letter",
        ]
        .iter()
        .any(|missing| text.contains(missing)) =>
        {
            "404"
        }
        _ => "allowed",
    }
}

/// What a key with these scopes is to see of a merchant's thing; `own`: it is one of that merchant.
fn wanted(route: &Route, scopes: &[Scope], own: Option<bool>) -> &'static str {
    let may = route.scopes.iter().any(|scope| scopes.contains(scope));
    match (may, route.reach, own) {
        (false, _, _) => "403",
        (true, Reach::All, Some(_)) => "403",
        (true, Reach::Own | Reach::NewList, _) => "allowed",
        (true, _, Some(false)) => "404",
        (true, _, _) => "allowed",
    }
}

/// A key that ended yesterday.
async fn expired(house: &House, now: i64) -> String {
    let text = KeyText::of(&new_secret(), &new_secret());
    let row = ApiKeyRow {
        head: KeyHead {
            id: text.id().to_owned(),
            name: "old".into(),
            person: "ada".into(),
            merchant: None,
            scopes: Scopes::all(),
            expires_at: Some(now - 86_400_000),
        },
        created_at: now - 172_800_000,
        created_by: "admin".into(),
        made_with: None,
        revoked_at: None,
        last_used_at: None,
    };
    let store = house.store().await;
    store
        .insert_key(&row, &text.digest(), &[])
        .await
        .expect("written");
    store.close().await;
    text.text().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_with_every_key() {
    let house = House::open("[admin]\nfailed_log_ins_per_minute = 0\nrequests_per_second = 0\n").await;
    let a = house.settle("a").await;
    house.settle("b").await;
    let expired = expired(&house, jiff::Timestamp::now().as_millisecond()).await;
    let all = |merchant: Option<&str>| json!({"name": "all", "person": "ada", "scopes": Scope::ALL, "merchant": merchant});
    let (revoked_id, revoked) = house.key(ROOT, all(None)).await;
    let revoke = format!("/keys/{revoked_id}");
    house
        .send(ROOT, Method::DELETE, &revoke, "application/json", b"")
        .await
        .expect(204);
    let mut holders: Vec<(String, String, Vec<Scope>, Option<bool>)> = Vec::new();
    for scope in Scope::ALL {
        holders.push((
            format!("{scope} of a"),
            house.with_scope(Some("a"), scope).await,
            vec![scope],
            Some(true),
        ));
        holders.push((
            format!("{scope} of all"),
            house.with_scope(None, scope).await,
            vec![scope],
            None,
        ));
    }
    let every = Scope::ALL.to_vec();
    holders.push((
        "all of b".into(),
        house.key(ROOT, all(Some("b"))).await.1,
        every.clone(),
        Some(false),
    ));
    holders.push((
        "all of a".into(),
        house.key(ROOT, all(Some("a"))).await.1,
        every.clone(),
        Some(true),
    ));
    holders.push(("root".into(), ROOT.into(), every, None));
    let unknown = KeyText::of(&new_secret(), &new_secret()).text().to_owned();
    let strangers = [
        ("no token", ""),
        ("a wrong token", "guess"),
        ("no such key", &unknown),
        ("expired", &expired),
        ("revoked", &revoked),
    ];
    let mut wrong = Vec::new();
    let mut cells = 0;
    for route in ROUTES {
        let name = format!("{} {}", route.method, route.path);
        for (who, token) in strangers {
            let at = path(route, &a, "none", "none");
            let reply = ask(&house, token, route, &at).await;
            cells += 1;
            if seen(&reply) != "401" {
                wrong.push(format!("{name}, {who}: {}", reply.status));
            }
        }
        for (who, token, scopes, own) in &holders {
            let webhook = match route.reach {
                Reach::Webhook => house.webhook("a", "http://127.0.0.1:9/").await,
                _ => String::new(),
            };
            let key = match route.reach {
                Reach::Key => house.key(ROOT, all(Some("a"))).await.0,
                _ => String::new(),
            };
            let reply = ask(&house, token, route, &path(route, &a, &webhook, &key)).await;
            cells += 1;
            let wanted = wanted(route, scopes, *own);
            // A list's id that is taken is said to be.
            let taken = route.reach == Reach::NewList && *own == Some(false);
            let is_right = seen(&reply) == wanted && (wanted != "allowed" || !taken || reply.status >= 400);
            if !is_right {
                wrong.push(format!(
                    "{name}, {who}: {} and not {wanted}: {}",
                    reply.status,
                    reply.text()
                ));
            }
            if route.reach == Reach::Webhook {
                let gone = format!("/webhooks/{webhook}");
                house
                    .send(ROOT, Method::DELETE, &gone, "application/json", b"")
                    .await;
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {cells} cells:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(cells > 1500, "{cells} cells");
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let house = House::open("").await;
    house.settle("a").await;
    let reader = house.with_scope(Some("a"), Scope::CampaignsRead).await;
    let refused = house.post(&reader, "/campaigns/sale-a/pause", &json!({})).await;
    let refused = refused.refused(403, "forbidden");
    let detail = refused["detail"].as_str().expect("a sentence");
    assert!(detail.contains("campaigns:write"), "{detail}");
    let writer = house.with_scope(Some("a"), Scope::CampaignsWrite).await;
    let later = json!({"rules": [{"module": "n-per-user", "params": {"limit": 1}}], "activate_at": "2027-01-01T00:00:00Z"});
    let refused = house.post(&writer, "/campaigns/sale-a/revisions", &later).await;
    let refused = refused.refused(403, "forbidden");
    assert!(
        refused["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("rules:activate"))
    );
    let filler = house.with_scope(Some("a"), Scope::ListsWrite).await;
    let refused = house
        .send(
            &filler,
            Method::PUT,
            "/audiences/list-a?activate=sale-a",
            "text/plain",
            b"x\n",
        )
        .await;
    refused.refused(403, "forbidden");
}

#[tokio::test]
async fn who_guesses_has_to_wait_and_who_knows_does_not() {
    let house = House::open("[admin]\nfailed_log_ins_per_minute = 5\n").await;
    house.get(ROOT, "/campaigns").await.expect(200);
    let unknown = KeyText::of(&new_secret(), &new_secret());
    for _ in 0..5 {
        house
            .get(unknown.text(), "/campaigns")
            .await
            .refused(401, "token-invalid");
    }
    let reply = house.get("guess", "/campaigns").await;
    assert!(
        reply
            .header("retry-after")
            .parse::<u64>()
            .is_ok_and(|seconds| seconds >= 1)
    );
    reply.refused(429, "too-often");
    house.get(ROOT, "/campaigns").await.expect(200);
}

#[tokio::test]
async fn a_key_that_asks_too_often_is_told_when_to_come_back() {
    let house = House::open("[admin]\nrequests_per_second = 2\n").await;
    let key = house.with_scope(None, Scope::CampaignsRead).await;
    let mut statuses = Vec::new();
    for _ in 0..40 {
        statuses.push(house.get(&key, "/campaigns").await.status);
    }
    assert!(statuses[0] == 200 && statuses.contains(&429), "{statuses:?}");
}
