//! A sale is compared in the console, and a difference is found, shown by its kind, and put right.

use serde_json::json;
use sqlx::any::install_default_drivers;
use sqlx::{AnyConnection, Connection as _};

use crate::console::desk::{Desk, check_plain};
use crate::stories::gate::{Gate, command};

const PATH: &str = "/console/sales/demo/reconcile";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_difference_is_found_and_put_right() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().display().to_string();
    let desk = Desk::at(Gate::spawn(command(&["dev", "--data", &data])).await);
    let placed = desk.gate.place("ada", json!({"sku": "mug", "quantity": 1})).await;
    let placed = placed.expect(202);
    desk.gate
        .order_in_state("ada", placed.header("location"), "confirmed")
        .await;
    let page = desk.get(PATH).await.expect(200);
    page.has("aria-current=\"page\">Reconcile").has("/reconcile");
    let compare = page.form(PATH, &[("act", "compare")]);
    let page = desk.post(PATH, &compare).await.expect(200);
    page.has("1 orders, 1 SKUs and").has("No differences.");
    check_plain(&page, PATH);
    assert!(!page.html.contains("id=\"repair\""));

    // Somebody sets a number by hand.
    let url = format!("sqlite://{}", folder.path().join("rushgate.db").display());
    install_default_drivers();
    let mut connection = AnyConnection::connect(&url).await.expect("it is there");
    let changed = sqlx::query("UPDATE stock SET sold = 7 WHERE campaign_id = 'demo'");
    changed.execute(&mut connection).await.expect("written");
    let page = desk.post(PATH, &compare).await.expect(200);
    page.has("sold-mismatch")
        .has("stock.sold is 7")
        .has("id=\"repair\"");
    check_plain(&page, PATH);
    let page = desk.post(PATH, &page.form(PATH, &[("act", "repair")])).await;
    let page = page.expect(200);
    page.has("Left after the repair").has("No differences.");
    let page = desk.post(PATH, &compare).await.expect(200);
    page.has("No differences.");
    let trail = format!("{}/admin/v1/audit?action=reconcile.*", desk.gate.admin);
    let trail = desk.gate.http.get(&trail, &[]).await.expect(200).json();
    assert_eq!(trail["lines"][0]["target"], "demo", "{trail}");
}
