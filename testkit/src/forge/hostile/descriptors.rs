//! Descriptors that are refused: names, schemas, and examples that cannot be or lie.

use serde_json::{Value, json};

use super::super::Forge;
use super::{At, Hostile, forged};

pub fn descriptors() -> Vec<Hostile> {
    let long = "x".repeat(1_000_000);
    let many: Vec<Value> = (0..65)
        .map(|n| json!({"code": format!("r-{n}"), "title": "t"}))
        .collect();
    let reason = |code: &str| json!({"reasons": [{"code": code, "title": "t", "retryable": false}]});
    let claim = |name: &str| json!({"attributes": [{"attribute": {"claim": name}}]});
    let cases = [
        ("an id that closes a Lua string", json!({"id": "x]]--"})),
        ("an id with quotes", json!({"id": "x\" or \"1\"=\"1"})),
        (
            "an id with a line break",
            json!({"id": "x\nredis.call('FLUSHALL')"}),
        ),
        ("an id with a NUL", json!({"id": "x\0y"})),
        (
            "an id with the syntax of keys",
            json!({"id": "rg:{demo.0}:state"}),
        ),
        ("an id that is a path", json!({"id": "../../etc/passwd"})),
        ("no id", json!({"id": ""})),
        ("an id of a megabyte", json!({"id": long})),
        (
            "a version that is SQL",
            json!({"version": "1.0.0'; DROP TABLE orders; --"}),
        ),
        ("a title with a NUL", json!({"title": "x\0y"})),
        ("a title of a megabyte", json!({"title": long})),
        ("a summary that moves the cursor", json!({"summary": "\u{1b}[2J"})),
        ("a reason that closes a Lua string", reason("no]]")),
        ("a reason with a quote", reason("no'")),
        ("a reason of the gateway's own", reason("sold-out")),
        ("the reason for prechecks that failed", reason("precheck-failed")),
        (
            "a reason twice",
            json!({"reasons": [{"code": "no", "title": "t"}, {"code": "no", "title": "t"}]}),
        ),
        ("65 reasons", json!({ "reasons": many })),
        ("an attribute with a NUL", claim("a\0b")),
        ("an attribute without a name", claim("")),
        ("an attribute of a megabyte", claim(&long)),
        (
            "an attribute twice",
            json!({"attributes": [{"attribute": "ip"}, {"attribute": "ip"}]}),
        ),
        (
            "an annotation with a control character",
            json!({"annotations": [["a", "\u{7}"]]}),
        ),
        ("an annotation without a key", json!({"annotations": [["", "b"]]})),
    ];
    cases
        .into_iter()
        .map(|(name, fields)| forged(name, At::Upload("descriptor"), Forge::describing(fields)))
        .collect()
}

pub fn schemas() -> Vec<Hostile> {
    // Each part is twice the next: 2^40 parts when every reference is followed.
    let doubling = (0..40).map(|n| {
        let next = json!({"$ref": format!("#/$defs/d{}", n + 1)});
        (format!("d{n}"), json!({"allOf": [next, next]}))
    });
    let mut defs: serde_json::Map<String, Value> = doubling.collect();
    defs.insert("d40".into(), json!({"type": "string"}));
    let bomb = json!({"$ref": "#/$defs/d0", "$defs": defs}).to_string();
    let deep = (0..200)
        .fold(json!({}), |inner, _| json!({ "not": inner }))
        .to_string();
    let wide = json!({"enum": (0..20_000).collect::<Vec<u32>>()}).to_string();
    let cases = [
        ("a schema that is no JSON", "{".to_owned()),
        ("a schema that is not an object", "7".to_owned()),
        (
            "a schema of an unknown type",
            json!({"type": "nonsense"}).to_string(),
        ),
        ("a schema of 100 KiB", wide),
        ("a schema 200 deep", deep),
        ("a schema of 2^40 parts", bomb),
        ("a schema that refers to itself", json!({"$ref": "#"}).to_string()),
        (
            "a schema that refers to itself by a detour",
            json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"})
                .to_string(),
        ),
        (
            "a schema that reaches into the network",
            json!({"$ref": "http://169.254.169.254/latest/meta-data"}).to_string(),
        ),
        (
            "a schema that reads a file",
            json!({"$ref": "file:///etc/passwd"}).to_string(),
        ),
        (
            "a schema with a dynamic reference",
            json!({"$dynamicRef": "#meta"}).to_string(),
        ),
        (
            "a schema of another draft",
            json!({"$schema": "http://json-schema.org/draft-07/schema#"}).to_string(),
        ),
        (
            "a pattern that grows when it is compiled",
            json!({"pattern": "((a{1000}){1000}){1000}"}).to_string(),
        ),
        (
            "a pattern that looks behind",
            json!({"pattern": "(?<=a)b\\1"}).to_string(),
        ),
    ];
    cases
        .into_iter()
        .map(|(name, schema)| {
            forged(
                name,
                At::Upload("descriptor"),
                Forge::describing(json!({ "params-schema": schema })),
            )
        })
        .collect()
}

