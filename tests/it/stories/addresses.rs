//! Buyers behind proxies: a limit per address counts them, and not the proxy.

use serde_json::json;

use crate::stories::gate::Gate;

/// One order per address, behind a proxy that writes `header`.
async fn gate(folder: &tempfile::TempDir, header: &str) -> Gate {
    let config = folder.path().join("rushgate.toml");
    let text = format!("[gateway]\nproxies = \"127.0.0.0/8,::1\"\nclient_ip_header = \"{header}\"\n");
    std::fs::write(&config, text).expect("written");
    let gate = Gate::dev_with(&config).await;
    let rules = json!([{"module": "per-subject", "params": {"limits": [{"by": ["ip"], "limit": 1}]}}]);
    gate.create("spring", 100, rules).await;
    gate
}

#[tokio::test]
async fn every_buyer_behind_a_proxy_has_an_address() {
    let folder = tempfile::tempdir().expect("a folder");
    let gate = gate(&folder, "X-Forwarded-For").await;
    let mut buyers = 0;
    for (value, status) in [
        ("203.0.113.5:4711", 202),
        ("203.0.113.5", 409),
        ("6.6.6.6, \"203.0.113.5:1\", 127.0.0.9:80", 409),
        ("203.0.113.6:4711", 202),
        // Whoever has an address of version 6 has its /64.
        ("[2001:db8:1:2::1]:443", 202),
        ("2001:db8:1:2:ffff::9", 409),
        ("[2001:db8:1:3::1]", 202),
        ("::ffff:203.0.113.6", 409),
    ] {
        buyers += 1;
        let headers = [("x-forwarded-for", value)];
        let order = json!({"sku": "mug", "quantity": 1});
        let reply = gate
            .place_in("spring", &format!("buyer{buyers}"), &headers, order)
            .await;
        assert_eq!(reply.status, status, "{value}: {}", reply.text());
    }
}

#[tokio::test]
async fn the_header_is_the_one_that_the_proxy_sends() {
    for (header, one, other) in [
        (
            "Forwarded",
            "for=\"[2001:db8::1]:443\";proto=https",
            "for=203.0.113.5:80",
        ),
        ("CF-Connecting-IP", "2001:db8::1", "203.0.113.5"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let gate = gate(&folder, header).await;
        for (buyer, value, status) in [("ada", one, 202), ("bob", other, 202), ("eve", one, 409)] {
            // A client's own word is no proxy's.
            let headers = [(header, value), ("x-forwarded-for", "9.9.9.9")];
            let order = json!({"sku": "mug", "quantity": 1});
            let reply = gate.place_in("spring", buyer, &headers, order).await;
            assert_eq!(reply.status, status, "{header}: {value}: {}", reply.text());
        }
    }
}
