//! The contract of the data plane: its routes, described. `routes.rs` matches them by hand, and `tests/it/fronts/openapi.rs` holds
//! both against each other.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::answer::OrderAnswer;
use super::body::Raw;
use super::my_orders::ListAnswer;
use super::on_sale::PageAnswer;
use super::quota::QuotaAnswer;
use super::show::CampaignAnswer;
use crate::wire;
use crate::wire::openapi::{Operation, Plane, Served};
use crate::wire::problem::{
    ALREADY_REPLACED, ATTRIBUTE_MISSING, ATTRIBUTE_UNREADABLE, BACKLOG, CANCEL_NOT_ALLOWED, CLAIM_NOT_SINGLE,
    CLOSED, DEADLINE, GATE_CLOSED, IDEMPOTENCY_KEY, INTERNAL, INVALID, KEY_REUSED, MALFORMED, MEDIA_TYPE,
    NOT_LANDED_YET, NOT_OPEN, ORDER_STATE, OVERLOADED, PAUSED, PRECHECK_FAILED, RULE_REJECTED, SOLD_OUT,
    TIMEOUT, TOKEN_EXPIRED, TOKEN_INVALID, TOKEN_MISSING, TOKEN_NOT_YET_VALID, TOO_LARGE, TOO_MANY_STREAMS,
    UNAVAILABLE, UNKNOWN, UNKNOWN_SKU, WINDOW_FULL,
};

const CAMPAIGNS: &str = "Campaigns";
const ORDERS: &str = "Orders";
const ABOUT: &str = "This document and problems";

/// Query parameters that say what an order would carry.
const CLIENT_ATTRIBUTE: &str = r"^client\.[a-z0-9_-]{1,64}$";

/// It, as it is served.
pub(super) fn served() -> &'static Served {
    static SERVED: LazyLock<Served> = LazyLock::new(|| Served::of(&openapi()));
    &SERVED
}

/// The document that this plane serves.
pub fn openapi() -> Value {
    let plane = Plane {
        title: "rushgate orders",
        description: "The data plane: what buyers and their programs ask. Times are RFC 3339 in UTC with milliseconds. Unknown \
            members of a body are refused with a pointer to them, and unknown parameters of a query by name. Answers may get new \
            members at any time. Sentences for people (`detail`, `sentence`) are in English, or in the language of the rule's \
            module that they come from: the contract has no locale, and programs go by `reason`, `type` and `constraint`. \
            Lengths of texts are in characters here and are checked in bytes of UTF-8.",
        token: "A token of the buyer: a JWT whose `sub` is the user. `rushgate dev` takes `dev:<user>` as well.",
        groups: &[
            (CAMPAIGNS, "What is on sale."),
            (ORDERS, "Orders of whoever asks."),
            (ABOUT, "What this plane says of itself."),
        ],
        common: vec![&MALFORMED, &OVERLOADED, &INTERNAL, &UNAVAILABLE],
        guarded: vec![
            &TOKEN_MISSING,
            &TOKEN_INVALID,
            &TOKEN_EXPIRED,
            &TOKEN_NOT_YET_VALID,
        ],
        path_parameters,
        operations: vec![(CAMPAIGNS, campaigns()), (ORDERS, orders()), (ABOUT, about())],
    };
    plane.document()
}

fn path_parameters(_: &str, name: &str) -> (&'static str, Value) {
    match name {
        "order" => (
            "Id of an order.",
            json!({"type": "string", "pattern": "^[0-9a-f]{32}$"}),
        ),
        "slug" => (
            "Last part of a problem's `type`.",
            json!({"type": "string", "minLength": 1}),
        ),
        _ => (
            "Id of a campaign.",
            json!({"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"}),
        ),
    }
}

fn limit(operation: Operation) -> Operation {
    let schema = json!({"type": "integer", "minimum": 1, "maximum": 100, "default": 50});
    operation.parameter("limit", "Entries of the page at most.", &schema)
}

fn campaigns() -> Vec<Operation> {
    vec![
        limit(Operation::get("/v1/campaigns", "listCampaigns", "What is on and what is to come"))
            .says("First those that are open or paused, the one that closes first first; then those to come, the one that opens first first.")
            .open()
            .parameter("after", "`next` of the page before.", &json!({"type": "string"}))
            .answers::<PageAnswer<'_>>(200, "A page of campaigns; a campaign of more than 50 SKUs has no `skus` here.")
            .of_something(),
        Operation::get("/v1/campaigns/{campaign}", "showCampaign", "One campaign")
            .says("At most about a second old.")
            .open()
            .answers::<CampaignAnswer<'_>>(200, "The campaign.")
            .of_something()
            .refuses(&[&GATE_CLOSED, &DEADLINE]),
        Operation::get("/v1/campaigns/{campaign}/quota", "showQuota", "What this buyer has used and still has")
            .says("It thinks of an order of `quantity` units of `sku`, with the attributes that stand in the query as \
                `client.<name>`. Nothing is reserved.")
            .parameter("sku", "The SKU of the order.", &json!({"type": "string", "minLength": 1, "maxLength": 128, "pattern": r"^[^\x00-\x1f\x7f-\x9f]+$"}))
            .parameter("quantity", "Its units.", &json!({"type": "integer", "minimum": 1, "maximum": 1_000_000, "default": 1}))
            .parameters_like("attributes", CLIENT_ATTRIBUTE, 16, "What the order would say as `attributes`, each as a parameter of its own: \
                `client.device=d1`.")
            .answers::<QuotaAnswer<'_>>(200, "What is left under each constraint.")
            .of_something()
            .refuses(&[&UNKNOWN_SKU, &ATTRIBUTE_UNREADABLE, &CLAIM_NOT_SINGLE, &CLOSED, &GATE_CLOSED, &DEADLINE]),
    ]
}

