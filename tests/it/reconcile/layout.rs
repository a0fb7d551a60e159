//! A shard that a release of before left: order records by order id, all counts apart, a fence that says no layout; or records
//! that say more, and entries with a field per order. Nothing of it is forgotten, and nothing of it is read as if it
//! were this layout's.

use rushgate::lua::Args;
use rushgate::lua::activate::{activate_args, activate_reply};
use rushgate::lua::fence::Fence;
use rushgate::lua::record::Record;
use rushgate::lua::reply::Reply;

use rushgate::lua::{Script, fixed, repair};
use rushgate::order::{OrderId, OrderState};
use rushgate::outbox;
use rushgate::reconcile::Rebuilt;

use crate::reconcile::sale::{CAMPAIGN, Sale, Side, attempt, now};
use crate::reconcile::{differences, on_both_sides};

on_both_sides!(
    a_shard_of_the_layout_before_is_rebuilt_and_nothing_is_forgotten,
    a_shard_of_the_first_release_is_rebuilt_too,
    a_shard_of_the_second_layout_is_rebuilt_too,
);

async fn a_shard_of_the_layout_before_is_rebuilt_and_nothing_is_forgotten(side: Side) {
    upgraded(side, "u1/2:").await;
}

async fn a_shard_of_the_first_release_is_rebuilt_too(side: Side) {
    upgraded(side, "u1:").await;
}

async fn a_shard_of_the_second_layout_is_rebuilt_too(side: Side) {
    upgraded(side, "u1/2.2:").await;
}

/// Everything as an older gateway left it: its fence begins like this.
async fn upgraded(side: Side, fence: &str) {
    let mut sale = Sale::open(side, 100).await;
    for (user, key) in [("ada", "1"), ("ada", "2"), ("ada", "3"), ("bob", "1")] {
        assert!(sale.place(user, key, "mug").await, "{user} {key}");
    }
    sale.settled().await;
    sale.lay_out_as_before(fence).await;
    // Its gateway ended before it had sent this one.
    admitted_before(&sale, "cid", fence).await;

    // A new gateway decides nothing there, and no activation makes a whole state of it.
    let attempt = attempt("ada", "1", "mug");
    let asked = sale.admission().place(CAMPAIGN, attempt, true).await;
    assert!(asked.is_err(), "{asked:?}");
    let next = Fence {
        epoch: sale.active.activation.epoch + 1,
        ..sale.active.fence()
    };
    let args = activate_args(&next, 1, &sale.active.family.plan, None);
    let activated = activate_reply(sale.run(&fixed::ACTIVATE, args).await);
    assert_eq!(activated, Ok(Some(None)));

    let rebuilt = sale.reconcile.rebuild(CAMPAIGN, 0).await.expect("rebuilt");
    let epoch = sale.active.activation.epoch + 1;
    let (orders, stranded) = (5, 0);
    assert_eq!(
        rebuilt,
        Rebuilt::Restored {
            orders,
            stranded,
            epoch
        }
    );
    assert_eq!(sale.count_keys("orders:").await, 0, "the old records are gone");
    let cid = OrderId::keyed(CAMPAIGN, "cid", "1");
    let row = sale.db.store.order(CAMPAIGN, cid).await.expect("read");
    assert_eq!(row.map(|row| row.state), Some(OrderState::Confirmed));

    sale.reopen().await;
    assert!(sale.place("ada", "1", "mug").await, "a retry is the same order");
    assert!(sale.place("ada", "4", "mug").await);
    assert!(!sale.place("ada", "5", "mug").await, "she has had four");
    assert!(sale.place("cid", "1", "mug").await, "a retry is the same order");
    sale.settled().await;
    assert_eq!(sale.db.number("SELECT COUNT(*) FROM orders").await, 6);
    assert_eq!(differences(&sale).await, []);
}

