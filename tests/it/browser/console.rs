//! The console in a real browser: from the list of sales to a changed limit, and a stream that is cut. What each page looks like, wide
//! and narrow, light and dark, is written beside.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hyper::Method;
use serde_json::{Value, json};

use crate::browser::chromium::Browser;
use crate::stories::gate::Gate;

/// A merchant is told within this that what is shown is old.
const TOLD_WITHIN: Duration = Duration::from_secs(3);
const SIZES: [(&str, u32, u32); 2] = [("wide", 1280, 900), ("phone", 390, 844)];
/// What a window has around a page, pixels, and the longest window.
const WINDOW_FRAME: u32 = 160;
const LONG: u32 = 2400;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser").join(name)
}

/// A wide window, and where its pictures go.
async fn window(name: &str) -> (PathBuf, Browser) {
    let folder = folder(name);
    let browser = Browser::start(&folder).await;
    browser.resize(1280, 900).await;
    (folder, browser)
}

/// A sale with two SKUs of which one sells well, another that has not opened, and one that is over.
async fn sales(gate: &Gate) {
    let rules = json!([{"module": "n-per-user", "params": {"limit": 2}}]);
    let stricter = json!([{"module": "n-per-user", "params": {"limit": 1}}]);
    for (id, title, opens, closes, skus) in [
        (
            "winter",
            "Winter archive",
            "2026-01-01T00:00:00Z",
            "2026-02-01T00:00:00Z",
            json!([{"id": "scarf", "stock": 300}]),
        ),
        (
            "summer",
            "Summer preview",
            "2027-06-01T08:00:00Z",
            "2027-06-03T08:00:00Z",
            json!([{"id": "hat", "stock": 5000}]),
        ),
        (
            "spring",
            "Spring sale: mugs and tees",
            "2026-01-01T00:00:00Z",
            "2027-03-01T00:00:00Z",
            json!([{"id": "mug", "stock": 40}, {"id": "tee-m", "stock": 25}, {"id": "poster", "stock": 3}]),
        ),
    ] {
        let made = json!({"id": id, "title": title, "opens_at": opens, "closes_at": closes, "skus": skus, "rules": rules, "shadow": stricter});
        gate.control("/campaigns", &made).await.expect(201);
    }
    for (number, sku) in [
        "mug", "mug", "tee-m", "poster", "mug", "poster", "poster", "mug", "poster",
    ]
    .iter()
    .enumerate()
    {
        let user = format!("buyer-{}", number / 2);
        gate.place_in("spring", &user, &[], json!({"sku": sku, "quantity": 1}))
            .await;
        gate.place_in("spring", "greedy", &[], json!({"sku": sku, "quantity": 1}))
            .await;
    }
}