fn orders() -> Vec<Operation> {
    let mut all = vec![place(), cancel()];
    all.extend(lookups());
    all.extend(streams());
    all
}

fn place() -> Operation {
    Operation::post("/v1/campaigns/{campaign}/orders", "placeOrder", "Places an order")
        .says("Under one Idempotency-Key a retry is the same order. With `Prefer: wait=5` the answer is held for up to so many \
            seconds until the order is `confirmed`, and is 201 then.")
        .keyed()
        .header("Prefer", "`wait=1` to `wait=30` (RFC 7240); what cannot be read is ignored.", &json!({"type": "string"}))
        .body::<Raw<'_>>()
        .answers::<OrderAnswer<'_>>(202, "The order is taken: `accepted`, or `pending` while it is on its way.")
        .answers::<OrderAnswer<'_>>(201, "The order is `confirmed`, which `Prefer` asked to wait for.")
        .tells("Location", "Where the order is asked for.")
        .tells("Preference-Applied", "The wait that was granted; missing where the answer was not held.")
        .replays()
        .refuses(&[
            &UNKNOWN, &UNKNOWN_SKU, &TIMEOUT, &SOLD_OUT, &WINDOW_FULL, &RULE_REJECTED, &CLOSED, &ATTRIBUTE_MISSING,
            &ATTRIBUTE_UNREADABLE, &CLAIM_NOT_SINGLE, &KEY_REUSED, &NOT_OPEN, &GATE_CLOSED, &BACKLOG, &PAUSED, &PRECHECK_FAILED,
            &DEADLINE, &ALREADY_REPLACED,
        ])
}

fn cancel() -> Operation {
    let path = "/v1/campaigns/{campaign}/orders/{order}/cancel";
    Operation::post(path, "cancelOrder", "Cancels an order that is not paid")
        .says("Where the campaign lets buyers do so. An Idempotency-Key may be sent and makes no difference: it is cancelled once.")
        .optional_key()
        .answers::<OrderAnswer<'_>>(200, "The order, also where its buyer had cancelled it before.")
        .of_something()
        .refuses(&[
            &CANCEL_NOT_ALLOWED, &TIMEOUT, &ORDER_STATE, &NOT_LANDED_YET, &TOO_LARGE, &MEDIA_TYPE, &INVALID, &GATE_CLOSED,
            &DEADLINE, &IDEMPOTENCY_KEY,
        ])
}

fn lookups() -> Vec<Operation> {
    let page = |operation, before| {
        limit(operation)
            .parameter("before", before, &json!({"type": "string"}))
            .answers::<ListAnswer<'_>>(200, "A page of orders that landed.")
            .of_something()
    };
    vec![
        page(
            Operation::get(
                "/v1/orders",
                "listMyOrders",
                "Orders of whoever asks, of all campaigns",
            )
            .says("Those that have landed, the one placed last first. Without `merchant`, those of all merchants that have no issuer of \
                their own.")
            .parameter("merchant", "Those of this merchant, with a token of its issuer.", &json!({"type": "string", "minLength": 1, "maxLength": 64})),
            "`next` of the page before: `<campaign>/<order>`.",
        ),
        page(
            Operation::get(
                "/v1/campaigns/{campaign}/orders",
                "listMyOrdersOfCampaign",
                "Orders of whoever asks, of one campaign",
            )
            .says("Those that have landed, the one placed last first."),
            "`next` of the page before: the id of its last order.",
        ),
        Operation::get(
            "/v1/campaigns/{campaign}/orders/{order}",
            "showOrder",
            "One order, for its owner",
        )
        .answers::<OrderAnswer<'_>>(200, "The order as it stands.")
        .of_something()
        .refuses(&[&GATE_CLOSED, &DEADLINE]),
    ]
}

fn streams() -> Vec<Operation> {
    let stream = |path, id, summary, last: &str| {
        Operation::get(path, id, summary)
            .says("Server-sent events, each `event: state` with the order as `data`, until nothing follows. The body is no JSON.")
            .header("Last-Event-ID", "`id` of the event that was read last: nothing up to it is told again.", &json!({"type": "string", "pattern": last}))
            .answers_with(200, "text/event-stream", "The stream.", json!({"type": "string"}))
            .of_something()
            .refuses(&[&TOO_MANY_STREAMS, &GATE_CLOSED, &DEADLINE])
    };
    vec![
        stream(
            "/v1/campaigns/{campaign}/orders/events",
            "streamMyOrders",
            "Changes of all orders of whoever asks",
            r"^[0-9a-f]{32}\.[0-9]{1,9}$",
        ),
        stream(
            "/v1/campaigns/{campaign}/orders/{order}/events",
            "streamOrder",
            "Changes of one order, for its owner",
            "^[0-9]{1,9}$",
        )
        .answers_nothing(
            204,
            "Nothing follows what Last-Event-ID names: do not connect again.",
        ),
    ]
}

fn about() -> Vec<Operation> {
    wire::openapi::about()
}
