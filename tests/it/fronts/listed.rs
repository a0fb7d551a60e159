//! Orders over the control plane: pages, tables and lines; and campaigns that are cloned and removed.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use rushgate::admin::{LandedOrders, Lifetime, OrderJobs, OrderLife};
use rushgate::control::{
    self, BulkBody, CLONE, ControlError, JobView, NewClone, Operation, OrderAct, OrderActBody, OrderChanged,
    OrderInFull, OrdersStream,
};
use rushgate::order::{Attempt, BODY, Charge, Holds, LandedOrder, OrderId, OrderState};
use rushgate::store::{ChangeRow, OrderFilter, OrderRow};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::fronts::control::{Scripted, start};
use crate::fronts::stage::PLACED_AT;
use crate::fronts::wire::{Reply, call, connect, request, rest};

type Answered<'a, T> = BoxFuture<'a, Result<T, ControlError>>;

fn answered<'a, T: Send + 'a>(result: Result<T, ControlError>) -> Answered<'a, T> {
    std::future::ready(result).boxed()
}

fn row(number: usize, user: &str, state: OrderState) -> OrderRow {
    OrderRow {
        order: OrderId::keyed("spring", user, &number.to_string()),
        state,
        user: user.to_owned(),
        sku: "mug \"big\", blue".to_owned(),
        quantity: 2,
        revision: 3,
        placed_at: PLACED_AT,
        confirmed_at: (state == OrderState::Confirmed).then_some(PLACED_AT + 7),
        revoked_reason: (state == OrderState::Revoked).then(|| "oversold".to_owned()),
        pay_by: (user == "bob").then_some(PLACED_AT + 900_000),
        replaces: None,
    }
}

fn rows() -> Vec<OrderRow> {
    vec![
        row(0, "=HYPERLINK(\"http://evil\")", OrderState::Confirmed),
        row(1, "Ada Löw", OrderState::Revoked),
        row(2, "bob", OrderState::Confirmed),
    ]
}

/// Pages of a campaign whose orders have no end, and whether somebody still wants more.
static PAGES: AtomicUsize = AtomicUsize::new(0);
static LEFT: AtomicBool = AtomicBool::new(false);
const PAGE: usize = 1000;

struct Leaving;

impl Drop for Leaving {
    fn drop(&mut self) {
        LEFT.store(true, Ordering::SeqCst);
    }
}

fn endless() -> OrdersStream {
    let leaving = Leaving;
    stream::repeat_with(move || {
        let _kept = &leaving;
        PAGES.fetch_add(1, Ordering::SeqCst);
        let rows = (0..PAGE).map(|number| row(number, "bob", OrderState::Confirmed));
        Ok(rows.collect())
    })
    .boxed()
}

impl LandedOrders for Scripted {
    fn orders<'a>(
        &'a self,
        campaign: &'a str,
        filter: &'a OrderFilter,
        before: Option<OrderId>,
        limit: u32,
    ) -> Answered<'a, Vec<OrderRow>> {
        let all = rows();
        let place = before.map(|order| all.iter().position(|row| row.order == order));
        let from = match place {
            None => 0,
            Some(Some(place)) => place + 1,
            Some(None) => return answered(Err(ControlError::Unknown("no such order".into()))),
        };
        let fits = |row: &OrderRow| filter.user.as_ref().is_none_or(|user| *user == row.user);
        let rows = all.into_iter().skip(from).filter(fits).take(limit as usize);
        answered(match campaign {
            "spring" => Ok(rows.collect()),
            other => Err(ControlError::Unknown(format!("no campaign {other:?}"))),
        })
    }

    fn all_orders<'a>(&'a self, campaign: &'a str, _: OrderFilter) -> Answered<'a, OrdersStream> {
        let some = || stream::iter([Ok(rows()), Ok(vec![])]);
        answered(match campaign {
            "spring" => Ok(some().boxed()),
            "endless" => Ok(endless()),
            // As the other, and nobody counts its pages.
            "long" => Ok(stream::repeat_with(|| Ok(rows())).boxed()),
            "broken" => {
                let cut = ControlError::Unavailable("the database is gone".into());
                Ok(some().chain(stream::iter([Err(cut)])).boxed())
            }
            other => Err(ControlError::Unknown(format!("no campaign {other:?}"))),
        })
    }

    fn order<'a>(&'a self, campaign: &'a str, order: OrderId) -> Answered<'a, OrderInFull> {
        let attributes = [
            ("claim:group", "\u{1f}a\u{1f}b"),
            ("client:device", "d1"),
            (BODY, "0123"),
        ];
        answered(match campaign {
            "spring" => Ok(OrderInFull {
                order: LandedOrder {
                    attempt: Attempt {
                        order,
                        user: "bob".into(),
                        sku: "mug".into(),
                        quantity: 1,
                        attributes: attributes.map(|(name, text)| (name.into(), text.into())).into(),
                    },
                    revision: 1,
                    placed_at: PLACED_AT,
                    fingerprint: "f".into(),
                    charges: vec![Charge {
                        counter: "n-per-user/orders".into(),
                        window: 0,
                        rolling_ms: 0,
                        subject: "bob".into(),
                        cost: 1,
                        limit: Some(2),
                    }],
                    state: OrderState::Refunded,
                    holds: Holds::Allowance,
                    confirmed_at: Some(PLACED_AT + 7),
                    revoked_reason: None,
                    pay_by: None,
                    replaces: Some(order),
                },
                changes: vec![change(OrderState::Confirmed, OrderState::Paid)],
            }),
            other => Err(ControlError::Unknown(format!("no campaign {other:?}"))),
        })
    }
}