/// An example in good order with these fields instead.
fn example(fields: Value, attempt: Value) -> Value {
    let mut one = json!({"user": "ann", "sku": "ticket", "quantity": 1, "expect": "admitted"});
    one.as_object_mut()
        .expect("an object")
        .extend(attempt.as_object().cloned().unwrap_or_default());
    let mut example = json!({
        "name": "one", "params": "{}", "attempts": [one],
        "context": {"campaign": "spring", "opens-at-ms": 1000, "closes-at-ms": 2000, "skus": [{"id": "ticket", "stock": 1}], "contract": "1.0.0"},
    });
    example
        .as_object_mut()
        .expect("an object")
        .extend(fields.as_object().cloned().unwrap_or_default());
    json!({ "examples": [example] })
}

pub fn examples() -> Vec<Hostile> {
    let rejected = |reason: &str| json!({"expect": {"rejected": reason}});
    let attempt = json!({"user": "ann", "sku": "ticket", "quantity": 1});
    let many: Vec<Value> = vec![attempt; 257];
    let cases = [
        (
            "an example without attempts",
            example(json!({"attempts": []}), json!({})),
        ),
        (
            "an example of 257 attempts",
            example(json!({ "attempts": many }), json!({})),
        ),
        (
            "an example whose parameters are no JSON",
            example(json!({"params": "{"}), json!({})),
        ),
        (
            "an example that closes before it opens",
            example(
                json!({"context": {"campaign": "spring", "opens-at-ms": 9, "closes-at-ms": 3, "skus": [{"id": "ticket", "stock": 1}]}}),
                json!({}),
            ),
        ),
        (
            "an example without end of time",
            example(
                json!({"context": {"campaign": "spring", "opens-at-ms": u64::MAX, "closes-at-ms": u64::MAX, "skus": [{"id": "ticket", "stock": 1}]}}),
                json!({}),
            ),
        ),
        (
            "an example whose campaign has the syntax of keys",
            example(
                json!({"context": {"campaign": "x}.0:{y", "closes-at-ms": 9, "skus": [{"id": "ticket", "stock": 1}]}}),
                json!({}),
            ),
        ),
        (
            "an attempt at the end of time",
            example(json!({}), json!({"at-ms": i64::MAX})),
        ),
        (
            "an attempt of no unit",
            example(json!({}), json!({"quantity": 0})),
        ),
        (
            "an attempt of 2^32 units",
            example(json!({}), json!({"quantity": u32::MAX})),
        ),
        (
            "an attempt by a user with a NUL",
            example(json!({}), json!({"user": "a\0b"})),
        ),
        (
            "an attempt with an attribute it does not declare",
            example(json!({}), json!({"attributes": [["ip", "10.0.0.1"]]})),
        ),
        (
            "an attempt that expects a reason it does not declare",
            example(json!({}), rejected("other")),
        ),
    ];
    let refused = cases
        .into_iter()
        .map(|(name, fields)| forged(name, At::Upload("descriptor"), Forge::describing(fields)));
    let lies = [
        (
            "an example that lies about a rejection",
            example(json!({}), rejected("no")),
        ),
        (
            "an example that lies about the stock",
            example(json!({}), rejected("sold-out")),
        ),
    ];
    let lies = lies
        .into_iter()
        .map(|(name, fields)| forged(name, At::Upload("examples"), Forge::describing(fields)));
    refused.chain(lies).collect()
}
