//! The demo shop, opened from another origin than that of the gateway it orders at: a gateway of a real deployment, which dies and
//! comes back meanwhile. Needs a Kafka broker, named by `RUSHGATE_KAFKA_BROKERS`.

use std::path::{Path, PathBuf};

use hyper::Method;
use serde_json::{Value, json};
use testkit::control::Control;
use testkit::database::{self, Database};
use testkit::deployment::{Member, Setup};
use testkit::server::Server;
use testkit::services::Urls;

use crate::browser::chromium::Browser;
use crate::stories::gate::Gate;

/// A deployment that sells mugs, one to each buyer, and `rushgate dev`, of which the page alone is used.
struct Sale {
    page: Gate,
    gateway: Member,
    control: Control,
    _lander: Member,
    _redis: Server,
    _db: Database,
}

impl Sale {
    async fn open(name: &str) -> Self {
        let page = Gate::dev().await;
        let (redis, db) = (Server::start(&[]), database::mariadb().await);
        let mut setup = Setup::new(Path::new(env!("CARGO_BIN_EXE_rushgate")), name)
            .expect("services: run this through `./x test`");
        setup.urls = Urls {
            redis: redis.url(),
            database: db.url.clone(),
            ..setup.urls
        };
        let prefix = format!("browser.{}.{}", std::process::id(), uuid::Uuid::now_v7().simple());
        setup.env = [
            ("RUSHGATE_KAFKA_PREFIX", prefix.as_str()),
            ("RUSHGATE_KAFKA_PARTITIONS", "2"),
            ("RUSHGATE_CORS_ORIGINS", &page.orders),
            (
                "RUSHGATE_WASM_CACHE_DIR",
                concat!(env!("CARGO_TARGET_TMPDIR"), "/wasm"),
            ),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
        setup.migrate().expect("migrated");
        let lander = setup.land_soon(1).expect("it starts");
        let gateway = setup.serve(1).await.expect("a gateway");
        let control = gateway.control().expect("a client");
        let sale = Self {
            page,
            gateway,
            control,
            _lander: lander,
            _redis: redis,
            _db: db,
        };
        let now = jiff::Timestamp::now();
        let hours = |n| jiff::SignedDuration::from_hours(n);
        sale.post(
            "",
            json!({
                "id": "spring", "title": "Spring", "opens_at": now - hours(1), "closes_at": now + hours(24),
                "skus": [{"id": "mug", "stock": 100}], "rules": [{"module": "n-per-user", "params": {"limit": 1}}],
                "hold": {"minutes": 15}, "cancel_by_buyer": true,
            }),
            201,
        )
        .await;
        sale
    }

    async fn post(&self, path: &str, body: Value, expected: u16) {
        let path = format!("/admin/v1/campaigns{path}");
        let sent = self.control.send_keyed(Method::POST, &path, &body, "once");
        let (status, answer) = sent.await.expect("an answer");
        assert_eq!(status, expected, "{answer}");
    }

    async fn admitted(&self) -> Value {
        let figures = self
            .control
            .send(Method::GET, "/admin/v1/campaigns/spring", &Value::Null);
        figures.await.expect("an answer").1["skus"][0]["admitted"].clone()
    }

    /// The page as it is opened at an origin, ordering at the deployment's gateway.
    fn url(&self, origin: &str) -> String {
        format!("{origin}/shop?gateway=http://{}", self.gateway.orders)
    }

    async fn restart(&mut self) {
        self.gateway.spawn().expect("it starts");
        self.gateway.ready().await.expect("ready");
    }
}

/// Sums up how far things jump by themselves, in parts of the window. Whoever loads the page anew loses the sum.
const MEASURE_JUMPS: &str = "window.jumps = 0; \
     new PerformanceObserver((list) => list.getEntries().forEach((one) => { if (!one.hadRecentInput) window.jumps += one.value; })) \
     .observe({type: 'layout-shift', buffered: true}); return null";
/// What browsers call good.
const JUMPS_MAX: f64 = 0.1;

/// Where the browser of a test lives, and the pictures of it.
fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser").join(name)
}