fn change(from: OrderState, to: OrderState) -> ChangeRow {
    ChangeRow {
        number: to.number(),
        from: Some(from),
        to,
        at: PLACED_AT + 9,
        actor: "payments".into(),
        reason: "pay".into(),
        note: Some("card".into()),
        key: Some("k".into()),
    }
}

impl OrderLife for Scripted {
    fn act_on_order<'a>(
        &'a self,
        operation: Operation<'a>,
        order: OrderId,
        act: OrderAct,
        _: &'a OrderActBody,
    ) -> Answered<'a, OrderChanged> {
        let changed = move |full| OrderChanged {
            full,
            did: format!("{:?} by {}.", act, operation.actor),
            change: change(OrderState::Confirmed, act.state()),
            is_replay: operation.key == Some("again"),
        };
        let key = operation.key.map(drop).ok_or(ControlError::KeyMissing);
        let full = self.order(operation.campaign, order);
        async move { key.and(full.await).map(changed) }.boxed()
    }
}

impl OrderJobs for Scripted {
    fn change_in_bulk<'a>(
        &'a self,
        operation: Operation<'a>,
        act: OrderAct,
        _: &'a BulkBody,
        dry_run: bool,
    ) -> Answered<'a, control::Answered> {
        answered(Ok(control::Answered {
            body: json!({"act": act.word(), "dry_run": dry_run}).to_string(),
            is_replay: operation.key == Some("again"),
            is_proposed: false,
        }))
    }

    fn order_jobs<'a>(&'a self, campaign: &'a str, _: Option<&'a str>, _: u32) -> Answered<'a, Vec<JobView>> {
        answered(match campaign {
            "spring" => Ok(Vec::new()),
            other => Err(ControlError::Unknown(format!("no campaign {other:?}"))),
        })
    }

    fn order_job<'a>(&'a self, _: &'a str, id: &'a str) -> Answered<'a, JobView> {
        answered(Err(ControlError::Unknown(format!("no job {id:?}"))))
    }

    fn stop_order_job<'a>(&'a self, _: Operation<'a>, id: &'a str) -> Answered<'a, JobView> {
        answered(Err(ControlError::Unknown(format!("no job {id:?}"))))
    }
}

impl Lifetime for Scripted {
    fn clone_campaign<'a>(
        &'a self,
        operation: Operation<'a>,
        _: NewClone,
        lua: bool,
    ) -> Answered<'a, control::Answered> {
        let body = || json!({"revision": 1, "lua": lua, "note": operation.note}).to_string();
        answered(match (operation.kind, operation.campaign) {
            (CLONE, "spring") => Ok(control::Answered {
                body: body(),
                is_replay: operation.key == Some("again"),
                is_proposed: false,
            }),
            (_, other) => Err(ControlError::Unknown(format!("no campaign {other:?}"))),
        })
    }

    fn delete_campaign<'a>(&'a self, operation: Operation<'a>) -> Answered<'a, ()> {
        answered(match (operation.campaign, operation.note) {
            ("empty", None | Some("a slip & more")) => Ok(()),
            ("empty", note) => Err(ControlError::Internal(format!("{note:?}"))),
            ("spring", _) => Err(ControlError::Conflict("it has orders".into())),
            (other, _) => Err(ControlError::Unknown(format!("no campaign {other:?}"))),
        })
    }
}

const ORDERS: &str = "/admin/v1/campaigns/spring/orders";

