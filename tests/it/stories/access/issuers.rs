//! Two merchants whose buyers have two issuers: the same user at both is two buyers, and nobody's token is good at the other's sale.

use std::time::{Duration, Instant};

use hyper::Method;
use serde_json::{Value, json};
use testkit::http::Reply;

use super::house::{House, ROOT, names, sale};
use crate::fronts::issuer::{Issuer, Says, SigningKey, set};
use crate::stories::gate::{PATIENCE, POLL, command};

/// Merchants' issuers are read from this machine, where nothing is public.
const PRIVATE: &str = "[auth]\nprivate = \"127.0.0.1\"\njwks_every_ms = 200\n";
/// For how long nothing may happen.
const A_WHILE: Duration = Duration::from_millis(400);

/// A merchant with an issuer of its own.
struct Shop {
    merchant: &'static str,
    issuer: Issuer,
    key: SigningKey,
}

impl Shop {
    async fn open(house: &House, merchant: &'static str) -> Self {
        let key = SigningKey::new(merchant);
        let issuer = Issuer::plain(Says::Text(set(&[&key]))).await;
        let body = json!({"id": merchant, "tokens": tokens(merchant, &issuer.url())});
        let made = house.post(ROOT, "/merchants", &body).await.expect(201).json();
        assert_eq!(made["tokens"]["issuer"], name(merchant));
        let mut campaign = sale(&format!("sale-{merchant}"), Some(merchant));
        campaign["rules"] = json!([{"module": "n-per-user", "params": {"limit": 1}}]);
        campaign["cancel_by_buyer"] = true.into();
        house.post(ROOT, "/campaigns", &campaign).await.expect(201);
        Self {
            merchant,
            issuer,
            key,
        }
    }

    fn token(&self, user: &str) -> String {
        let claims = json!({"iss": name(self.merchant), "aud": "shop"});
        self.key.token_with(user, claims)
    }

    fn sale(&self) -> String {
        format!("/v1/campaigns/sale-{}", self.merchant)
    }
}

fn name(merchant: &str) -> String {
    format!("https://login.{merchant}.example")
}

fn tokens(merchant: &str, url: &str) -> Value {
    json!({"issuer": name(merchant), "audience": "shop", "jwks_url": url})
}

async fn ask(house: &House, method: Method, path: &str, token: impl AsRef<str>) -> Reply {
    let bearer = format!("Bearer {}", token.as_ref());
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("idempotency-key", "k"),
    ];
    let body = match path.ends_with("/orders") && method == Method::POST {
        true => br#"{"sku":"mug","quantity":1}"#.to_vec(),
        false => Vec::new(),
    };
    let url = format!("{}{path}", house.gate.orders);
    house.gate.http.send(method, &url, &headers, body).await
}

async fn get(house: &House, path: &str, token: impl AsRef<str>) -> Reply {
    ask(house, Method::GET, path, token).await
}

async fn order(house: &House, shop: &Shop, token: impl AsRef<str>) -> Reply {
    ask(house, Method::POST, &format!("{}/orders", shop.sale()), token).await
}

/// Asks until the answer has this status.
async fn until<F: Future<Output = Reply>>(status: u16, again: impl Fn() -> F) -> Reply {
    let begun = Instant::now();
    loop {
        let reply = again().await;
        if reply.status == status {
            return reply;
        }
        assert!(begun.elapsed() < PATIENCE, "never {status}: {}", reply.text());
        tokio::time::sleep(POLL).await;
    }
}

/// Orders, and waits until that has landed: its path.
async fn landed(house: &House, shop: &Shop, user: &str) -> String {
    let placed = until(202, || order(house, shop, shop.token(user))).await;
    let path = placed.header("location").to_owned();
    let begun = Instant::now();
    loop {
        let shown = get(house, &path, shop.token(user)).await.expect(200).json();
        if shown["state"] == "confirmed" {
            return path;
        }
        assert!(begun.elapsed() < PATIENCE, "{shown}");
        tokio::time::sleep(POLL).await;
    }
}

