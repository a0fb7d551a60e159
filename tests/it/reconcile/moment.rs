//! Looks at the very millisecond of an order, which the database refuses while the look waits for landing.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use rushgate::lua::Script;
use rushgate::lua::fixed;
use rushgate::lua::reply::Reply;
use rushgate::order::OrderId;
use rushgate::reconcile::missing::Looks;

use crate::reconcile::around::{Around, Surrounded};
use crate::reconcile::missing::{SECOND, missing};
use crate::reconcile::sale::{CAMPAIGN, Sale, Side, now};

crate::reconcile::on_both_sides!(
    an_order_refused_in_the_millisecond_of_a_look_is_still_counted,
    an_order_of_the_millisecond_that_is_in_no_outbox_asks_for_another_look,
);

/// Makes an engine's ledger the one of a moment that has passed.
struct Past {
    /// Of the order.
    at: i64,
    /// What stood in the outbox then: id, revision, moment, number of payloads, payload.
    entry: Option<[String; 5]>,
    /// So many ledgers are yet to be those of that moment, where nothing stood in the outbox.
    to_come: AtomicUsize,
    ledgers: AtomicUsize,
}

impl Past {
    fn remember(&self, reply: Reply) -> Reply {
        self.ledgers.fetch_add(1, SeqCst);
        let Reply::Array(mut parts) = reply else {
            panic!("a ledger is a list");
        };
        let text = |text: &str| Reply::Bulk(text.as_bytes().to_vec());
        if let Some(entry) = &self.entry {
            parts[2] = text(&self.at.to_string());
            parts.extend(entry.iter().map(|part| text(part)));
        } else if self.to_come.load(SeqCst) > 0 {
            self.to_come.fetch_sub(1, SeqCst);
            parts[2] = text(&self.at.to_string());
        }
        Reply::Array(parts)
    }
}

impl Around for Past {
    fn after(&self, script: &Script, reply: Reply) -> Reply {
        match script.name == fixed::LEDGER.name {
            true => self.remember(reply),
            false => reply,
        }
    }
}

/// An order that is refused and has not given back, and when it was placed.
async fn refused(sale: &Sale) -> (OrderId, i64) {
    // Nobody gives back what it holds.
    let lease = format!("give-back:{CAMPAIGN}");
    let held = sale.db.store.lease(&lease, "other", sale.opened_at, 1 << 40);
    assert!(held.await.expect("asked"));
    let sql = format!(
        "INSERT INTO `usage` (campaign_id, counter, window_start, subject, used, allowed) VALUES \
         ('{CAMPAIGN}', 'rule/orders', 0, 'ada', 4, 4)"
    );
    sale.db.execute(&sql).await;
    assert!(sale.place("ada", "1", "mug").await, "admitted");
    sale.settled().await;
    assert_eq!(sale.db.number("SELECT COUNT(*) FROM releases").await, 1);
    // What the engine goes on counting of it stands for what was full.
    let sql = "UPDATE `usage` SET used = 1 WHERE subject = 'ada' AND counter = 'rule/orders'";
    sale.db.execute(sql).await;
    let order = OrderId::keyed(CAMPAIGN, "ada", "1");
    let row = sale.db.store.order(CAMPAIGN, order).await.expect("asked");
    (order, row.expect("it has a row").placed_at)
}

async fn look(sale: &Sale, past: Past) {
    let past = Surrounded::new(sale.engine(), past);
    let stage = sale.stage_over(past.clone());
    let mut looks = Looks::default();
    for n in 0..2 {
        let round = stage.find_missing(&mut looks, now() + n * 61 * SECOND).await;
        round.expect("looked");
        assert_eq!(
            (missing(&looks), looks.metrics.scans.get()),
            (None, 0),
            "look {n}"
        );
    }
    assert!(past.by.ledgers.load(SeqCst) > 1, "it was read");
}

async fn an_order_refused_in_the_millisecond_of_a_look_is_still_counted(side: Side) {
    let sale = Sale::open(side, 100).await;
    let (order, at) = refused(&sale).await;
    let payload = format!(r#"{{"order":"{order}","user":"ada","sku":"mug","quantity":1,"attributes":{{}}}}"#);
    let entry = ["1-1", "1", &at.to_string(), "1", &payload].map(str::to_owned);
    let past = Past {
        at,
        entry: Some(entry),
        to_come: AtomicUsize::new(0),
        ledgers: AtomicUsize::new(0),
    };
    look(&sale, past).await;
}

async fn an_order_of_the_millisecond_that_is_in_no_outbox_asks_for_another_look(side: Side) {
    let sale = Sale::open(side, 100).await;
    let (_, at) = refused(&sale).await;
    let past = Past {
        at,
        entry: None,
        // One for the orders, and two for the stock: enough for a difference that is seen twice.
        to_come: AtomicUsize::new(3),
        ledgers: AtomicUsize::new(0),
    };
    let past = Surrounded::new(sale.engine(), past);
    let stage = sale.stage_over(past.clone());
    let compared = stage.compare(CAMPAIGN, None).await.expect("compared");
    assert_eq!((compared.differences, compared.unsettled), (vec![], 0));
    assert_eq!(past.by.to_come.load(SeqCst), 0, "they were read");
}