#[tokio::test]
async fn a_list_of_orders_that_cannot_be_is_refused_with_what_can() {
    let running = start(None);
    for (query, words) in [
        (
            "state=shipped",
            "use confirmed, paid, cancelled, expired, refunded, revoked",
        ),
        ("state=Confirmed", "use confirmed, paid"),
        ("state=accepted", "use confirmed, paid"),
        ("from=yesterday", "from is \"yesterday\""),
        ("to=2026-11-21T10:00:00+01:00", "%2B"),
        (
            "from=2026-11-21T10:00:00Z&to=2026-11-21T10:00:00Z",
            "not before to",
        ),
        ("limit=0", "use 1 to 100"),
        ("limit=101", "use 1 to 100"),
        ("format=xlsx", "use json, csv or jsonl"),
        ("format=csv&limit=5", "limit and before"),
        ("format=jsonl&before=0", "limit and before"),
        ("after=b", "after"),
    ] {
        let reply = running.get(&format!("{ORDERS}?{query}")).await;
        let problem = reply.problem(400, "malformed");
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.contains(words), "{query}: {detail}");
    }
    for path in [
        "/admin/v1/campaigns/winter/orders",
        "/admin/v1/campaigns/winter/orders?format=csv",
        &format!("{ORDERS}?before=nonsense"),
        &format!("{ORDERS}?before={}", "0".repeat(32)),
        &format!("{ORDERS}/nonsense"),
        &format!("/admin/v1/campaigns/winter/orders/{}", "0".repeat(32)),
    ] {
        running.get(path).await.problem(404, "unknown");
    }
    let posted = call(running.address, "POST", ORDERS, &[], b"{}").await;
    posted.problem(405, "method-not-allowed");
}

#[tokio::test]
async fn orders_are_listed_in_pages_and_shown_in_full() {
    let running = start(None);
    let page = running.get(&format!("{ORDERS}?limit=2")).await.json();
    let (first, second) = (&page["orders"][0], &page["orders"][1]);
    assert_eq!(page["next"], second["order"]);
    let expected = json!({
        "order": second["order"], "state": "revoked", "user": "Ada Löw", "sku": "mug \"big\", blue", "quantity": 2,
        "revision": 3, "placed_at": "2026-11-21T10:00:00.000Z", "revoked_reason": "oversold",
    });
    assert_eq!(*second, expected);
    assert_eq!(first["confirmed_at"], "2026-11-21T10:00:00.007Z");
    let next = page["next"].as_str().expect("more");
    let page = running
        .get(&format!("{ORDERS}?limit=2&before={next}"))
        .await
        .json();
    assert_eq!(
        (page["orders"].as_array().map(Vec::len), page.get("next")),
        (Some(1), None)
    );
    let filtered = running
        .get(&format!("{ORDERS}?user=bob&state=confirmed&sku=a%20b"))
        .await;
    assert_eq!(filtered.json()["orders"][0]["user"], "bob");

    let shown = running.get(&format!("{ORDERS}/{}", "7".repeat(32))).await.json();
    let expected = json!({
        "campaign": "spring", "order": "7".repeat(32), "state": "refunded", "user": "bob", "sku": "mug", "quantity": 1,
        "revision": 1, "placed_at": "2026-11-21T10:00:00.000Z", "confirmed_at": "2026-11-21T10:00:00.007Z",
        "holds": "allowance", "replaces": "7".repeat(32), "changes": [
            {"number": 1, "to": "confirmed", "at": "2026-11-21T10:00:00.007Z", "actor": "rushgate"},
            {"number": 2, "from": "confirmed", "to": "paid", "at": "2026-11-21T10:00:00.009Z", "actor": "payments",
                "reason": "pay", "note": "card"},
        ],
        "attributes": {"claim:group": ["a", "b"], "client:device": "d1"},
        "charges": [{"counter": "n-per-user/orders", "window": 0, "subject": "bob", "cost": 1, "limit": 2}],
    });
    assert_eq!(shown, expected);
}

/// The chunks of a body put together.
fn body(reply: &Reply) -> String {
    let (mut rest, mut text) = (reply.body.as_str(), String::new());
    while let Some((size, more)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("the size of a chunk");
        if size == 0 {
            return text;
        }
        text += &more[..size];
        rest = more[size..].trim_start_matches("\r\n");
    }
    panic!("cut off: {text}")
}

