//! Every answer that a story gets, held against the contract of its plane.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use jsonschema::Validator;

use super::{Contract, Documents, operations};

/// Statuses that any path may have, of a method that it does not take.
const METHOD_NOT_ALLOWED: u16 = 405;

struct Held {
    contracts: [Contract; 2],
    /// (Contract, pattern) of each path.
    patterns: Vec<(usize, String)>,
    validators: Mutex<HashMap<String, Option<Arc<Validator>>>>,
}

static HELD: LazyLock<Held> = LazyLock::new(|| {
    let Documents { orders, admin } = Documents::of_this_build();
    let mut patterns = Vec::new();
    for (number, document) in [&orders, &admin].into_iter().enumerate() {
        let paths = operations(document)
            .into_iter()
            .map(|(_, path, _)| (number, path.to_owned()));
        patterns.extend(paths);
    }
    // The most exact first: `…/orders/events` is no `…/orders/{order}`.
    patterns.sort_by_key(|(_, pattern)| pattern.matches('{').count());
    Held {
        contracts: [Contract::of(orders), Contract::of(admin)],
        patterns,
        validators: Mutex::default(),
    }
});

fn fits(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<_>, Vec<_>) = (pattern.split('/').collect(), path.split('/').collect());
    let same =
        |(pattern, path): (&&str, &&str)| pattern == path || (pattern.starts_with('{') && !path.is_empty());
    pattern.len() == path.len() && pattern.iter().zip(&path).all(same)
}

/// Asked for by the environment variable `HOLD_CONTRACT`.
///
/// # Panics
/// Where an answer has a status, a media type or a member that its contract does not describe.
pub fn hold(method: &str, path: &str, status: u16, content_type: &str, body: &[u8]) {
    if std::env::var_os("HOLD_CONTRACT").is_none() {
        return;
    }
    if status == METHOD_NOT_ALLOWED || !matches!(method, "GET" | "POST" | "PUT" | "PATCH" | "DELETE") {
        return;
    }
    let held = &*HELD;
    let Some((number, pattern)) = held.patterns.iter().find(|(_, pattern)| fits(pattern, path)) else {
        return;
    };
    let contract = &held.contracts[*number];
    if contract.operation(method, pattern).is_none() {
        return;
    }
    let key = format!("{number} {method} {pattern} {status} {content_type}");
    let known = held
        .validators
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get(&key)
        .cloned();
    let validator = known.unwrap_or_else(|| {
        let made = contract
            .validator(method, pattern, status, content_type)
            .unwrap_or_else(|wrong| panic!("{wrong}: {}", String::from_utf8_lossy(body)))
            .map(Arc::new);
        let mut validators = held.validators.lock().unwrap_or_else(PoisonError::into_inner);
        validators.insert(key, made.clone());
        made
    });
    if let Some(validator) = validator {
        let body: serde_json::Value = serde_json::from_slice(body).expect("JSON, as its media type says");
        let errors: Vec<String> = validator
            .iter_errors(&body)
            .map(|error| format!("{error} at {}", error.instance_path()))
            .collect();
        assert!(
            errors.is_empty(),
            "{method} {pattern} {status} is not as the contract says: {errors:?} in {body}"
        );
    }
}
