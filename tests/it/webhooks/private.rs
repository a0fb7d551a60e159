//! Nobody reaches with an endpoint what only this machine can: not when it is made, and not when its name leads elsewhere later.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rushgate::reaching::Resolve;
use rushgate::webhooks::{NewWebhook, WebhookChange, WebhookError};
use testkit::database;

use crate::webhooks::house::{House, confirmed};
use crate::webhooks::receiver::Receiver;

/// Names that lead to public addresses first, and to this machine later.
#[derive(Default)]
struct Turning(AtomicBool);

impl Resolve for Turning {
    fn resolve(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let found: io::Result<Vec<IpAddr>> = match (name.as_str(), self.0.load(Ordering::SeqCst)) {
            ("nowhere.example", _) => Err(io::Error::other("no such host")),
            ("inside.example", _) | (_, true) => Ok(vec![[127, 0, 0, 1].into()]),
            (_, false) => Ok(vec![[93, 184, 215, 14].into()]),
        };
        std::future::ready(found).boxed()
    }
}

async fn refused(house: &House, url: &str) -> String {
    let new = NewWebhook {
        merchant: None,
        url: url.to_owned(),
        events: Vec::new(),
        campaign: None,
        note: None,
    };
    match house.desk.create("eve", new).await {
        Err(WebhookError::Invalid(faults)) if faults[0].pointer == "/url" => faults[0].detail.clone(),
        Err(error) => panic!("{url}: {error}"),
        Ok(_) => panic!("{url} is taken"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn private_addresses_are_refused_when_an_endpoint_is_made_or_changed() {
    let house = House::reaching(
        database::sqlite().await,
        "10.7.0.0/16",
        Arc::new(Turning::default()),
    );
    for (url, why) in [
        ("https://127.0.0.1/", "127.0.0.1, which is not public"),
        ("https://2130706433/", "127.0.0.1, which is not public"),
        ("https://[::1]:8081/admin/v1/campaigns", "not public"),
        ("https://[::ffff:169.254.169.254]/latest/meta-data", "not public"),
        ("https://10.8.0.1/", "webhooks.private"),
        ("https://inside.example/", "inside.example is 127.0.0.1"),
        ("https://nowhere.example/", "no such host"),
        ("http://shop.example/", "with https alone"),
        ("http://93.184.215.14/", "with https alone"),
        ("https://me:secret@shop.example/", "user or password"),
        ("gopher://shop.example/", "use https"),
    ] {
        let told = refused(&house, url).await;
        assert!(told.contains(why), "{url}: {told}");
    }
    let made = house.hook("https://shop.example/hooks").await;
    house.hook("http://10.7.1.1:8080/hooks").await;
    let change = WebhookChange {
        url: Some("https://inside.example/".to_owned()),
        ..WebhookChange::default()
    };
    let changed = house.desk.change("eve", &made.webhook.id, change).await;
    assert!(matches!(changed, Err(WebhookError::Invalid(_))), "{changed:?}");
    let kept = house.desk.show(&made.webhook.id).await.expect("shown");
    assert_eq!(kept.url, "https://shop.example/hooks");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_leads_to_a_private_address_the_second_time_is_not_reached() {
    let resolve = Arc::new(Turning::default());
    let house = House::reaching(database::sqlite().await, "", resolve.clone());
    let receiver = Receiver::start().await;
    let url = format!("https://shop.example:{}/hooks", receiver.address.port());
    let made = house.hook(&url).await;
    resolve.0.store(true, Ordering::SeqCst);
    let tried = house.desk.test("eve", &made.webhook.id).await.expect("tried");
    let why = tried.error.expect("an error");
    assert!(
        why.contains("shop.example is 127.0.0.1, which is not public"),
        "{why}"
    );
    house.tell(&[confirmed("ada")]).await;
    let _sending = house.sending();
    house.until("SELECT attempts FROM webhook_deliveries", 1).await;
    let error = house.db.text("SELECT last_error FROM webhook_deliveries").await;
    assert!(error.contains("not public"), "{error}");
    assert_eq!(receiver.ids(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_in_a_row_is_checked_before_anybody_connects() {
    // Made by another process, whose configuration allowed it.
    let db = database::sqlite().await;
    let allowing = House::over(db);
    let receiver = Receiver::start().await;
    let made = allowing.hook(&receiver.url()).await;
    let house = House::reaching(allowing.db, "", Arc::new(Turning::default()));
    let tried = house.desk.test("eve", &made.webhook.id).await.expect("tried");
    assert!(!tried.delivered);
    let why = tried.error.expect("an error");
    assert!(why.contains("127.0.0.1, which is not public"), "{why}");
    assert_eq!(receiver.ids(), [""; 0]);
}
