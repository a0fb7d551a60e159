//! The clients in `examples/` place one order and see it land, whatever happens to their requests on the way.

use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::stories::gate::Gate;

/// Program, and the client it runs.
const CLIENTS: [(&str, &str); 3] = [
    ("sh", "examples/order.sh"),
    ("node", "examples/order.mjs"),
    ("python3", "examples/order.py"),
];
const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: 1\r\n\
     content-length: 73\r\nconnection: close\r\n\r\n{\"status\":503,\"reason\":\"gate-closed\",\"detail\":\"closed\",\"retryable\": true}";

async fn run(program: &str, args: &[&str]) -> Output {
    let mut command = Command::new(program);
    command
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null());
    let ran = tokio::task::spawn_blocking(move || command.output())
        .await
        .expect("no panic");
    ran.unwrap_or_else(|error| {
        panic!(
            "{program} cannot be run ({error}): install curl, node 20 and python3, which the examples need"
        )
    })
}

/// What a client printed behind a word, as JSON.
#[track_caller]
fn told(output: &Output, word: &str) -> Value {
    let said = String::from_utf8_lossy(&output.stdout);
    let line = said.lines().find_map(|line| line.strip_prefix(word));
    let line =
        line.unwrap_or_else(|| panic!("no {word} in {said}{}", String::from_utf8_lossy(&output.stderr)));
    serde_json::from_str(line).expect("JSON")
}

/// Stands in front of a gateway. Of the first connection it loses the answer, so that the order is placed and nobody knows; the second
/// one is refused for a second; all others go through.
async fn lossy(gateway: String) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.expect("accepted");
            let number = counted.fetch_add(1, Ordering::SeqCst);
            let address = gateway.trim_start_matches("http://").to_owned();
            tokio::spawn(async move {
                let mut server = TcpStream::connect(address).await.expect("the gateway is there");
                match number {
                    0 => lose(&mut client, &mut server).await,
                    1 => {
                        request(&mut client).await;
                        client.write_all(BUSY.as_bytes()).await.expect("answered");
                    }
                    // Whoever goes first is no concern of ours.
                    _ => drop(copy_bidirectional(&mut client, &mut server).await),
                }
            });
        }
    });
    (url, connections)
}

/// A whole request with a body of JSON.
async fn request(client: &mut TcpStream) -> Vec<u8> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    while !bytes.ends_with(b"}") {
        let read = client.read(&mut buffer).await.expect("a request");
        assert!(read > 0, "{}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&buffer[..read]);
    }
    bytes
}

/// Passes a request on, waits for its answer, and lets nobody see it.
async fn lose(client: &mut TcpStream, server: &mut TcpStream) {
    let bytes = request(client).await;
    server.write_all(&bytes).await.expect("passed on");
    let mut answer = [0; 4096];
    let read = server.read(&mut answer).await.expect("an answer");
    assert!(
        answer[..read].starts_with(b"HTTP/1.1 202"),
        "{}",
        String::from_utf8_lossy(&answer[..read])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_client_gets_one_order_through_a_bad_line() {
    let gate = Gate::dev().await;
    gate.create(
        "spring",
        10,
        json!([{"module": "n-per-user", "params": {"limit": 1}}]),
    )
    .await;
    for (program, client) in CLIENTS {
        let (url, connections) = lossy(gate.orders.clone()).await;
        let token = format!("dev:{program}");
        let output = run(program, &[client, &url, "spring", "mug", &token, "cart-1"]).await;
        assert!(
            output.status.success(),
            "{client}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let (taken, settled) = (told(&output, "taken: "), told(&output, "settled: "));
        assert_eq!(
            (&settled["state"], &settled["order"]),
            (&json!("confirmed"), &taken["order"]),
            "{client}"
        );
        assert!(connections.load(Ordering::SeqCst) >= 3, "{client}");
        // The same key tomorrow, on a good line.
        let again = run(
            program,
            &[client, &gate.orders, "spring", "mug", &token, "cart-1"],
        )
        .await;
        assert_eq!(told(&again, "settled: ")["order"], taken["order"], "{client}");
    }
    assert_eq!(gate.figures("spring").await["skus"][0]["admitted"], CLIENTS.len());
}

#[tokio::test]
async fn each_client_says_what_was_refused_and_how_it_is_used() {
    let gate = Gate::dev().await;
    for (program, client) in CLIENTS {
        let ask = async |args: &[&str]| run(program, &[&[client], args].concat()).await;
        let refused = ask(&[&gate.orders, "demo", "nothing", "dev:ada"]).await;
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{client}: {said}");
        assert!(
            said.starts_with("404 unknown-sku: ") && said.len() > 20,
            "{client}: {said}"
        );
        let usage = ask(&["http://127.0.0.1:1"]).await;
        assert_eq!(usage.status.code(), Some(2), "{client}");
        assert!(
            String::from_utf8_lossy(&usage.stderr).starts_with("usage: "),
            "{client}"
        );
    }
}

/// Places an order and follows it to its end, lists the orders of its buyer and the sales that are on.
const LIVE: &str = r#"
import { Rushgate } from "./clients/js/index.js";
const [url, token] = process.argv.slice(-2);
const gate = new Rushgate({ url, token: async () => token });
const placed = await gate.place("spring", { sku: "mug", quantity: 1 });
const states = [];
for await (const order of gate.follow("spring", placed.order)) states.push(order.state);
const mine = [];
for await (const { order } of gate.orders({ campaign: "spring" })) mine.push(order);
const on = [];
for await (const { campaign } of gate.campaigns()) on.push(campaign);
const refused = await gate.place("spring", { sku: "mug", quantity: 1 }).catch((error) => error);
console.log("told: " + JSON.stringify({ order: placed.order, last: states.at(-1), mine, on, reason: refused.reason }));
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_for_browsers_follows_an_order_to_its_end() {
    let gate = Gate::dev().await;
    gate.create(
        "spring",
        10,
        json!([{"module": "n-per-user", "params": {"limit": 1}}]),
    )
    .await;
    let args = ["--input-type=module", "--eval", LIVE, &gate.orders, "dev:ada"];
    let output = run("node", &args).await;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let told = told(&output, "told: ");
    assert_eq!(told["last"], "confirmed", "{told}");
    assert_eq!(told["mine"], json!([told["order"]]), "{told}");
    let on = told["on"].as_array().expect("sales");
    assert!(on.contains(&json!("spring")), "{told}");
    assert_eq!(told["reason"], "limit-per-user", "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_for_browsers_passes_its_own_tests() {
    let output = run("node", &["--test", "clients/js/test/"]).await;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}