#[tokio::test]
async fn all_orders_are_a_table_for_spreadsheets_or_lines_of_json() {
    let running = start(None);
    let accept = [("accept", "text/html, text/csv;q=0.9")];
    let by_header = call(running.address, "GET", ORDERS, &accept, b"").await;
    let table = running.get(&format!("{ORDERS}?format=csv")).await;
    assert_eq!(body(&by_header), body(&table));
    assert_eq!(
        (table.header("content-type"), table.header("content-disposition")),
        (
            Some("text/csv; charset=utf-8; header=present"),
            Some("attachment; filename=\"spring-orders.csv\"")
        )
    );
    let lines: Vec<String> = body(&table).split("\r\n").map(str::to_owned).collect();
    assert_eq!(
        lines[0],
        "\u{feff}order,state,user,sku,quantity,revision,placed_at,confirmed_at,revoked_reason,pay_by,merchant"
    );
    assert_eq!(
        lines[1].split_once(',').expect("cells").1,
        "confirmed,\"'=HYPERLINK(\"\"http://evil\"\")\",\"mug \"\"big\"\", blue\",2,3,2026-11-21T10:00:00.000Z,\
         2026-11-21T10:00:00.007Z,,,"
    );
    assert!(
        lines[2]
            .ends_with("revoked,Ada Löw,\"mug \"\"big\"\", blue\",2,3,2026-11-21T10:00:00.000Z,,oversold,,")
    );
    assert!(lines[3].ends_with(",,2026-11-21T10:15:00.000Z,"), "{}", lines[3]);
    assert_eq!((lines.len(), lines[4].as_str()), (5, ""));

    let accept = [("accept", "application/x-ndjson")];
    let lines = call(running.address, "GET", ORDERS, &accept, b"").await;
    assert_eq!(lines.header("content-type"), Some("application/x-ndjson"));
    let lines: Vec<Value> = body(&lines)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!((lines.len(), &lines[2]["user"]), (3, &"bob".into()));
    let json = [("accept", "application/json, text/csv")];
    let page = call(running.address, "GET", ORDERS, &json, b"").await;
    assert_eq!(page.json()["orders"].as_array().map(Vec::len), Some(3));

    // What breaks off ends without an end.
    let mut stream = connect(running.address).await;
    let path = "/admin/v1/campaigns/broken/orders?format=csv";
    stream
        .write_all(&request("GET", path, &[], b""))
        .await
        .expect("sent");
    let cut = rest(&mut stream).await;
    assert!(!cut.ends_with(b"0\r\n\r\n"), "{}", String::from_utf8_lossy(&cut));
}

/// A client that reads slowly has nothing gathered for it, and one that goes has nothing read any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_goes_as_fast_as_its_client_and_ends_with_it() {
    const READ: usize = 64 << 20;
    const BETWEEN: usize = 32 << 20;
    let running = start(None);
    let mut stream = connect(running.address).await;
    let path = "/admin/v1/campaigns/endless/orders?format=jsonl";
    stream
        .write_all(&request("GET", path, &[], b""))
        .await
        .expect("sent");
    let (mut buffer, mut read) = (vec![0; 1 << 16], 0);
    let page = {
        let mut lines = Vec::new();
        serde_json::to_writer(&mut lines, &json!({"order": "0".repeat(32)})).expect("written");
        lines.len() * PAGE
    };
    while read < READ {
        read += stream.read(&mut buffer).await.expect("more");
        let made = PAGES.load(Ordering::SeqCst) * page;
        assert!(
            made < read + BETWEEN,
            "{made} bytes at least were made, and {read} read"
        );
    }
    assert!(!LEFT.load(Ordering::SeqCst));
    drop(stream);
    let begun = Instant::now();
    let mut often = tokio::time::interval(Duration::from_millis(5));
    while !LEFT.load(Ordering::SeqCst) {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "orders are read for nobody"
        );
        often.tick().await;
    }
}

#[tokio::test]
async fn campaigns_are_cloned_and_removed() {
    let running = start(None);
    let json = [("content-type", "application/json")];
    let clone = async |path: &str, body: &Value| {
        let path = format!("/admin/v1/campaigns/{path}");
        call(running.address, "POST", &path, &json, body.to_string().as_bytes()).await
    };
    let mut new =
        json!({"id": "summer", "opens_at": "2026-12-01T10:00:00Z", "closes_at": "2026-12-02T10:00:00Z"});
    let made = clone("spring/clone", &new).await;
    assert_eq!(
        (made.status, made.header("location")),
        (201, Some("/admin/v1/campaigns/summer"))
    );
    assert_eq!(made.json(), json!({"revision": 1, "lua": false, "note": null}));
    new["note"] = "again".into();
    let made = clone("spring/clone?lua=true", &new).await.json();
    assert_eq!(made, json!({"revision": 1, "lua": true, "note": "again"}));
    let again = [json[0], ("idempotency-key", "again")];
    let path = "/admin/v1/campaigns/spring/clone";
    let again = call(running.address, "POST", path, &again, new.to_string().as_bytes()).await;
    assert_eq!(
        (again.status, again.header("idempotent-replayed")),
        (201, Some("true"))
    );
    clone("winter/clone", &new).await.problem(404, "unknown");
    new["skus"] = json!([]);
    let unknown = clone("spring/clone", &new).await.problem(422, "invalid");
    assert_eq!(unknown["pointer"], "/skus");

    let delete = async |path: &str| {
        let path = format!("/admin/v1/campaigns/{path}");
        call(running.address, "DELETE", &path, &[], b"").await
    };
    delete("winter").await.problem(404, "unknown");
    delete("spring").await.problem(409, "conflict");
    delete("empty?why=slip").await.problem(400, "malformed");
    assert_eq!(delete("empty").await.status, 204);
    assert_eq!(delete("empty?note=a%20slip%20%26%20more").await.status, 204);
}
