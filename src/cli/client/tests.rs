//! The client against small servers that answer once.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// Answers one request with these bytes, and gives back what was asked.
async fn once(answer: &'static str) -> (String, tokio::task::JoinHandle<String>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        while !request.windows(4).any(|end| end == b"\r\n\r\n") {
            let read = stream.read(&mut buffer).await.expect("a request");
            request.extend_from_slice(&buffer[..read]);
        }
        stream
            .write_all(answer.as_bytes())
            .await
            .expect("the client listens");
        String::from_utf8_lossy(&request).into_owned()
    });
    (url, task)
}

async fn get(client: &Client, path: &str) -> Result<Value, ClientError> {
    let answer = client.send(Method::GET, path, None, Bytes::new()).await?;
    client.read(path, &answer)
}

#[tokio::test]
async fn the_token_goes_along_and_json_comes_back() {
    let (url, asked) = once("HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n{\"a\":1}").await;
    let client = Client::new(&format!("{url}/"), Some("secret".into()), &Trust::default()).expect("a client");
    let found: Value = get(&client, "/campaigns/demo").await.expect("an answer");
    assert_eq!(found, serde_json::json!({"a": 1}));
    let asked = asked.await.expect("asked").to_ascii_lowercase();
    assert!(
        asked.starts_with("get /admin/v1/campaigns/demo http/1.1"),
        "{asked}"
    );
    assert!(asked.contains("authorization: bearer secret"), "{asked}");
}

#[tokio::test]
async fn problems_read_as_sentences() {
    let body = r#"{"type":"/problems/invalid","title":"Invalid request","status":422,"detail":"no","reason":"invalid","retryable":false,"errors":[{"pointer":"/rules/0","detail":"no module \"x\"","hint":"known modules: y"}]}"#;
    let answer = format!("HTTP/1.1 422 x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let (url, _) = once(Box::leak(answer.into_boxed_str())).await;
    let client = Client::new(&url, None, &Trust::default()).expect("a client");
    let json = Some("application/json");
    let error = client.send(Method::POST, "/campaigns", json, "null".into()).await;
    assert_eq!(
        error.expect_err("refused").to_string(),
        "POST /admin/v1/campaigns was refused: Invalid request (422 invalid): no\n  at \"/rules/0\": no module \"x\" \
         (known modules: y)"
    );
}

#[tokio::test]
async fn a_change_goes_under_its_key_and_an_older_control_plane_is_called_so() {
    let body = r#"{"type":"/problems/method-not-allowed","title":"Method not allowed","status":405,"detail":"no","reason":"method-not-allowed"}"#;
    let answer = format!("HTTP/1.1 405 x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let (url, asked) = once(Box::leak(answer.into_boxed_str())).await;
    let client = Client::new(&url, None, &Trust::default()).expect("a client");
    let body = serde_json::json!({"title": "Spring"});
    let error = client
        .change(Method::PATCH, "/campaigns/spring", &body, Some("k-1"))
        .await;
    let error = error.expect_err("older").to_string();
    assert!(
        error.contains("PATCH /admin/v1/campaigns/spring") && error.contains("release"),
        "{error}"
    );
    let asked = asked.await.expect("asked").to_ascii_lowercase();
    assert!(asked.contains("idempotency-key: k-1"), "{asked}");
    let wrong = client.change(Method::PATCH, "/x", &body, Some("a\nb")).await;
    assert!(matches!(wrong, Err(ClientError::Key)));
}

#[tokio::test]
async fn what_is_no_control_plane_is_called_so() {
    let (url, _) = once("HTTP/1.1 404 Not Found\r\ncontent-length: 12\r\n\r\n<h1>hi</h1>\n").await;
    let client = Client::new(&url, None, &Trust::default()).expect("a client");
    let error = get(&client, "/modules").await.expect_err("strange");
    let error = error.to_string();
    assert!(
        error.contains("does not answer like") && error.contains("<h1>hi</h1>"),
        "{error}"
    );
}

#[tokio::test]
async fn a_service_that_is_down_is_named_with_what_to_do() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    drop(listener);
    let client = Client::new(&url, None, &Trust::default()).expect("a client");
    let error = get(&client, "/modules").await.expect_err("down").to_string();
    assert!(
        error.contains(&url) && error.contains("rushgate dev") && error.contains("refused"),
        "{error}"
    );
}

#[test]
fn urls_and_tokens_that_cannot_work_are_refused() {
    for (url, word) in [
        ("127.0.0.1:8081", "http://"),
        ("ftp://gate.example", "scheme"),
        ("http://gate.example/?a=b", "query"),
        ("http://a b", "not a URL"),
    ] {
        let error = Client::new(url, None, &Trust::default())
            .err()
            .expect(url)
            .to_string();
        assert!(error.contains(word), "{error}");
    }
    let held = Client::new("http://me:s3cret@gate.example", None, &Trust::default())
        .err()
        .expect("held")
        .to_string();
    assert!(held.contains("password") && !held.contains("s3cret"), "{held}");
    assert!(matches!(
        Client::new("http://h:1", Some("a\nb".into()), &Trust::default()),
        Err(ClientError::Token)
    ));
}

#[test]
fn files_of_tls_that_nothing_would_look_at_are_refused() {
    let trust = Trust {
        ca: Some("/there/is/none.pem".into()),
        identity: None,
    };
    let refused = |url: &str| Client::new(url, None, &trust).err().expect(url).to_string();
    let unused = refused("http://gate.example");
    assert!(unused.contains("--ca") && unused.contains("https://"), "{unused}");
    let unread = refused("https://gate.example");
    assert!(unread.contains("cannot read /there/is/none.pem"), "{unread}");
}
