//! What is drawn and sent back is what was there.

use serde_json::json;

use super::draw::Kind;
use super::*;
use crate::console::api::Fault;
use crate::console::form::Form;
use crate::console::words::Words;

fn schema() -> Value {
    json!({
        "type": "object", "required": ["limit"], "additionalProperties": false,
        "$defs": {"Per": {"enum": ["campaign", "sku"], "type": "string"}},
        "properties": {
            "limit": {"type": "integer", "description": "How much."},
            "per": {"$ref": "#/$defs/Per", "default": "campaign"},
            "skus": {"type": ["array", "null"], "items": {"type": "string"}},
            "tiers": {"type": "object", "additionalProperties": {"type": "integer"}},
            "groups": {"type": ["object", "null"], "additionalProperties": {"type": "array", "items": {"type": "string"}}},
            "strict": {"type": "boolean"},
            "window": {"anyOf": [{"oneOf": [
                {"type": "object", "required": ["day"], "properties": {"day": {"type": "string"}}},
                {"type": "object", "required": ["rolling"], "properties": {"rolling": {"type": "string"}}},
            ]}, {"type": "null"}]},
            "limits": {"type": "array", "items": {"type": "object", "properties": {"by": {"type": "string"}, "n": {"type": "integer"}}}},
            "odd": {"type": ["string", "integer"], "not": {}},
            "free": true,
        },
    })
}

/// The fields that a node has, as a browser would send them.
fn fields(node: &Node, to: &mut Vec<(String, String)>) {
    match &node.kind {
        Kind::Text { value, .. } | Kind::Number { value } | Kind::Area { value, .. } => {
            to.push((node.name.clone(), value.clone()))
        }
        Kind::Choice(options) => {
            let chosen = options
                .iter()
                .find(|(_, _, is_chosen)| *is_chosen)
                .or(options.first());
            to.extend(chosen.map(|(value, _, _)| (node.name.clone(), value.clone())));
        }
        Kind::Object(nodes) => nodes.iter().for_each(|node| fields(node, to)),
        Kind::Variants { variants, .. } => {
            for variant in variants {
                if variant.is_chosen {
                    to.push((format!("{}#", node.name), variant.index.to_string()));
                }
                fields(&variant.node, to);
            }
        }
        Kind::Items { entries, count } => {
            to.push((format!("{}#", node.name), count.to_string()));
            entries.iter().for_each(|node| fields(node, to));
        }
    }
}

fn drawn(root: &Value, value: &Value, faults: &mut Vec<Fault>) -> Node {
    let words = Words::of(None, None);
    Schema::new(root).node(
        &mut Drawn { words, faults },
        &Place::new("/p"),
        "",
        Some(value),
        true,
    )
}

fn sent(root: &Value, node: &Node) -> Option<Value> {
    let mut all = Vec::new();
    fields(node, &mut all);
    let mut form = Form::default();
    all.into_iter().for_each(|(name, value)| form.set(&name, value));
    Schema::new(root).read(&Place::new("/p"), &form)
}

#[test]
fn what_is_drawn_and_sent_is_what_was_there() {
    let root = schema();
    for params in [
        json!({"limit": 2, "per": "sku"}),
        json!({"limit": 2, "per": "campaign", "skus": ["mug", "tee"], "strict": false}),
        json!({"limit": 2, "per": "sku", "tiers": {"gold": 5, "silver": 2}, "groups": {"tees": ["s", "m"]}}),
        json!({"limit": 2, "per": "sku", "window": {"rolling": "24h"}}),
        json!({"limit": 2, "per": "sku", "window": {"day": "UTC"}, "free": {"a": [1, null]}}),
        json!({"limit": 2, "per": "sku", "limits": [{"by": "ip", "n": 1}, {"by": "user"}]}),
        // What is wrong is not lost: its field has it still.
        json!({"limit": "many", "per": "sku", "tiers": "gold 5"}),
    ] {
        let node = drawn(&root, &params, &mut Vec::new());
        assert_eq!(sent(&root, &node), Some(params));
    }
}

#[test]
fn faults_stand_at_the_deepest_field_that_has_them() {
    let root = schema();
    let fault = |pointer: &str| Fault {
        pointer: pointer.into(),
        detail: "no".into(),
        hint: None,
    };
    let mut faults = vec![
        fault("/p/limit"),
        fault("/p/tiers/gold"),
        fault("/p/limits/0/n"),
        fault("/p/unknown"),
        fault("/elsewhere"),
    ];
    let node = drawn(&root, &json!({"limit": 0, "limits": [{"n": "x"}]}), &mut faults);
    assert_eq!(faults.len(), 1);
    assert_eq!(node.faults[0].pointer, "/p/unknown");
    let Kind::Object(nodes) = &node.kind else {
        panic!("an object")
    };
    let at = |label: &str| {
        nodes
            .iter()
            .find(|node| node.label == label)
            .map_or(0, |node| node.faults.len())
    };
    assert_eq!((at("limit"), at("tiers"), at("limits"), at("per")), (1, 1, 0, 0));
    assert_eq!(nodes[0].label, "limit", "what has to be said comes first");
}
