//! Webhooks, described.

use super::super::webhooks::{DeliveriesQuery, List, Page};
use crate::webhooks::{
    Created, NewWebhook, Replay, Replayed, Rotated, Rotation, Tried, WebhookChange, WebhookView,
};
use crate::wire::openapi::Operation;
use crate::wire::problem::{CONFLICT, INVALID};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::post(
            "/admin/v1/webhooks",
            "createWebhook",
            "Makes an endpoint that is sent changes of orders",
        )
        .keyed()
        .body::<NewWebhook>()
        .answers_either::<Created, WebhookView>(201, "The endpoint, and its secret, which nobody is shown again but whoever repeats the request under its key before \
            the secret is replaced.")
        .tells("Location", "The endpoint.")
        .replays()
        .refuses(&[&CONFLICT]),
        Operation::get(
            "/admin/v1/webhooks",
            "listWebhooks",
            "All endpoints, the oldest first",
        )
        .answers::<List>(200, "All endpoints."),
        Operation::get("/admin/v1/webhooks/{id}", "showWebhook", "One endpoint")
            .answers::<WebhookView>(200, "The endpoint.")
            .tagged()
            .of_something(),
        Operation::patch(
            "/admin/v1/webhooks/{id}",
            "changeWebhook",
            "Changes an endpoint, or disables it",
        )
        .if_match()
        .body::<WebhookChange>()
        .answers::<WebhookView>(200, "The endpoint as it is now.")
        .tells("ETag", "Of the endpoint as it is now.")
        .of_something(),
        Operation::delete(
            "/admin/v1/webhooks/{id}",
            "deleteWebhook",
            "Removes an endpoint, and what waits for it",
        )
        .if_match()
        .answers_nothing(204, "It is gone.")
        .of_something(),
        Operation::post(
            "/admin/v1/webhooks/{id}/secret",
            "rotateWebhookSecret",
            "Another secret, which signs from now on",
        )
        .if_match()
        .body_if_any::<Rotation>()
        .answers::<Rotated>(200, "The secret, which nobody is shown again.")
        .of_something(),
        Operation::get(
            "/admin/v1/webhooks/{id}/deliveries",
            "listDeliveries",
            "What an endpoint was sent and is to be sent, newest first",
        )
        .query::<DeliveriesQuery>()
        .answers::<Page>(200, "A page of deliveries.")
        .of_something(),
        Operation::post(
            "/admin/v1/webhooks/{id}/replay",
            "replayDeliveries",
            "Sends deliveries again",
        )
        .body_if_any::<Replay>()
        .answers::<Replayed>(200, "How many are sent again.")
        .of_something(),
        Operation::post(
            "/admin/v1/webhooks/{id}/test",
            "testWebhook",
            "Sends a message to try an endpoint out",
        )
        .answers::<Tried>(200, "What came of it, whatever that is.")
        .of_something()
        .refuses(&[&INVALID]),
    ]
}