/// Writes how a page looks: its path, and what has to be there before.
async fn pictures(browser: &Browser, gate: &Gate, folder: &Path, pages: &[(&str, &str, &str)]) {
    let mut wrong = Vec::new();
    for theme in ["light", "dark"] {
        browser
            .open(&format!("{}/console?theme={theme}", gate.admin))
            .await;
        for (size, width, height) in SIZES {
            browser.resize(width, height).await;
            for (name, path, ready) in pages {
                browser.open(&format!("{}{path}", gate.admin)).await;
                browser.until(ready).await;
                let wide =
                    "return document.documentElement.scrollWidth > document.documentElement.clientWidth";
                let is_wide = browser.script(wide, Vec::new()).await;
                // The whole page, however long, up to what somebody still looks at.
                let length = browser
                    .script("return document.documentElement.scrollHeight", Vec::new())
                    .await;
                let length = length.as_u64().unwrap_or_default() as u32;
                browser
                    .resize(width, (length + WINDOW_FRAME).clamp(height, LONG))
                    .await;
                browser
                    .screenshot(&folder.join(format!("{name}-{size}-{theme}.png")))
                    .await;
                browser.resize(width, height).await;
                if is_wide != false {
                    wrong.push(format!("{path} has to be scrolled to the side at {width}"));
                }
                let violations = browser.violations().await;
                if violations != json!([]) {
                    wrong.push(format!("{path}, {size}, {theme}: {violations:#}"));
                }
            }
        }
    }
    browser.resize(1280, 900).await;
    browser.open(&format!("{}/console?theme=auto", gate.admin)).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Counts what the policy refused, and what a script threw.
const WATCH: &str = "window.refused = []; document.addEventListener('securitypolicyviolation', (one) => refused.push(one.violatedDirective)); \
     window.addEventListener('error', (one) => refused.push(one.message)); return null";

async fn refused(browser: &Browser) -> Value {
    browser.script("return window.refused ?? []", Vec::new()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_is_changed_in_four_clicks_with_every_mistake_told_at_its_field() {
    let gate = Gate::dev().await;
    let (folder, browser) = window("console-limit").await;
    browser.open(&format!("{}/console", gate.admin)).await;
    browser.until_text("#age", "live").await;
    browser.until_text("#sale-demo", "100 of 100 left").await;
    browser.script(WATCH, Vec::new()).await;
    browser.click("#sale-demo a.name").await;
    browser.until("#chart canvas").await;
    browser.script(WATCH, Vec::new()).await;
    browser.until_text("#age", "live").await;
    gate.place("ada", json!({"sku": "mug", "quantity": 1}))
        .await
        .expect(202);
    browser.until_text("#live", "99 / 100").await;
    assert_eq!(refused(&browser).await, json!([]));

    browser.click(".tabs a[href$='/rules']").await;
    let limit = "[name='/rules/0/params/limit']";
    browser.until(limit).await;
    browser.script(WATCH, Vec::new()).await;
    for wrong in ["0", "many"] {
        browser.fill(limit, wrong).await;
        // The dry run answers while somebody types: at the field, and beside it.
        browser
            .until_text(
                "[data-pointer='/rules/0/params/limit'] .at",
                "/rules/0/params/limit",
            )
            .await;
    }
    browser.screenshot(&folder.join("wrong.png")).await;
    browser.fill(limit, "2").await;
    browser
        .until_text("#preview", "Each user may order at most 2 units")
        .await;
    browser.until_text("#preview", "Against revision 1").await;
    assert_eq!(
        browser.text("[data-pointer='/rules/0/params/limit'] .at").await,
        ""
    );
    assert_eq!(refused(&browser).await, json!([]));
    browser.screenshot(&folder.join("preview.png")).await;
    browser.click("button[value=save]").await;
    browser
        .until_text("main", "Every gateway decides by revision 2")
        .await;
    browser.screenshot(&folder.join("revision.png")).await;
    browser.click("#activate").await;
    browser.until(".notice").await;
    let here = browser.script("return location.pathname", Vec::new()).await;
    assert_eq!(here, "/console/sales/demo", "loading it anew sends nothing");
    gate.place("ada", json!({"sku": "mug", "quantity": 1}))
        .await
        .expect(202);
    browser.until_text("#live", "98 / 100").await;
    browser.screenshot(&folder.join("changed.png")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_cut_or_falls_silent_is_told_and_comes_back() {
    let gate = Gate::dev().await;
    let (folder, browser) = window("console-cut").await;
    browser.open(&format!("{}/console/sales/demo", gate.admin)).await;
    browser.until_text("#age", "live").await;
    // Silent: the connection is there, and nothing comes.
    gate.signal("STOP");
    let begun = Instant::now();
    browser.until("#age.cut").await;
    let told = begun.elapsed();
    assert!(told < TOLD_WITHIN, "told after {told:?}");
    let said = browser.text("#age").await;
    assert!(said.contains("Cut off") && said.contains("s old"), "{said}");
    browser.screenshot(&folder.join("silent.png")).await;
    gate.signal("CONT");
    browser.until("#age:not(.cut)").await;
    browser.until_text("#age", "live").await;
    // Cut: the other end has gone.
    let begun = Instant::now();
    drop(gate);
    browser.until("#age.cut").await;
    let told = begun.elapsed();
    assert!(told < TOLD_WITHIN + Duration::from_secs(1), "told after {told:?}");
}

/// Chooses a file of so many members, each with so many bytes, as somebody does who picks one.
const CHOOSE: &str = "const lines = Array.from({length: 200000}, (_, n) => `member-${n}`).join('\\n'); \
     const files = new DataTransfer(); files.items.add(new File([lines], arguments[0])); \
     document.querySelector('#upload-file').files = files.files; \
     window.seen = []; const bar = document.querySelector('form.upload progress'); \
     new MutationObserver(() => seen.push(bar.value)).observe(bar, {attributes: true}); return null";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_is_uploaded_from_a_file_while_its_page_shows_how_far_it_is() {
    let gate = Gate::dev().await;
    let (folder, browser) = window("console-upload").await;
    browser.open(&format!("{}/console/lists", gate.admin)).await;
    browser.until("form.upload:not([hidden])").await;
    browser.script(WATCH, Vec::new()).await;
    browser.fill("#upload-id", "vip").await;
    browser.script(CHOOSE, vec![json!("vip.txt")]).await;
    browser.click("#upload").await;
    browser
        .until_text(
            "form.upload .came",
            "vip is in version 1 now, with 200,000 members.",
        )
        .await;
    let seen = browser.script("return seen", Vec::new()).await;
    let last = seen
        .as_array()
        .and_then(|seen| seen.last())
        .and_then(Value::as_f64);
    assert_eq!(last, Some(1.0), "{seen}");
    // A table without the column that is asked for: said where it was chosen, and the form is as it was.
    browser.script(CHOOSE, vec![json!("vip.csv")]).await;
    browser.fill("#upload-column", "buyer").await;
    browser.click("#upload").await;
    browser
        .until_text("form.upload .came [role=alert]", "buyer")
        .await;
    browser.screenshot(&folder.join("wrong.png")).await;
    assert_eq!(refused(&browser).await, json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_can_be_read_on_a_phone_and_in_the_dark() {
    let gate = Gate::dev().await;
    sales(&gate).await;
    let list = format!("{}/admin/v1/audiences/vip", gate.admin);
    let text = [("content-type", "text/plain")];
    let members = b"ada\nbob\n".to_vec();
    gate.http
        .send(Method::PUT, &list, &text, members)
        .await
        .expect(201);
    let key = json!({"name": "warehouse", "person": "ada", "role": "viewer", "expires_in_days": 90});
    gate.control("/keys", &key).await.expect(201);
    let folder = folder("console-pages");
    let browser = Browser::start(&folder).await;
    let orders = gate
        .http
        .get(&format!("{}/admin/v1/campaigns/spring/orders", gate.admin), &[])
        .await
        .json();
    let order = orders["orders"][0]["order"]
        .as_str()
        .map_or_else(String::new, |id| format!("/console/sales/spring/orders/{id}"));
    let mut pages = vec![
        ("sales", "/console", "#age:not([hidden])"),
        ("sale", "/console/sales/spring", "#chart canvas"),
        ("stock", "/console/sales/spring/act/stock", "#preview"),
        ("end", "/console/sales/spring/act/end", "#preview"),
        ("rules", "/console/sales/spring/rules", "#preview"),
        ("revisions", "/console/sales/spring/revisions", "table"),
        ("revision", "/console/sales/spring/revisions/1", ".sentences"),
        ("lua", "/console/sales/spring/rules/lua", "pre"),
        ("orders", "/console/sales/spring/orders", "table"),
        (
            "preview",
            "/console/sales/spring/preview?revision=1",
            ".sentences",
        ),
        (
            "playground",
            "/console/sales/spring/playground?user=ada&sku=mug&quantity=1&times=3",
            ".sentences",
        ),
        ("lists", "/console/lists", "table"),
        ("list", "/console/lists/vip?member=ada", "[role='status']"),
        ("modules", "/console/modules", "table"),
        ("module", "/console/modules/n-per-user", "pre"),
        ("webhooks", "/console/webhooks", ".heading"),
        ("keys", "/console/keys", "table"),
        ("key", "/console/keys/new", "#preview"),
        ("audit", "/console/audit", "table"),
        ("health", "/console/health", "table"),
    ];
    if !order.is_empty() {
        pages.push(("order", &order, "dl"));
    }
    pictures(&browser, &gate, &folder, &pages).await;
}
