//! One buyer's data over HTTP, from scripted rules: what is streamed, what is answered, what is refused.

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use rushgate::admin::Buyers;
use rushgate::audit::AskedBy;
use rushgate::control::{self, BuyerLines, ControlError, EraseBody, ErasureView, Operation};
use rushgate::store::BuyerName;
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::fronts::control::{Scripted, start};
use crate::fronts::wire::{call, connect, request, rest};

type Answered<'a, T> = BoxFuture<'a, Result<T, ControlError>>;

fn answered<'a, T: Send + 'a>(result: Result<T, ControlError>) -> Answered<'a, T> {
    std::future::ready(result).boxed()
}

impl Buyers for Scripted {
    fn export_buyer<'a>(&'a self, _: AskedBy<'a>, buyer: BuyerName<'a>) -> Answered<'a, BuyerLines> {
        let user = buyer.user;
        let some = [Ok(vec![json!({"kind": "order", "user": user})]), Ok(vec![])];
        let rest = match user {
            "broken" => Err(ControlError::Unavailable("the database is gone".into())),
            _ => Ok(vec![json!({"kind": "end"})]),
        };
        answered(Ok(stream::iter(some.into_iter().chain([rest])).boxed()))
    }

    fn erase_buyer<'a>(
        &'a self,
        operation: Operation<'a>,
        buyer: BuyerName<'a>,
        body: &'a EraseBody,
        dry_run: bool,
    ) -> Answered<'a, control::Answered> {
        if operation.key.is_none() && !dry_run {
            return answered(Err(ControlError::KeyMissing));
        }
        if operation.key == Some("used") {
            return answered(Err(ControlError::BuyerKeyReused));
        }
        let body = json!({"user": buyer.user, "merchant": buyer.merchant, "lists": body.lists, "note": operation.note, "dry_run": dry_run});
        answered(Ok(control::Answered {
            body: body.to_string(),
            is_replay: operation.key == Some("again"),
            is_proposed: false,
        }))
    }

    fn erasure<'a>(&'a self, buyer: BuyerName<'a>) -> Answered<'a, ErasureView> {
        let user = buyer.user;
        answered(Err(ControlError::Unknown(format!(
            "nobody has asked to erase {user}"
        ))))
    }
}

const ERASE: &str = "/admin/v1/buyers/ada%2F1/erase";
const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn a_buyers_data_is_streamed_to_its_end_or_cut_off() {
    let running = start(None);
    let reply = running.get("/admin/v1/buyers/ada%2F1/data").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(
        reply.header("content-disposition"),
        Some("attachment; filename=\"buyer-data.jsonl\"")
    );
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let text = reply.body.clone();
    assert!(
        text.contains("{\"kind\":\"order\",\"user\":\"ada/1\"}\n") && text.contains("{\"kind\":\"end\"}\n"),
        "{text}"
    );
    // No last line, and no end of the body either.
    let mut stream = connect(running.address).await;
    let asked = request("GET", "/admin/v1/buyers/broken/data", &[], b"");
    stream.write_all(&asked).await.expect("sent");
    let text = String::from_utf8_lossy(&rest(&mut stream).await).into_owned();
    assert!(
        !text.contains("\"end\"") && !text.ends_with("0\r\n\r\n"),
        "{text}"
    );
}

#[tokio::test]
async fn an_erasure_is_asked_for_under_a_key_and_tried_without() {
    let running = start(None);
    let post = async |path: &str, key: Option<&str>, body: &str| {
        let mut headers: Vec<(&str, &str)> = key.iter().map(|key| ("idempotency-key", *key)).collect();
        if !body.is_empty() {
            headers.push(JSON);
        }
        call(running.address, "POST", path, &headers, body.as_bytes()).await
    };
    post(ERASE, None, "").await.problem(400, "idempotency-key");
    post(ERASE, Some("used"), "").await.problem(422, "key-reused");
    let unknown = post(ERASE, Some("k"), r#"{"list":true}"#)
        .await
        .problem(422, "invalid");
    assert_eq!(unknown["pointer"], "/list", "{unknown}");
    post(&format!("{ERASE}?dryrun=true"), Some("k"), "")
        .await
        .problem(400, "malformed");
    let reply = post(ERASE, Some("k"), r#"{"note":"by mail","lists":true}"#).await;
    assert_eq!(reply.status, 202);
    assert_eq!(
        reply.json(),
        json!({"user": "ada/1", "merchant": null, "lists": true, "note": "by mail", "dry_run": false})
    );
    assert_eq!(reply.header("idempotent-replayed"), None);
    let again = post(ERASE, Some("again"), "").await;
    assert_eq!(
        (again.status, again.header("idempotent-replayed")),
        (202, Some("true"))
    );
    let tried = post(&format!("{ERASE}?dry_run=true"), None, "").await;
    assert_eq!((tried.status, &tried.json()["dry_run"]), (200, &json!(true)));
    let none = running
        .get("/admin/v1/buyers/ada/erasure")
        .await
        .problem(404, "unknown");
    assert!(
        none["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("ada")),
        "{none}"
    );
    for place in [
        "buyers/%ff/data",
        "campaigns/%FF",
        "webhooks/%ff",
        "audiences/%ff",
    ] {
        let reply = running.get(&format!("/admin/v1/{place}")).await;
        reply.problem(400, "malformed");
    }
    let method = call(running.address, "DELETE", "/admin/v1/buyers/ada/data", &[], b"").await;
    method.problem(405, "method-not-allowed");
}
