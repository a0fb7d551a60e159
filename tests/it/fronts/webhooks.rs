//! A control plane of a deployment that has no webhooks, and what it says of wrong requests about them.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rushgate::admin::Webhooks;
use rushgate::audit::AskedBy;
use rushgate::store::{DeliveryPlace, DeliveryRow, DeliveryState};
use rushgate::webhooks::{
    NewWebhook, Replay, Replayed, Rotated, Rotation, Tried, WebhookChange, WebhookError, WebhookView,
};
use serde_json::Value;

use crate::fronts::control::start;
use crate::fronts::wire::call;

type Done<'a, T> = BoxFuture<'a, Result<T, WebhookError>>;

pub struct NoWebhooks;

fn none<'a, T: Send + 'a>(id: &str) -> Done<'a, T> {
    let error = WebhookError::Unknown(format!("there is no webhook {id:?}"));
    std::future::ready(Err(error)).boxed()
}

impl Webhooks for NoWebhooks {
    fn create<'a>(&'a self, _: AskedBy<'a>, _: Option<&'a str>, _: NewWebhook) -> Done<'a, (Value, bool)> {
        let full = WebhookError::Conflict("there are as many as there may be".to_owned());
        std::future::ready(Err(full)).boxed()
    }

    fn list<'a>(&'a self, _: Option<&'a str>) -> Done<'a, Vec<WebhookView>> {
        std::future::ready(Ok(Vec::new())).boxed()
    }

    fn show<'a>(&'a self, id: &'a str) -> Done<'a, (WebhookView, String)> {
        none(id)
    }

    fn change<'a>(
        &'a self,
        _: AskedBy<'a>,
        id: &'a str,
        _: WebhookChange,
    ) -> Done<'a, (WebhookView, String)> {
        none(id)
    }

    fn rotate<'a>(&'a self, _: AskedBy<'a>, id: &'a str, _: Rotation) -> Done<'a, Rotated> {
        none(id)
    }

    fn remove<'a>(&'a self, _: AskedBy<'a>, id: &'a str) -> Done<'a, ()> {
        none(id)
    }

    fn deliveries<'a>(
        &'a self,
        id: &'a str,
        _: Option<DeliveryState>,
        _: Option<&'a DeliveryPlace>,
        _: u32,
    ) -> Done<'a, Vec<DeliveryRow>> {
        none(id)
    }

    fn replay<'a>(&'a self, _: AskedBy<'a>, id: &'a str, _: Replay) -> Done<'a, Replayed> {
        none(id)
    }

    fn test<'a>(&'a self, _: AskedBy<'a>, id: &'a str) -> Done<'a, Tried> {
        none(id)
    }
}

#[tokio::test]
async fn wrong_requests_about_webhooks_say_what_is_wrong() {
    let plane = start(None);
    let json = [("content-type", "application/json")];
    let ask = async |method: &str, path: &str, body: &str| {
        let headers: &[(&str, &str)] = if body.is_empty() { &[] } else { &json };
        let path = format!("/admin/v1/webhooks{path}");
        call(plane.address, method, &path, headers, body.as_bytes()).await
    };
    for (method, path, body, status, said) in [
        ("GET", "", "", 200, "{\"webhooks\":[]}"),
        (
            "POST",
            "",
            r#"{"url":"https://a.example/"}"#,
            409,
            "as many as there may be",
        ),
        (
            "POST",
            "",
            r#"{"url":"https://a.example/","secret":"mine"}"#,
            422,
            "/secret",
        ),
        ("POST", "", "{}", 422, "/url"),
        ("PATCH", "/0a", r#"{"campaign":"spring"}"#, 422, "/campaign"),
        ("PATCH", "/0a", r#"{"disabled":"yes"}"#, 422, "/disabled"),
        ("GET", "/0a", "", 404, "no webhook"),
        ("DELETE", "/0a", "", 404, "no webhook"),
        ("POST", "/0a/secret", "", 404, "no webhook"),
        ("POST", "/0a/secret", r#"{"keep_hours":-1}"#, 422, "/keep_hours"),
        ("POST", "/0a/replay", r#"{"from":"today"}"#, 422, "/from"),
        ("POST", "/0a/test", "", 404, "no webhook"),
        (
            "GET",
            "/0a/deliveries?state=lost",
            "",
            400,
            "waiting, delivered, failed",
        ),
        (
            "GET",
            "/0a/deliveries?before=1",
            "",
            400,
            "next of the page before",
        ),
        ("GET", "/0a/deliveries?limit=1000", "", 400, "1 to 100"),
        ("PUT", "/0a", "{}", 405, "does not take PUT"),
    ] {
        let reply = ask(method, path, body).await;
        let text = reply.body;
        assert_eq!(reply.status, status, "{method} {path} {body}: {text}");
        assert!(text.contains(said), "{method} {path} {body}: {text}");
    }
}
