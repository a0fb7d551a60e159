//! The live state of an order over two gateways, Kafka and MariaDB: told by a gateway that did not admit it, and on by another
//! one when that goes. Needs a Kafka broker, named by `RUSHGATE_KAFKA_BROKERS`.

use rushgate::order::{OrderId, OrderState, Release};
use rushgate::store::OrderChange;
use serde_json::{Value, json};
use testkit::events::{Events, Told};

use crate::stories::gate::PATIENCE;
use crate::stories::keys::{Deployment, Gateway};
use crate::stories::role::Role;

struct Sale {
    deployment: Deployment,
    gateways: Vec<Gateway>,
    _lander: Role,
}

impl Sale {
    /// Two gateways and a lander; orders wait a quarter of an hour for their payments.
    async fn open() -> Self {
        let deployment = Deployment::start().await;
        let (code, said) = deployment.run(&["migrate"], &[]);
        assert_eq!(code, Some(0), "{said}");
        let lander = deployment.role("land", &[]);
        let gateways = vec![
            Gateway::up(deployment.role("serve", &[])),
            Gateway::up(deployment.role("serve", &[])),
        ];
        gateways[0].create().await;
        deployment
            .db
            .execute("UPDATE campaigns SET hold_minutes = 15")
            .await;
        for gateway in &gateways {
            gateway.readyz(200, "ready").await;
        }
        Self {
            deployment,
            gateways,
            _lander: lander,
        }
    }

    async fn change(&self, order: &str, to: OrderState) {
        let change = OrderChange {
            to,
            actor: "till",
            reason: "story",
            note: None,
            key: None,
            release: Release::All,
        };
        let order: OrderId = order.parse().expect("an id");
        let changed = self
            .deployment
            .db
            .store
            .change_order("spring", order, change)
            .await;
        assert_eq!(changed.expect("changed").expect("landed").order.state, to);
    }

    /// A stream of a buyer at a gateway.
    async fn stream(&self, gateway: usize, user: &str, rest: &str, last: Option<&str>) -> Events {
        let address = self.gateways[gateway]
            .orders
            .strip_prefix("http://")
            .expect("a URL");
        let bearer = format!("Bearer dev:{user}");
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend(last.map(|last| ("last-event-id", last)));
        let path = format!("/v1/campaigns/spring/orders/{rest}");
        let opened = Events::open(address, &path, &headers);
        soon(opened).await.expect("an answer")
    }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

/// The first event of this state, and its id.
async fn until(events: &mut Events, state: &str) -> (String, Value) {
    loop {
        let told = soon(events.event()).await.expect("open");
        let (id, order) = told.unwrap_or_else(|| panic!("it ended before it told of {state}"));
        if order["state"] == state {
            return (id, order);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_followed_from_gateway_to_gateway_until_its_refund() {
    let mut sale = Sale::open().await;
    let order = sale.gateways[0].place("ann").await.expect("admitted");
    let path = format!("{order}/events");
    let mut events = sale.stream(1, "ann", &path, None).await;
    let mut mine = sale.stream(1, "ann", "events", None).await;
    assert_eq!((events.status(), mine.status()), (200, 200));
    let (id, told) = until(&mut events, "confirmed").await;
    let shown = format!("{}/v1/campaigns/spring/orders/{order}", sale.gateways[0].orders);
    let shown = sale.gateways[0]
        .role
        .http
        .get(&shown, &[("authorization", "Bearer dev:ann")])
        .await;
    assert_eq!((id.as_str(), &told), ("1", &shown.expect(200).json()));
    assert_eq!(until(&mut mine, "confirmed").await.0, format!("{order}.1"));
    let stranger = sale.stream(1, "eve", &path, None).await;
    assert_eq!(stranger.status(), 404);

    sale.change(&order, OrderState::Paid).await;
    assert_eq!(until(&mut events, "paid").await.0, "2");
    assert_eq!(until(&mut mine, "paid").await.0, format!("{order}.2"));

    // The gateway goes, and says so; nothing is told twice by the other one.
    let gone = sale.gateways.remove(1);
    gone.role.signal("TERM");
    let mut last = None;
    while let Some(told) = soon(events.next()).await.expect("it ends in order") {
        last = Some(told);
    }
    assert_eq!(
        last,
        Some(Told::Comment("this gateway closes; connect again".to_owned()))
    );
    assert_eq!(gone.role.exit().0, Some(0));
    let mut events = sale.stream(0, "ann", &path, Some("2")).await;
    sale.change(&order, OrderState::Refunded).await;
    let (id, told) = soon(events.event()).await.expect("open").expect("the refund");
    assert_eq!((id.as_str(), &told["state"]), ("3", &json!("refunded")));
    assert_eq!(soon(events.event()).await.expect("open"), None, "nothing follows");
    assert_eq!(sale.stream(0, "ann", &path, Some("3")).await.status(), 204);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_answered_when_it_is_confirmed() {
    let sale = Sale::open().await;
    for (user, gateway) in [("ann", 0), ("bob", 1)] {
        let Gateway { role, orders, .. } = &sale.gateways[gateway];
        let url = format!("{orders}/v1/campaigns/spring/orders");
        let bearer = format!("Bearer dev:{user}");
        let headers = [("authorization", bearer.as_str()), ("prefer", "wait=30")];
        let body = json!({"sku": "mug", "quantity": 1});
        let placed = soon(role.http.post(&url, &headers, &body)).await.expect(201);
        assert_eq!(placed.header("preference-applied"), "wait=30");
        let order = placed.json();
        assert_eq!(order["state"], "confirmed", "{order}");
        assert!(
            placed
                .header("location")
                .ends_with(order["order"].as_str().expect("an id"))
        );
    }
}
