//! Landed orders as merchants list them: filtered, in pages, and all of them in bounded memory; and what a campaign has that
//! is to be removed.

use std::collections::BTreeSet;

use futures_util::StreamExt;
use rushgate::campaign::Holdings;
use rushgate::control::ControlError;
use rushgate::order::{OrderId, OrderState};
use rushgate::store::{OrderFilter, OrderPlace, OrderRow, Store};
use testkit::database::{Database, NOW, activate, sale};
use testkit::on_both;

use super::simulate::control;

on_both!(
    pages_hold_each_order_once_whatever_lands_meanwhile,
    filters_are_combined,
    a_stream_of_two_hundred_thousand_orders_holds_a_page_at_a_time,
    only_a_campaign_without_any_order_is_removed_and_its_id_is_free_then,
    the_order_of_a_list_is_read_from_an_index,
);

const CAMPAIGN: &str = "spring";
/// Orders of one statement.
const ROWS: usize = 1000;
const MANY: usize = 200_000;

/// Orders that landed: three in each millisecond, of so many buyers, every seventh revoked.
async fn landed(db: &Database, numbers: std::ops::Range<usize>, buyers: usize) {
    let numbers: Vec<usize> = numbers.collect();
    for numbers in numbers.chunks(ROWS) {
        let rows: Vec<String> = numbers.iter().map(|number| row(*number, buyers)).collect();
        let sql = format!(
            "INSERT INTO orders (order_id, campaign_id, sku_id, user_id, quantity, revision, state, placed_at, confirmed_at, \
             revoked_reason, shard, plan_digest, fingerprint, receipt) VALUES {}",
            rows.join(",")
        );
        db.execute(&sql).await;
    }
}

fn row(number: usize, buyers: usize) -> String {
    let user = format!("user-{}", number % buyers);
    let order = OrderId::keyed(CAMPAIGN, &user, &number.to_string());
    let placed = moment(number);
    let sku = ["mug", "hat"][number % 2];
    let (state, confirmed, reason) = match number % 7 {
        0 => ("revoked", "NULL".to_owned(), "'oversold'"),
        _ => ("confirmed", format!("'{placed}'"), "NULL"),
    };
    format!(
        "('{order}', '{CAMPAIGN}', '{sku}', '{user}', 1, 1, '{state}', '{placed}', {confirmed}, {reason}, 0, 'p', 'f', \
         '{{\"modules\":[],\"charges\":[]}}')"
    )
}

fn placed_at(number: usize) -> i64 {
    NOW + (number / 3) as i64
}

fn moment(number: usize) -> String {
    let at = jiff::Timestamp::from_millisecond(placed_at(number)).expect("a time");
    at.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string()
}

async fn page(store: &Store, filter: &OrderFilter, before: Option<OrderPlace>, limit: u32) -> Vec<OrderRow> {
    store
        .listed_orders(CAMPAIGN, filter, before, limit)
        .await
        .expect("listed")
}

fn is_newest_first(rows: &[OrderRow]) -> bool {
    rows.is_sorted_by(|one, next| one.place() > next.place())
}

async fn pages_hold_each_order_once_whatever_lands_meanwhile(db: Database) {
    sale(&db.store, 10).await;
    landed(&db, 100..200, 10).await;
    let (mut all, mut before) = (Vec::new(), None);
    loop {
        let rows = page(&db.store, &OrderFilter::default(), before, 7).await;
        let Some(last) = rows.last() else { break };
        before = Some(last.place());
        all.extend(rows);
        // Newer ones land, and an older one late, behind the place that was read: neither shifts what follows.
        let number = 200 + all.len();
        landed(&db, number..number + 1, 10).await;
    }
    let first: BTreeSet<OrderId> = all.iter().map(|row| row.order).collect();
    assert_eq!((all.len(), first.len()), (100, 100));
    assert!(is_newest_first(&all));
    assert_eq!(all[99].placed_at, placed_at(100));
    let place = all[50].place();
    assert_eq!(
        db.store.order_place(CAMPAIGN, place.order).await.expect("asked"),
        Some(place)
    );
    assert_eq!(
        db.store.order_place("summer", place.order).await.expect("asked"),
        None
    );
}

async fn filters_are_combined(db: Database) {
    sale(&db.store, 10).await;
    landed(&db, 0..420, 10).await;
    let count = async |filter: OrderFilter| page(&db.store, &filter, None, 1000).await.len();
    let by = |state, user: Option<&str>, sku: Option<&str>| OrderFilter {
        state,
        user: user.map(str::to_owned),
        sku: sku.map(str::to_owned),
        ..OrderFilter::default()
    };
    assert_eq!(count(OrderFilter::default()).await, 420);
    assert_eq!(count(by(Some(OrderState::Revoked), None, None)).await, 60);
    assert_eq!(count(by(None, Some("user-3"), None)).await, 42);
    assert_eq!(
        count(by(None, Some("USER-3"), None)).await,
        0,
        "nobody's case is folded"
    );
    assert_eq!(count(by(None, Some("user-3"), Some("hat"))).await, 42);
    assert_eq!(count(by(None, Some("user-3"), Some("mug"))).await, 0);
    assert_eq!(
        count(by(Some(OrderState::Confirmed), Some("user-3"), None)).await,
        36
    );
    assert_eq!(count(by(None, Some("' OR 1 = 1 --"), None)).await, 0);
    let within = |from, to| OrderFilter {
        from,
        to,
        ..OrderFilter::default()
    };
    assert_eq!(count(within(Some(placed_at(30)), Some(placed_at(60)))).await, 30);
    assert_eq!(count(within(Some(placed_at(420)), None)).await, 0);
    assert_eq!(count(within(Some(i64::MIN), Some(i64::MAX))).await, 420);
    let of_one = by(None, Some("user-3"), None);
    let (first, rest) = (
        page(&db.store, &of_one, None, 5).await,
        page(&db.store, &of_one, None, 42).await,
    );
    let behind = page(&db.store, &of_one, Some(first[4].place()), 100).await;
    assert!(is_newest_first(&rest));
    assert_eq!(behind, rest[5..]);
}

