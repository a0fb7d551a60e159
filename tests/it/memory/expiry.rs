//! When keys go: those that were restored go when those that were lost would have, and of an archived campaign
//! nothing is restored unless an operator asks for it.

use std::collections::BTreeMap;

use rushgate::campaign::RETENTION_MS;
use rushgate::reconcile::{CompareError, RebuildError, Rebuilt};
use testkit::database;

use crate::memory::restored::Past;
use crate::memory::sale::{CAMPAIGN, Sale, now};
use crate::memory::server::Server;

const DAY_MS: i64 = 24 * 3600 * 1000;

/// Every key of the campaign with the moment at which it goes, -1 for never. The relay's lease comes and goes.
fn expiries(server: &Server) -> BTreeMap<String, i64> {
    let mut client = server.client();
    let keys: Vec<String> = redis::cmd("KEYS").arg("rg:*").query(&mut client).expect("keys");
    // The server's own key stays as long as the server, the relay's lease comes and goes.
    let campaigns = |key: &String| key.starts_with("rg:{") && !key.ends_with(":relay");
    let keys = keys.into_iter().filter(campaigns);
    let expiry = |key: &String| redis::cmd("PEXPIRETIME").arg(key).query(&mut server.client());
    keys.map(|key| (key.clone(), expiry(&key).expect("a moment")))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restored_keys_go_when_the_lost_ones_would_have() {
    let sale = Sale::open(100).await;
    sale.sell(0..20).await;
    sale.quiet().await;
    let before = expiries(&sale.server);
    assert!(before.keys().any(|key| key.contains(":counter:per-hour/orders:")));
    assert!(before.values().all(|at| *at > now()), "{before:?}");
    let epoch = sale.epoch().await;
    sale.server.tell(&["FLUSHALL"]);
    sale.noticed(epoch).await;
    sale.reopened(epoch).await;
    let after = expiries(&sale.server);
    // Rejections while the gate was closed may have been counted since.
    for (key, at) in before.iter().filter(|(key, _)| !key.ends_with(":figures")) {
        assert_eq!(after.get(key), Some(at), "{key}");
    }
    assert!(
        after.values().all(|at| *at > now()),
        "nothing stays for ever: {after:?}"
    );
    sale.balanced().await;
}

/// A sale of which so many orders landed, closed for longer than it is kept.
async fn archived(orders: usize) -> Past {
    let past = Past::of(orders, database::sqlite().await).await;
    let text = |at| {
        let at = jiff::Timestamp::from_millisecond(at).expect("a moment");
        at.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string()
    };
    let closed = now() - RETENTION_MS - DAY_MS;
    let sql = format!(
        "UPDATE revisions SET opens_at = '{}', closes_at = '{}'",
        text(closed - DAY_MS),
        text(closed)
    );
    past.database.execute(&sql).await;
    past
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archived_campaign_is_restored_for_an_operator_alone() {
    let past = archived(20).await;
    let epoch = past.database.number("SELECT epoch FROM campaigns").await;
    let rebuilder = past.rebuilder("one");
    let refused = rebuilder.rebuild_live(CAMPAIGN, 0).await;
    assert!(matches!(refused, Err(RebuildError::Archived)), "{refused:?}");
    assert_eq!(expiries(&past.server), BTreeMap::new());
    assert_eq!(past.database.number("SELECT epoch FROM campaigns").await, epoch);
    let refused = rebuilder.compare(CAMPAIGN, None).await;
    assert!(
        matches!(&refused, Err(CompareError::Archived { campaign, .. }) if campaign == CAMPAIGN),
        "{refused:?}"
    );

    let rebuilt = rebuilder.rebuild(CAMPAIGN, 0).await.expect("by hand");
    assert!(
        matches!(rebuilt, Rebuilt::Restored { orders: 20, .. }),
        "{rebuilt:?}"
    );
    assert_eq!(past.left().await, 80);
    let kept = expiries(&past.server);
    let for_a_day = |at: &i64| (now()..=now() + DAY_MS).contains(at);
    assert!(kept.len() > 3 && kept.values().all(for_a_day), "{kept:?}");
    // What is there can be compared.
    let compared = rebuilder.compare(CAMPAIGN, None).await.expect("compared");
    assert_eq!((compared.orders, compared.differences.len()), (20, 0));
}
