//! Keys while they are used: revoked in mid-download, and with a database that says nothing of them.

use std::time::{Duration, Instant};

use rushgate::access::{KeyHead, KeyText, Scope};
use rushgate::store::{ApiKeyRow, new_secret};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::fronts::control::{HELD, start};
use crate::fronts::wire::{call, connect};

/// What the database says of a key; `None`: it does not answer.
fn hold(text: &KeyText, row: Option<ApiKeyRow>) {
    HELD.lock().expect("not poisoned").insert(text.digest(), row);
}

/// A key that may read orders.
fn held(name: &str) -> (KeyText, ApiKeyRow) {
    let text = KeyText::of(&new_secret(), &new_secret());
    let row = ApiKeyRow {
        head: KeyHead {
            id: text.id().to_owned(),
            name: name.to_owned(),
            person: "ada".into(),
            merchant: None,
            scopes: [Scope::OrdersRead].into_iter().collect(),
            expires_at: None,
        },
        created_at: 0,
        created_by: "admin".into(),
        made_with: None,
        revoked_at: None,
        last_used_at: None,
    };
    hold(&text, Some(row.clone()));
    (text, row)
}

#[tokio::test]
async fn a_download_ends_with_the_key_that_it_was_given_to() {
    let running = start(Some("secret"));
    let (text, row) = held("export");
    let path = "/admin/v1/campaigns/long/orders?format=csv";
    let head = format!(
        "GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\r\n",
        text.text()
    );
    let mut stream = connect(running.address).await;
    stream.write_all(head.as_bytes()).await.expect("sent");
    let mut chunk = vec![0; 1 << 16];
    let read = stream.read(&mut chunk).await.expect("an answer");
    assert!(chunk[..read].starts_with(b"HTTP/1.1 200"));
    let revoked = ApiKeyRow {
        revoked_at: Some(1),
        ..row
    };
    hold(&text, Some(revoked));
    let begun = Instant::now();
    // It is cut off: no last chunk says that this was all.
    let mut last = Vec::new();
    loop {
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => break,
            Ok(read) => {
                last.extend_from_slice(&chunk[..read]);
                last.drain(..last.len().saturating_sub(5));
            }
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "it goes on");
    }
    assert_ne!(last, b"0\r\n\r\n");
}

#[tokio::test]
async fn a_database_that_is_away_refuses_keys_and_not_the_root_token() {
    let running = start(Some("secret"));
    let (text, row) = held("away");
    let path = "/admin/v1/campaigns/spring/orders";
    let ask = async |token: &str| {
        let bearer = format!("Bearer {token}");
        call(running.address, "GET", path, &[("authorization", &bearer)], b"").await
    };
    assert_eq!(ask(text.text()).await.status, 200);
    hold(&text, None);
    ask(text.text()).await.problem(503, "unavailable");
    assert_eq!(ask("secret").await.status, 200);
    hold(&text, Some(row));
    assert_eq!(ask(text.text()).await.status, 200);
}
