//! Tests of order ids and of the event's kept form.

use super::*;

/// Kept as written by version 1; events like it may wait in Kafka for as long as the topic keeps them.
const EVENT_V1: &[u8] = include_bytes!("../../tests/fixtures/event-v1.json");

fn event() -> OrderEvent {
    OrderEvent {
        v: 1,
        order: "4c0e1b5f7d3a8f2e9b6a1c2d3e4f5061".parse().expect("an id"),
        campaign: "spring-sale".into(),
        shard: 0,
        sku: "shirt".into(),
        user: "ann \"ü\" 1".into(),
        quantity: 2,
        revision: 7,
        plan: "be0cd00825fbaca7f49f6c5018ac7272cc882e8d4e89b8485075e7f075928998".into(),
        modules: vec!["0b1c2d3e4f506172839405162738495a6b7c8d9e0f1a2b3c4d5e6f7081920314".into()],
        placed_at: 1_774_699_200_123,
        fingerprint: "00ff00ff00ff00ff".into(),
        charges: vec![
            Charge {
                counter: "n-per-user/units".into(),
                window: 0,
                rolling_ms: 0,
                subject: "ann \"ü\" 1".into(),
                cost: 2,
                limit: None,
            },
            Charge {
                counter: "cooldown/orders".into(),
                window: 1_774_699_200_123,
                rolling_ms: 30_000,
                subject: "d1".into(),
                cost: 1,
                limit: None,
            },
        ],
        attributes: BTreeMap::from([("client:device".into(), "d1".into())]),
        ordinal: None,
    }
}

#[test]
fn the_kept_event_is_read_and_written_the_same() {
    assert_eq!(OrderEvent::decode(EVENT_V1).expect("version 1"), event());
    let kept: serde_json::Value = serde_json::from_slice(EVENT_V1).expect("JSON");
    let written: serde_json::Value = serde_json::from_slice(&event().encode()).expect("JSON");
    assert_eq!(written, kept);
}

#[test]
fn what_a_later_build_adds_is_passed_over() {
    let mut later: serde_json::Value = serde_json::from_slice(EVENT_V1).expect("JSON");
    later["channel"] = "app".into();
    assert_eq!(
        OrderEvent::decode(later.to_string().as_bytes()).expect("version 1"),
        event()
    );
}

#[test]
fn another_version_is_named() {
    for version in [0, 2, 4_294_967_297_u64] {
        let text = format!("{{\"v\":{version},\"anything\":[]}}");
        match OrderEvent::decode(text.as_bytes()) {
            Err(EventError::Version(found)) => assert_eq!(found, version),
            other => panic!("{version}: {other:?}"),
        }
    }
}

#[test]
fn garbage_is_not_an_event() {
    let half = &EVENT_V1[..EVENT_V1.len() / 2];
    let no_order = br#"{"v":1,"campaign":"spring-sale"}"#;
    let upper = EVENT_V1.to_ascii_uppercase();
    let cases: [&[u8]; 9] = [
        b"",
        b"\0",
        b"null",
        b"[]",
        b"{}",
        b"{\"v\":-1}",
        half,
        no_order,
        &upper,
    ];
    for bytes in cases {
        let error = OrderEvent::decode(bytes).expect_err("refused");
        assert!(matches!(error, EventError::Json(_)), "{error}");
    }
    let event: serde_json::Value = serde_json::from_slice(EVENT_V1).expect("JSON");
    let fields = "v order campaign shard sku user quantity revision plan modules placed_at fingerprint charges attributes";
    let values: Vec<_> = fields.split(' ').map(|field| event[field].clone()).collect();
    let array = serde_json::to_vec(&values).expect("JSON");
    assert!(matches!(OrderEvent::decode(&array), Err(EventError::Json(_))));
    let bad_id = String::from_utf8_lossy(EVENT_V1).replace("4c0e1b5f", "4C0E1B5F");
    assert!(matches!(
        OrderEvent::decode(bad_id.as_bytes()),
        Err(EventError::Json(_))
    ));
}

#[test]
fn a_key_names_one_order_and_parts_never_run_together() {
    let keyed = OrderId::keyed;
    assert_eq!(keyed("sale", "ann", "k"), keyed("sale", "ann", "k"));
    assert_ne!(keyed("sale", "ann", "k"), keyed("sale", "an", "nk"));
    assert_ne!(keyed("sale", "ann", "k"), keyed("sale", "Ann", "k"));
    assert_eq!(
        keyed("sale", "ann", "k").to_string().parse(),
        Ok(keyed("sale", "ann", "k"))
    );
    for wrong in [
        "",
        "4C0E1B5F7D3A8F2E9B6A1C2D3E4F5061",
        "4c0e1b5f-7d3a-8f2e-9b6a-1c2d3e4f5061",
    ] {
        assert_eq!(wrong.parse::<OrderId>(), Err(OrderIdError));
    }
}

#[test]
fn a_retry_asks_for_the_same_sku_and_quantity() {
    let attempt = |sku: &str, quantity| Attempt {
        order: OrderId::keyed("sale", "ann", "k"),
        user: "ann".into(),
        sku: sku.into(),
        quantity,
        attributes: BTreeMap::new(),
    };
    assert_eq!(attempt("a", 1).fingerprint(), attempt("a", 1).fingerprint());
    assert_ne!(attempt("a", 1).fingerprint(), attempt("a", 2).fingerprint());
    assert_ne!(attempt("a", 1).fingerprint(), attempt("b", 1).fingerprint());
}

#[test]
fn a_body_is_what_was_sent_whatever_its_order_and_no_other() {
    let one = [("device", "d1"), ("shop", "web")];
    let print = |quantity, attributes: &[(&'static str, &'static str)]| {
        body_fingerprint("mug", quantity, attributes.iter().copied())
    };
    let first = print(1, &one);
    assert_eq!(first, print(1, &[one[1], one[0]]));
    for other in [
        print(2, &one),
        print(1, &[]),
        print(1, &one[..1]),
        print(1, &[("device", "web"), ("shop", "d1")]),
        print(1, &[("device", "d1shop"), ("web", "")]),
        body_fingerprint("mug2", 1, one),
    ] {
        assert_ne!(first, other);
    }
    assert!(may_be_same_body(Some(&first), Some(&first)) && may_be_same_body(None, Some(&first)));
    assert!(!may_be_same_body(Some(&first), Some("")));
}

#[test]
fn arrays_are_arrays_in_what_is_sent_and_shown() {
    let attributes = [
        ("claim:groups", "\u{1f}staff\u{1f}gold"),
        ("claim:roles", "\u{1f}"),
        ("claim:tier", "gold"),
    ];
    let event = OrderEvent {
        attributes: attributes
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ..event()
    };
    let json: serde_json::Value = serde_json::from_slice(&event.encode()).expect("JSON");
    let expected =
        serde_json::json!({"claim:groups": ["staff", "gold"], "claim:roles": [], "claim:tier": "gold"});
    assert_eq!(json["attributes"], expected);
    assert_eq!(OrderEvent::decode(&event.encode()).expect("an event"), event);
}