/// The page of a buyer, with the campaign's articles in its form.
async fn browse(sale: &Sale, folder: &Path) -> Browser {
    let browser = Browser::start(folder).await;
    browser.open(&sale.url(&sale.page.orders)).await;
    browser.until("#gateway[data-reach=reached]").await;
    browser.until("#buy [name=campaign] option[value=spring]").await;
    browser.choose("#buy [name=campaign]", "spring").await;
    browser.until("#buy [name=sku] option[value=mug]").await;
    browser
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_followed_live_through_a_restart_of_its_gateway() {
    let mut sale = Sale::open("browser-restart").await;
    let folder = folder("restart");
    let browser = browse(&sale, &folder).await;
    browser.script(MEASURE_JUMPS, Vec::new()).await;

    browser.fill("#buy [name=buyer]", "ann").await;
    browser.until_text("#quota", "0 of 1 used, 1 left").await;
    browser.click("#buy button").await;
    browser.until("#answer[data-answer=taken]").await;
    browser
        .until("#order[data-state=confirmed][data-line=live]")
        .await;
    browser.until_text("#quota", "1 of 1 used, 0 left").await;
    browser.until_text("#mine", "1 × mug, confirmed").await;
    let order = browser
        .script(
            "return document.getElementById('order').dataset.order",
            Vec::new(),
        )
        .await;
    browser.screenshot(&folder.join("confirmed.png")).await;

    browser.click("#buy button").await;
    let refused = browser.until_text("#answer", "limit-per-user").await;
    assert!(
        refused.contains("Rejected by a rule of the campaign")
            && refused.contains("Each user may order at most 1 unit"),
        "{refused}"
    );

    sale.gateway.kill();
    browser.until("#order[data-state=confirmed][data-line=cut]").await;
    browser.until("#gateway[data-reach=away]").await;
    let cut = browser.until_text("#line", "Last heard").await;
    assert!(cut.contains("Cut off") && cut.contains(" s ago"), "{cut}");
    browser.screenshot(&folder.join("cut.png")).await;

    sale.restart().await;
    let path = format!("/spring/orders/{}/pay", order.as_str().expect("an id"));
    sale.post(&path, json!({"reason": "card"}), 200).await;
    browser.until("#order[data-state=paid][data-line=live]").await;
    browser.until("#gateway[data-reach=reached]").await;
    browser.until_text("#state", "Paid.").await;
    browser.until_text("#mine", "1 × mug, paid").await;
    let jumps = browser.script("return window.jumps ?? null", Vec::new()).await;
    let jumps = jumps.as_f64().expect("the page was loaded once");
    assert!(jumps < JUMPS_MAX, "things jumped by {jumps}");
    browser.screenshot(&folder.join("paid.png")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_nobody_answered_is_one_order_and_can_be_cancelled() {
    let mut sale = Sale::open("browser-retries").await;
    let folder = folder("retries");
    let browser = browse(&sale, &folder).await;
    browser.fill("#buy [name=buyer]", "bob").await;
    sale.gateway.kill();
    browser.click("#buy button").await;
    let waits = browser.until_text("#answer", "Sent 2 times so far").await;
    assert!(waits.contains("under the same key"), "{waits}");
    sale.restart().await;
    browser.until("#answer[data-answer=taken]").await;
    let taken = browser.text("#answer").await;
    assert!(taken.contains("times, and is one order"), "{taken}");
    browser
        .until("#order[data-state=confirmed][data-line=live]")
        .await;
    assert_eq!(sale.admitted().await, 1);

    browser.until("#cancel:enabled").await;
    browser.click("#cancel").await;
    browser
        .until("#order[data-state=cancelled][data-line=ended]")
        .await;
    browser.until_text("#mine", "1 × mug, cancelled").await;
    browser.until_text("#quota", "0 of 1 used, 1 left").await;
    browser.resize(390, 844).await;
    browser.screenshot(&folder.join("phone.png")).await;
    let wide = browser.script(
        "return document.documentElement.scrollWidth > document.documentElement.clientWidth",
        Vec::new(),
    );
    assert_eq!(wide.await, false, "a phone has to be scrolled to the side");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_may_not_or_cannot_says_why() {
    let sale = Sale::open("browser-foreign").await;
    let folder = folder("foreign");
    let browser = Browser::start(&folder).await;
    // The same server under another name, which is another origin, and not listed.
    let other = sale.page.orders.replace("127.0.0.1", "localhost");
    browser.open(&sale.url(&other)).await;
    browser.until("#gateway[data-reach=foreign]").await;
    let said = browser.text("#gateway").await;
    assert!(said.contains(&other) && said.contains("[cors] origins"), "{said}");
    let listed = "return document.querySelectorAll('option').length";
    assert_eq!(browser.script(listed, Vec::new()).await, 0, "it got nothing");
    browser.screenshot(&folder.join("foreign.png")).await;

    for (gateway, words) in [
        ("javascript:alert(1)", "no URL of http or https"),
        ("127.0.0.1", "no URL"),
        (
            "http://ann:secret@127.0.0.1",
            "more than scheme, host, port and path",
        ),
    ] {
        browser
            .open(&format!("{}/shop?gateway={gateway}", sale.page.orders))
            .await;
        browser.until("#gateway[data-reach=wrong]").await;
        browser.until_text("#gateway", words).await;
        browser.until("#buy button:disabled").await;
    }
    // Its own gateway, where nothing is said.
    browser.open(&format!("{}/shop", sale.page.orders)).await;
    browser.until("#buy [name=campaign] option[value=demo]").await;
    browser.click("#buy button").await;
    browser
        .until("#order[data-state=confirmed][data-line=ended]")
        .await;
}