fn another_issuer(reply: Reply) {
    let problem = reply.refused(401, "token-invalid");
    let detail = problem["detail"].as_str().expect("a sentence");
    assert!(detail.contains("another issuer (iss)"), "{detail}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_user_at_two_merchants_is_two_buyers() {
    let house = House::open(PRIVATE).await;
    let (a, b) = (Shop::open(&house, "a").await, Shop::open(&house, "b").await);
    // Each may order once: neither counts against the other.
    let of_a = landed(&house, &a, "ada").await;
    let of_b = landed(&house, &b, "ada").await;
    order(&house, &a, a.token("eve")).await.expect(202);
    for (shop, other, theirs) in [(&a, &b, &of_b), (&b, &a, &of_a)] {
        let (token, sale) = (shop.token("ada"), other.sale());
        for (method, path) in [
            (Method::POST, format!("{sale}/orders")),
            (Method::GET, format!("{sale}/orders")),
            (Method::GET, format!("{sale}/quota")),
            (Method::GET, format!("{sale}/orders/events")),
            (Method::GET, theirs.clone()),
            (Method::GET, format!("{theirs}/events")),
            (Method::POST, format!("{theirs}/cancel")),
            (Method::GET, format!("/v1/orders?merchant={}", other.merchant)),
        ] {
            another_issuer(ask(&house, method, &path, &token).await);
        }
        let mine = format!("/v1/orders?merchant={}", shop.merchant);
        let mine = get(&house, &mine, &token).await.expect(200);
        assert_eq!(
            names(&mine, "orders", "campaign"),
            [format!("sale-{}", shop.merchant)]
        );
        // Nor is it one of the deployment's issuer.
        let refused = get(&house, "/v1/orders", &token).await;
        assert_eq!(refused.status, 401, "{}", refused.text());
        // Somebody else's place in a list is none, whoever asks under the same name.
        let (_, id) = theirs.rsplit_once('/').expect("an id");
        let behind = format!(
            "/v1/orders?merchant={}&before=sale-{}/{id}",
            shop.merchant, other.merchant
        );
        get(&house, &behind, &token).await.refused(404, "unknown");
        let behind = format!("{}/orders/{id}", shop.sale());
        get(&house, &behind, &token).await.refused(404, "unknown");
    }
    // Whoever is believed where there is no issuer is not believed here; what is theirs over all sales has nothing of these.
    let deployment = order(&house, &a, "dev:ada").await;
    assert_eq!(deployment.status, 401, "{}", deployment.text());
    let shared = get(&house, "/v1/orders", "dev:ada").await.expect(200).json();
    assert_eq!(shared["orders"], json!([]));
    let path = format!("{}/quota", a.sale());
    let quota = get(&house, &path, a.token("ada")).await.expect(200).json();
    assert_eq!(quota["constraints"][0]["used"], 1, "{quota}");
    let cancelled = ask(&house, Method::POST, &format!("{of_a}/cancel"), a.token("ada")).await;
    assert_eq!(cancelled.expect(200).json()["state"], "cancelled");
    let untouched = get(&house, &of_b, b.token("ada")).await.expect(200).json();
    assert_eq!(untouched["state"], "confirmed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_merchant_s_issuer_does_is_that_merchant_s() {
    let house = House::open(PRIVATE).await;
    let (a, b) = (Shop::open(&house, "a").await, Shop::open(&house, "b").await);
    until(202, || order(&house, &a, a.token("ada"))).await;
    until(202, || order(&house, &b, b.token("ada"))).await;
    // Another key, at one of them: at once there, and nowhere else.
    let new = SigningKey::new("new");
    let claims = |merchant: &str| json!({"iss": name(merchant), "aud": "shop"});
    a.issuer.publishes(&[&new]);
    until(202, || order(&house, &a, new.token_with("bob", claims("a")))).await;
    order(&house, &a, a.token("carl"))
        .await
        .refused(401, "token-invalid");
    let forged = new.token_with("bob", claims("b"));
    assert_eq!(order(&house, &b, &forged).await.status, 401);
    order(&house, &b, b.token("bob")).await.expect(202);
    // One says nothing any more: the keys that were read last go on, and the other's buyers notice nothing.
    a.issuer.says(Says::Nothing);
    let begun = Instant::now();
    order(&house, &b, b.token("dora")).await.expect(202);
    order(&house, &a, new.token_with("dora", claims("a")))
        .await
        .expect(202);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    // A key that nobody has waits for nobody's issuer but its own.
    let unknown = SigningKey::new("unknown").token_with("eve", claims("a"));
    let (late, begun) = (order(&house, &a, &unknown), Instant::now());
    let (late, at_once) = tokio::join!(late, order(&house, &b, b.token("eve")));
    at_once.expect(202);
    late.refused(503, "keys-unavailable");
    assert!(begun.elapsed() < PATIENCE);
    a.issuer.says(Says::Status(500));
    let ready = format!("{}/readyz", house.gate.admin);
    let told = until(200, || house.gate.http.get(&ready, &[])).await;
    assert_eq!(
        told.status, 200,
        "one merchant's issuer is no reason not to be ready"
    );
    let begun = Instant::now();
    while !house
        .gate
        .http
        .get(&ready, &[])
        .await
        .text()
        .contains("[~]issuers")
    {
        assert!(begun.elapsed() < PATIENCE, "never said");
        tokio::time::sleep(POLL).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_is_named_and_taken_away_while_a_sale_goes_on() {
    let house = House::open(PRIVATE).await;
    let a = Shop::open(&house, "a").await;
    until(202, || order(&house, &a, a.token("ada"))).await;
    let own = json!({"name": "own", "person": "ada", "role": "merchant", "merchant": "a"});
    let (_, key) = house.key(ROOT, own).await;
    let change = async |body: Value| {
        let body = body.to_string();
        house
            .send(
                &key,
                Method::PATCH,
                "/merchants/a",
                "application/json",
                body.as_bytes(),
            )
            .await
    };
    let changed = change(json!({"tokens": null})).await.expect(200).json();
    assert_eq!(changed["tokens"], Value::Null);
    until(202, || order(&house, &a, "dev:eve")).await;
    assert_eq!(order(&house, &a, a.token("eve")).await.status, 401);
    // And back, to another audience.
    let mut tokens = tokens("a", &a.issuer.url());
    tokens["audience"] = "other".into();
    change(json!({"tokens": tokens})).await.expect(200);
    until(401, || order(&house, &a, "dev:fay")).await;
    let problem = until(401, || order(&house, &a, a.token("fay"))).await;
    assert!(problem.text().contains("another audience"), "{}", problem.text());
    let trail = house.get(&key, "/audit").await.expect(200).json();
    let lines = trail["entries"].as_array().or(trail["lines"].as_array());
    let actions: Vec<&str> = lines
        .expect("lines")
        .iter()
        .filter_map(|line| line["action"].as_str())
        .collect();
    assert!(actions.contains(&"merchant.change"), "{trail}");
    // Another merchant's it cannot change.
    house
        .send(
            &key,
            Method::PATCH,
            "/merchants/default",
            "application/json",
            b"{}",
        )
        .await
        .refused(404, "unknown");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_read_from_public_addresses_alone() {
    let house = House::open("").await;
    let make = async |url: &str| {
        let body = json!({"id": "a", "tokens": tokens("a", url)});
        house.post(ROOT, "/merchants", &body).await
    };
    for url in [
        "https://127.0.0.1/keys",
        "https://localhost/keys",
        "https://[::ffff:127.0.0.1]/keys",
        "https://2130706433/keys",
        "https://169.254.169.254/latest/meta-data",
        "https://10.1.2.3/keys",
        "http://1.1.1.1/keys",
        "ftp://1.1.1.1/keys",
        "https://me:secret@1.1.1.1/keys",
        "file:///etc/passwd",
    ] {
        let refused = make(url).await.refused(422, "invalid");
        assert_eq!(
            refused["errors"][0]["pointer"], "/tokens/jwks_url",
            "{url}: {refused}"
        );
        assert!(!refused.to_string().contains("secret"), "{refused}");
    }
    for (name, value) in [("issuer", ""), ("audience", "")] {
        let mut body = json!({"id": "a", "tokens": tokens("a", "https://1.1.1.1/keys")});
        body["tokens"][name] = value.into();
        house
            .post(ROOT, "/merchants", &body)
            .await
            .refused(422, "invalid");
    }
    // What stands in the database is held to the same: it may have been allowed once, or the name led elsewhere.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    house
        .post(ROOT, "/merchants", &json!({"id": "a"}))
        .await
        .expect(201);
    house
        .post(ROOT, "/campaigns", &sale("sale-a", Some("a")))
        .await
        .expect(201);
    let store = house.store().await;
    let edit = rushgate::store::MerchantEdit {
        name: None,
        issuer: Some(Some(rushgate::store::Issuer {
            name: name("a"),
            audience: None,
            jwks_url: format!("http://{}/keys", listener.local_addr().expect("bound")),
        })),
    };
    store.edit_merchant("a", &edit, &[]).await.expect("written");
    store.close().await;
    let token = SigningKey::new("a").token_with("ada", json!({"iss": name("a")}));
    let orders = "/v1/campaigns/sale-a/orders";
    let refused = until(503, || ask(&house, Method::POST, orders, &token)).await;
    refused.refused(503, "keys-unavailable");
    let connected = tokio::time::timeout(A_WHILE, listener.accept()).await;
    assert!(connected.is_err(), "somebody came");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_buyer_of_one_merchant_is_exported_and_erased_alone() {
    let house = House::open(PRIVATE).await;
    let (a, b) = (Shop::open(&house, "a").await, Shop::open(&house, "b").await);
    let (of_a, of_b) = (landed(&house, &a, "ada").await, landed(&house, &b, "ada").await);
    let keys = [Some("a"), Some("b"), None];
    let mut exported = Vec::new();
    for merchant in keys {
        let key = house.with_scope(merchant, rushgate::access::Scope::Buyers).await;
        let text = house.get(&key, "/buyers/ada/data").await.expect(200);
        exported.push(text.text().into_owned());
        if merchant == Some("a") {
            let other = house.get(&key, "/buyers/ada/data?merchant=b").await;
            other.refused(403, "forbidden");
            let tried = house
                .post(&key, "/buyers/ada/erase?dry_run=true", &json!({}))
                .await;
            let tried = tried.expect(200).json();
            assert_eq!(tried["merchant"], "a");
            assert_eq!(tried["campaigns"].as_array().map(Vec::len), Some(1), "{tried}");
            let asked = house.post(&key, "/buyers/ada/erase", &json!({})).await;
            assert_eq!(asked.expect(202).json()["merchant"], "a");
            let stands = house.get(&key, "/buyers/ada/erasure").await.expect(200).json();
            assert_eq!(stands["state"], "open", "{stands}");
        } else {
            let none = house.get(&key, "/buyers/ada/erasure").await;
            none.refused(404, "unknown");
        }
    }
    let has = |export: &str, path: &str| export.contains(path.rsplit_once('/').expect("an id").1);
    assert!(
        has(&exported[0], &of_a) && !has(&exported[0], &of_b),
        "{}",
        exported[0]
    );
    assert!(
        has(&exported[1], &of_b) && !has(&exported[1], &of_a),
        "{}",
        exported[1]
    );
    assert!(
        has(&exported[2], &of_a) && has(&exported[2], &of_b),
        "{}",
        exported[2]
    );
    let named = house.get(ROOT, "/buyers/ada/data?merchant=b").await.expect(200);
    assert!(has(&named.text(), &of_b) && !has(&named.text(), &of_a));
    let missing = house.get(ROOT, "/buyers/ada/data?merchant=none").await;
    missing.refused(404, "unknown");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_is_named_by_command() {
    let house = House::open(PRIVATE).await;
    house
        .post(ROOT, "/merchants", &json!({"id": "a"}))
        .await
        .expect(201);
    let run = |args: &[&str]| {
        let mut told = std::process::Command::new(command(&["merchant"]).get_program());
        told.arg("merchant")
            .args(args)
            .args(["--admin-url", &house.gate.admin])
            .env("RUSHGATE_ADMIN_TOKEN", ROOT);
        let output = told.output().expect("it runs");
        (
            output.status.success(),
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
        )
    };
    let (done, said) = run(&[
        "set",
        "a",
        "--issuer",
        "https://login.a.example",
        "--audience",
        "shop",
        "--jwks-url",
        "http://127.0.0.1:9/keys",
    ]);
    assert!(done && said.contains("https://login.a.example"), "{said}");
    let (done, said) = run(&["list"]);
    assert!(done && said.contains("https://login.a.example"), "{said}");
    let (done, said) = run(&["set", "a", "--shared-issuer"]);
    assert!(done && said.contains("the deployment's issuer"), "{said}");
    assert!(!run(&["set", "a"]).0);
    assert!(!run(&["set", "a", "--issuer", "x"]).0);
}
