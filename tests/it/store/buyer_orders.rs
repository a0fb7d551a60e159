//! Landed orders as their buyer lists them, of one campaign and of all; and whose pages may read what is said of a campaign.

use rushgate::campaign::Origins;
use rushgate::order::OrderId;
use rushgate::store::CampaignEdit;
use rushgate::store::{BuyerOrder, BuyerPlace, OrdersOf, Store};
use testkit::database::{Database, NOW, sale};
use testkit::on_both;

on_both!(
    a_buyer_pages_through_each_order_once_whatever_lands_meanwhile,
    nobody_sees_what_is_not_theirs,
    a_page_is_read_from_an_index,
    origins_are_kept_and_changed_and_go_back_to_none,
);

const CAMPAIGNS: [&str; 3] = ["autumn", "spring", "summer"];

/// Orders of buyers, in three campaigns by turns: three of each buyer in each millisecond.
async fn landed(db: &Database, user: &str, numbers: std::ops::Range<usize>) {
    let rows: Vec<String> = numbers.map(|number| row(user, number)).collect();
    let sql = format!(
        "INSERT INTO orders (order_id, campaign_id, sku_id, user_id, quantity, revision, state, placed_at, confirmed_at, \
         revoked_reason, shard, plan_digest, fingerprint, receipt) VALUES {}",
        rows.join(",")
    );
    db.execute(&sql).await;
}

fn row(user: &str, number: usize) -> String {
    let BuyerPlace { campaign, order, .. } = place(user, number);
    let at = jiff::Timestamp::from_millisecond(NOW + (number / 3) as i64).expect("a time");
    let placed = at.strftime("%Y-%m-%d %H:%M:%S%.3f");
    format!(
        "('{order}', '{campaign}', 'mug', '{user}', 1, 1, 'confirmed', '{placed}', '{placed}', NULL, 0, 'p', 'f', \
         '{{\"modules\":[],\"charges\":[]}}')"
    )
}

fn place(user: &str, number: usize) -> BuyerPlace {
    BuyerPlace {
        placed_at: NOW + (number / 3) as i64,
        // Two of the same millisecond are of the same campaign now and then.
        campaign: CAMPAIGNS[number / 2 % 3].to_owned(),
        order: OrderId::keyed("any", user, &number.to_string()),
    }
}

fn place_of(listed: &BuyerOrder) -> BuyerPlace {
    BuyerPlace {
        placed_at: listed.row.placed_at,
        campaign: listed.campaign.clone(),
        order: listed.row.order,
    }
}

async fn page(store: &Store, campaign: Option<&str>, before: Option<&BuyerPlace>) -> Vec<BuyerOrder> {
    let listed = store.buyer_orders(
        "ada",
        campaign.map_or(OrdersOf::All, OrdersOf::Campaign),
        before,
        7,
    );
    listed.await.expect("listed")
}

async fn a_buyer_pages_through_each_order_once_whatever_lands_meanwhile(db: Database) {
    for campaign in [None, Some("spring")] {
        db.execute("DELETE FROM orders").await;
        landed(&db, "ada", 100..200).await;
        landed(&db, "bob", 100..200).await;
        let (mut all, mut before) = (Vec::new(), None);
        loop {
            let rows = page(&db.store, campaign, before.as_ref()).await;
            let Some(last) = rows.last() else { break };
            before = Some(place_of(last));
            all.extend(rows.iter().map(place_of));
            // Newer ones shift nothing.
            landed(&db, "ada", 1000 + all.len()..1001 + all.len()).await;
        }
        let mut expected: Vec<BuyerPlace> = (100..200).map(|number| place("ada", number)).collect();
        expected.retain(|place| campaign.is_none_or(|campaign| campaign == place.campaign));
        expected.sort_by(|one, next| next.cmp(one));
        assert_eq!(all, expected, "{campaign:?}");
    }
}

async fn nobody_sees_what_is_not_theirs(db: Database) {
    landed(&db, "ada", 0..3).await;
    landed(&db, "a", 3..6).await;
    let users = async |user: &str| {
        let rows = db
            .store
            .buyer_orders(user, OrdersOf::All, None, 10)
            .await
            .expect("listed");
        rows.iter()
            .map(|listed| listed.row.user.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(users("ada").await, ["ada"; 3]);
    for nobody in ["ADA", "ada ", "ad", "bob", "%"] {
        assert!(users(nobody).await.is_empty(), "{nobody}");
    }
    let place = place("ada", 1);
    let find = async |user: &str, campaign: &str| {
        let found = db
            .store
            .buyer_place(user, OrdersOf::All, (campaign, place.order))
            .await;
        found.expect("asked")
    };
    assert_eq!(find("ada", &place.campaign).await.as_ref(), Some(&place));
    assert_eq!(find("a", &place.campaign).await, None);
    assert_eq!(find("ada", "winter").await, None);
}

/// Otherwise each page would be sorted out of all orders of all buyers.
async fn a_page_is_read_from_an_index(db: Database) {
    for user in 0..30 {
        landed(&db, &format!("user-{user}"), 0..100).await;
    }
    let (explain, index) = match db.is_sqlite() {
        true => ("EXPLAIN QUERY PLAN", "INDEXED BY orders_buyer"),
        false => ("EXPLAIN FORMAT=JSON", "FORCE INDEX (orders_buyer)"),
    };
    let sql = format!(
        "{explain} SELECT order_id, sku_id FROM orders {index} WHERE user_id = 'user-3' AND placed_at <= '2026-11-20 12:00:00.500' \
         AND (placed_at < '2026-11-20 12:00:00.500' OR campaign_id < 'spring' OR (campaign_id = 'spring' AND order_id < 'f')) \
         ORDER BY placed_at DESC, campaign_id DESC, order_id DESC LIMIT 51"
    );
    let mut connection = db.raw().await;
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&mut connection);
    let column = if db.is_sqlite() { 3 } else { 0 };
    let rows = rows.await.expect("explained");
    let told: Vec<String> = rows.iter().map(|row| sqlx::Row::get(row, column)).collect();
    let told = told.join("\n");
    assert!(
        told.contains("orders_buyer") && !told.contains("filesort"),
        "{told}"
    );
    // SQLite sorts those of one millisecond among each other, and no more.
    let sorted = told.replace("TEMP B-TREE FOR LAST 2 TERMS", "");
    assert!(!sorted.contains("TEMP B-TREE"), "{told}");
}

async fn origins_are_kept_and_changed_and_go_back_to_none(db: Database) {
    sale(&db.store, 10).await;
    let kept = async || {
        let row = db.store.campaign("spring").await.expect("asked").expect("there");
        row.origins.as_deref().cloned()
    };
    assert_eq!(kept().await, None);
    for list in [
        vec![
            "https://shop.example".to_owned(),
            "http://localhost:5173".to_owned(),
        ],
        vec![],
    ] {
        let origins = Origins::new(list).expect("origins");
        set_origins(&db, Some(origins.clone())).await;
        assert_eq!(kept().await.as_ref(), Some(&origins));
        let live = db.store.live_campaigns(NOW).await.expect("asked");
        assert_eq!(live[0].origins.as_deref(), Some(&origins));
    }
    set_origins(&db, None).await;
    assert_eq!(kept().await, None);
}

async fn set_origins(db: &Database, origins: Option<Origins>) {
    let edit = CampaignEdit {
        origins: Some(origins),
        ..CampaignEdit::default()
    };
    db.store.edit_campaign("spring", &edit, &[]).await.expect("set");
}
