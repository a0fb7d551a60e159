//! A change of the stock that is half done: no comparison mends it, and a rebuild decides it.

use rushgate::audit::AuditLine;
use rushgate::lua::fixed;
use rushgate::lua::restock::{Restocked, Step, restock_args, restock_reply};
use rushgate::store::{NewStockChange, StockChangeKind};

use crate::reconcile::on_both_sides;
use crate::reconcile::sale::{CAMPAIGN, Sale, Side};

on_both_sides!(units_that_are_being_taken_back_are_nobodys_difference);

async fn left(sale: &Sale) -> i64 {
    use rushgate::lua::repair::{ledger_args, ledger_reply};
    let reply = sale.run(&fixed::LEDGER, ledger_args(1)).await;
    ledger_reply(reply).expect("a ledger").stock["mug"]
}

async fn units_that_are_being_taken_back_are_nobodys_difference(side: Side) {
    let sale = Sale::open(side, 10).await;
    for key in ["1", "2"] {
        assert!(sale.place("ann", key, "mug").await);
    }
    sale.settled().await;
    let new = NewStockChange {
        campaign: CAMPAIGN,
        operation: "r",
        sku: "mug",
        kind: StockChangeKind::Remove,
        asked: 3,
        actor: "eve",
        note: None,
    };
    let (store, epoch) = (&sale.db.store, sale.active.activation.epoch);
    let line = AuditLine::new(
        sale.opened_at,
        "eve",
        "stock.change",
        CAMPAIGN,
        serde_json::json!({}),
    );
    let begun = store.begin_removal(new, epoch, &line).await;
    assert_eq!(begun, Ok(Some(1)));
    let take = restock_args(&sale.active.fence(), 1, "mug", Step::Take { units: 3 });
    let taken = restock_reply(sale.run(&fixed::RESTOCK, take).await);
    assert_eq!(taken, Ok(Restocked::Done { taken: 3, left: 5 }));

    // The total does not know of it: three units look as if they had leaked.
    let compared = sale
        .reconcile
        .compare(CAMPAIGN, Some("eve"))
        .await
        .expect("compared");
    assert_eq!((compared.differences, compared.repaired), (Vec::new(), false));
    assert_eq!(left(&sale).await, 5, "nothing was mended");

    // Redis forgets, and what it had given up with it: three of the eight that nobody has.
    sale.redis("DEL", "state", &[]).await;
    sale.reconcile.rebuild(CAMPAIGN, 0).await.expect("rebuilt");
    assert_eq!(left(&sale).await, 5);
    let change = store.last_stock_change(CAMPAIGN).await.expect("asked");
    let change = change.expect("it was begun");
    assert_eq!(
        (change.units, change.is_committed(), change.is_done),
        (Some(3), false, false)
    );
    // A second one decides nothing anew.
    sale.redis("DEL", "state", &[]).await;
    sale.reconcile.rebuild(CAMPAIGN, 0).await.expect("rebuilt");
    assert_eq!(left(&sale).await, 5);
}