/// An order that the older gateway admitted, and nobody has sent yet.
async fn admitted_before(sale: &Sale, user: &str, fence: &str) {
    let attempt = attempt(user, "1", "mug");
    let payloads = outbox::payloads(&sale.active, 0, std::iter::once(&attempt), now(), None);
    let payload = payloads.iter().next().expect("one");
    let payload: String = payload.iter().map(|byte| format!("\\{byte:03}")).collect();
    let n = match fence.contains('/') {
        true => format!(
            "1 {} {} 5",
            sale.active.activation.epoch,
            rushgate::plan::eval::VERSION
        ),
        false => "1".into(),
    };
    // Orders that travel alone are JSON.
    let payload = match fence.contains('/') {
        true => format!("'{payload}'"),
        false => format!("'{}'", String::from_utf8(attempt.encode()).expect("JSON")),
    };
    let record = format!("1 {} mug {user}", attempt.fingerprint());
    let (order, mut family) = (attempt.order.to_string(), "orders:");
    let mut bucket = sale.bucket(order.as_bytes());
    if fence.contains('.') {
        (family, bucket) = ("buyers:", sale.bucket(user.as_bytes()));
    }
    let text = format!(
        "#!lua\nlocal prefix, at = string.sub(KEYS[1], 1, -6), ARGV[1]\n\
         local entry = redis.call('XADD', prefix .. 'outbox', '*', 'rev', '1', 'at', at, 'n', '{n}', 'o', {payload})\n\
         redis.call('HSET', prefix .. '{family}' .. ARGV[2], ARGV[3], 'a ' .. entry .. ' 1 ' .. at .. ' {record}')\n\
         redis.call('HINCRBY', prefix .. 'stock', 'mug', -1)\n\
         redis.call('HINCRBY', KEYS[1], 'admitted', 1)\nreturn {{'ok'}}\n"
    );
    let words = [now().to_string(), bucket.to_string(), order].map(String::into_bytes);
    sale.run(&Script::new("admit-before", text), words.to_vec()).await;
}

impl Sale {
    /// Moves everything to where the layout of such a fence had it.
    async fn lay_out_as_before(&self, fence: &str) {
        let second = fence.contains('.');
        for user in ["ada", "bob"] {
            let key = self.buyers_bucket(user);
            let reply = self.run(&fixed::BUCKETS, vec![key.clone().into_bytes()]).await;
            let (_, buckets) = repair::buckets_reply(reply).expect("buckets");
            for (field, value) in buckets[0].iter().flatten() {
                let (field, value) = (text(field), text(value));
                let (key, value) = match field.split_once(' ') {
                    None if second => (key.clone(), longer(&value)),
                    None => (
                        format!("orders:{}", self.bucket(field.as_bytes())),
                        longer(&value),
                    ),
                    Some(_) if second => continue,
                    Some((_, user)) => (format!("counts:{}", self.bucket(user.as_bytes())), value),
                };
                self.redis("HSET", &key, &[&field, &value]).await;
            }
        }
        if second {
            let fence = format!("{fence}{}", self.active.activation.epoch);
            assert_eq!(Fence::parse(fence.as_bytes()), None, "it is none of ours");
            return self.redis("HSET", "state", &["fence", &fence]).await;
        }
        for bucket in 0..4 {
            self.redis("UNLINK", &format!("buyers:{bucket}"), &[]).await;
            // Its mark.
            self.redis("HSET", &format!("orders:{bucket}"), &["", ""]).await;
        }
        assert_eq!(self.count_keys("orders:").await, 4);
        let epoch = self.active.activation.epoch;
        self.redis("HDEL", "state", &["made:buyers:"]).await;
        let fields = [
            "fence",
            &format!("{fence}{epoch}"),
            "made:orders:",
            "9999999999999",
        ];
        self.redis("HSET", "state", &fields).await;
        let text = Fence::parse(format!("{fence}{epoch}").as_bytes());
        assert_eq!(text, None, "it is none of ours");
    }

    /// How many buckets of a family there are.
    async fn count_keys(&self, family: &str) -> i64 {
        let text = "#!lua\nlocal prefix, n = string.sub(KEYS[1], 1, -6), 0\n\
                    for bucket = 0, 3 do n = n + redis.call('EXISTS', prefix .. ARGV[1] .. bucket) end\nreturn n\n";
        let script = Script::new("count-keys", text.to_owned());
        match self.run(&script, Args::from([family])).await {
            Reply::Int(n) => n,
            other => panic!("{other:?}"),
        }
    }
}

/// A record as the layouts before had it: with the entry's whole id, and a fingerprint.
fn longer(record: &str) -> String {
    let Record { placed, entry, .. } = Record::decode(record.as_bytes()).expect("a record");
    let fingerprint = placed.fingerprint();
    format!(
        "a {entry} {} {} {} {fingerprint} {} {}",
        placed.revision, placed.placed_at, placed.quantity, placed.sku, placed.user
    )
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}