/// Pages are read as they are taken: what was never asked for is not read, and no page grows.
async fn a_stream_of_two_hundred_thousand_orders_holds_a_page_at_a_time(db: Database) {
    let control = control(&db, 10).await;
    landed(&db, 0..MANY, 5000).await;
    let mut orders = control
        .all_orders(CAMPAIGN, OrderFilter::default())
        .await
        .expect("a stream");
    let (mut all, mut last, mut largest) = (0, None, 0);
    while let Some(page) = orders.next().await {
        let page = page.expect("a page");
        largest = largest.max(page.len());
        all += page.len();
        let first = page.first().map(OrderRow::place);
        assert!(is_newest_first(&page) && (last.is_none() || first < last));
        last = page.last().map(OrderRow::place);
    }
    assert_eq!((all, largest), (MANY, 1000));

    let mut orders = control
        .all_orders(CAMPAIGN, OrderFilter::default())
        .await
        .expect("a stream");
    for _ in 0..3 {
        orders.next().await.expect("more").expect("a page");
    }
    db.execute("DELETE FROM orders").await;
    let next = orders.next().await.expect("an end").expect("a page");
    assert_eq!(next, [], "nothing was read ahead");
    assert!(orders.next().await.is_none());
    let unknown = control.all_orders("summer", OrderFilter::default()).await;
    assert!(matches!(unknown.err(), Some(ControlError::Unknown(_))));
}

async fn only_a_campaign_without_any_order_is_removed_and_its_id_is_free_then(db: Database) {
    sale(&db.store, 10).await;
    let store = &db.store;
    assert_eq!(
        store.remove_campaign(CAMPAIGN, 7, &[]).await.expect("asked"),
        None,
        "another epoch"
    );
    assert_eq!(
        store.remove_campaign("summer", 1, &[]).await.expect("asked"),
        None
    );
    landed(&db, 0..2, 1).await;
    let two = Holdings {
        landed: 2,
        ..Holdings::default()
    };
    assert_eq!(
        store.remove_campaign(CAMPAIGN, 1, &[]).await.expect("asked"),
        Some(two)
    );
    assert_eq!(store.holdings(CAMPAIGN).await.expect("asked"), two);
    assert!(store.campaign(CAMPAIGN).await.expect("asked").is_some());
    db.execute("DELETE FROM orders").await;
    for (stage, letters) in [("dead", 1), ("discarded", 1), ("forged", 0)] {
        db.execute(&format!(
            "INSERT INTO dead_letters (topic, `partition`, `offset`, record_key, payload, error, landed_at, stage, class, \
             campaign_id) VALUES ('t', 0, 7, x'00', x'00', 'e', '2026-11-20 12:00:00.000', '{stage}', 'failing', '{CAMPAIGN}')"
        ))
        .await;
        assert_eq!(
            store.holdings(CAMPAIGN).await.expect("asked").letters,
            letters,
            "{stage}"
        );
        db.execute("DELETE FROM dead_letters").await;
    }
    activate(store, CAMPAIGN, 1, NOW).await.expect("activated");
    let gone = store.remove_campaign(CAMPAIGN, 2, &[]).await.expect("asked");
    assert_eq!(gone, Some(Holdings::default()));
    assert_eq!(store.campaign(CAMPAIGN).await.expect("asked"), None);
    for table in ["stock", "revisions", "activations", "campaigns"] {
        assert_eq!(
            db.number(&format!("SELECT COUNT(*) FROM {table}")).await,
            0,
            "{table}"
        );
    }
    sale(store, 10).await;
    assert!(store.campaign(CAMPAIGN).await.expect("asked").is_some());
}

/// Otherwise a page would be sorted out of the whole campaign.
async fn the_order_of_a_list_is_read_from_an_index(db: Database) {
    sale(&db.store, 10).await;
    landed(&db, 0..3000, 10).await;
    let sql = "SELECT order_id FROM orders {} WHERE campaign_id = 'spring' AND placed_at <= '2026-11-20 12:00:00.500' AND \
               (placed_at < '2026-11-20 12:00:00.500' OR order_id < 'f') ORDER BY placed_at DESC, order_id DESC LIMIT 100";
    let (explain, index) = match db.is_sqlite() {
        true => ("EXPLAIN QUERY PLAN", "INDEXED BY orders_placed"),
        false => ("EXPLAIN FORMAT=JSON", "FORCE INDEX (orders_placed)"),
    };
    let sql = format!("{explain} {}", sql.replace("{}", index));
    let mut connection = db.raw().await;
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .fetch_all(&mut connection)
        .await
        .expect("explained");
    let column = if db.is_sqlite() { 3 } else { 0 };
    let told: Vec<String> = rows.iter().map(|row| sqlx::Row::get(row, column)).collect();
    let told = told.join("\n");
    assert!(told.contains("orders_placed"), "{told}");
    assert!(
        !told.contains("filesort") && !told.contains("TEMP B-TREE"),
        "{told}"
    );
}
