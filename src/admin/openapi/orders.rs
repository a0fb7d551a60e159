//! Orders, one by one and in bulk, described.

use serde_json::json;

use super::super::life::Answer;
use super::super::order_jobs::{BulkQuery, Jobs, JobsQuery};
use super::super::orders::{OrdersQuery, Page, Shown};
use super::super::table::LINES_TYPE;
use crate::control::{BulkBody, BulkTried, JobView, OrderActBody};
use crate::wire::openapi::Operation;
use crate::wire::problem::{CONFLICT, NOT_LANDED_YET, ORDER_EXPIRED, ORDER_STATE};

pub(super) fn operations() -> Vec<Operation> {
    let mut all = read();
    all.extend(changed());
    all.extend(in_bulk());
    all
}

fn read() -> Vec<Operation> {
    let text = || json!({"type": "string"});
    vec![
        Operation::get(
            "/admin/v1/campaigns/{id}/orders",
            "listOrders",
            "Orders that landed, the one placed last first",
        )
        .says("In pages as JSON; as CSV or JSON lines every order that the filter lets through, streamed.")
        .query::<OrdersQuery>()
        .answers::<Page>(200, "A page of orders, or all of them.")
        .answers_with(200, "text/csv", "A page of orders, or all of them.", text())
        .answers_with(200, LINES_TYPE, "A page of orders, or all of them.", text())
        .tells("Content-Disposition", "Of a download, the name of its file.")
        .of_something(),
        Operation::get(
            "/admin/v1/campaigns/{id}/orders/{order}",
            "showOrder",
            "One order in full",
        )
        .says("A payment system's own token will do. One that waits among the dead letters is `accepted`.")
        .answers::<Shown>(200, "The order.")
        .of_something(),
    ]
}

fn changed() -> Vec<Operation> {
    let act = |path, id, summary| {
        Operation::post(path, id, summary)
            .says("A payment system's own token will do.")
            .needs_key()
            .body_if_any::<OrderActBody>()
            .answers::<Answer>(200, "The order as it is then, and what was done.")
            .replays()
            .of_something()
            .refuses(&[&ORDER_STATE, &ORDER_EXPIRED, &NOT_LANDED_YET, &CONFLICT])
    };
    vec![
        act(
            "/admin/v1/campaigns/{id}/orders/{order}/pay",
            "payOrder",
            "Says that an order is paid",
        ),
        act(
            "/admin/v1/campaigns/{id}/orders/{order}/cancel",
            "cancelOrder",
            "Cancels an order that is not paid",
        ),
        act(
            "/admin/v1/campaigns/{id}/orders/{order}/refund",
            "refundOrder",
            "Says that a paid order is refunded",
        ),
    ]
}

fn in_bulk() -> Vec<Operation> {
    let begin = |path, id, summary| {
        Operation::post(path, id, summary)
            .query::<BulkQuery>()
            .keyed()
            .body::<BulkBody>()
            .answers::<JobView>(202, "The job.")
            .answers::<BulkTried>(200, "Of a dry run, what it would come to.")
            .replays()
            .of_something()
            .refuses(&[&CONFLICT])
    };
    vec![
        begin(
            "/admin/v1/campaigns/{id}/orders/cancel",
            "cancelOrders",
            "Cancels every order that a filter lets through",
        ),
        begin(
            "/admin/v1/campaigns/{id}/orders/refund",
            "refundOrders",
            "Refunds every order that a filter lets through",
        ),
        Operation::get(
            "/admin/v1/campaigns/{id}/orders/jobs",
            "listOrderJobs",
            "Jobs over orders of a campaign, the one begun last first",
        )
        .query::<JobsQuery>()
        .answers::<Jobs>(200, "A page of jobs.")
        .of_something(),
        Operation::get(
            "/admin/v1/campaigns/{id}/orders/jobs/{job}",
            "showOrderJob",
            "How far a job has come",
        )
        .answers::<JobView>(200, "The job.")
        .of_something(),
        Operation::delete(
            "/admin/v1/campaigns/{id}/orders/jobs/{job}",
            "stopOrderJob",
            "Stops a job",
        )
        .answers::<JobView>(200, "The job; what it has changed stays changed.")
        .of_something(),
    ]
}
