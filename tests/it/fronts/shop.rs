//! The files of the demo shop: whoever has it serves them under a strict policy, and nobody else knows of them.

use rushgate::gateway::Config;

use crate::fronts::stage::Running;
use crate::fronts::wire::call;

const FILES: [(&str, &str); 4] = [
    ("/shop", "text/html; charset=utf-8"),
    ("/shop/shop.js", "text/javascript; charset=utf-8"),
    ("/shop/shop.css", "text/css; charset=utf-8"),
    ("/shop/client/index.js", "text/javascript; charset=utf-8"),
];

#[tokio::test]
async fn it_is_served_under_a_strict_policy() {
    let running = Running::with(Config {
        shop: true,
        ..Config::default()
    });
    for (path, kind) in FILES {
        let file = call(running.address, "GET", path, &[], b"").await;
        assert_eq!(
            (file.status, file.header("content-type")),
            (200, Some(kind)),
            "{path}"
        );
        assert_eq!(file.header("x-content-type-options"), Some("nosniff"));
        let policy = file.header("content-security-policy").expect("a policy");
        assert!(
            policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert!(policy.ends_with("connect-src 'self'"), "{policy}");
        let head = call(running.address, "HEAD", path, &[], b"").await;
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
        let post = call(running.address, "POST", path, &[], b"").await;
        post.problem(405, "method-not-allowed");
        assert_eq!(post.header("allow"), Some("GET, HEAD"));
        call(running.address, "GET", &format!("{path}/"), &[], b"")
            .await
            .problem(404, "not-found");
        call(running.address, "GET", &format!("{path}?limits=1"), &[], b"")
            .await
            .problem(400, "malformed");
    }
    let elsewhere = "/shop?gateway=http%3A%2F%2F127.0.0.1%3A9000%2F";
    let page = call(running.address, "GET", elsewhere, &[], b"").await;
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(
        policy.ends_with("connect-src 'self' http://127.0.0.1:9000"),
        "{policy}"
    );
}

#[tokio::test]
async fn a_gateway_that_sells_has_none() {
    let running = Running::start();
    for (path, _) in FILES {
        call(running.address, "GET", path, &[], b"")
            .await
            .problem(404, "not-found");
    }
}
