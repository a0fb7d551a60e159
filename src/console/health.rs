//! What this gateway leans on and how each stands; and how far landing is behind, where this process lands.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, State};
use axum::response::Response;
use serde_json::json;

use super::Console;
use super::api::{self, Trouble};
use super::page::{self, Frame};
use super::visitor::{Reached, Visitor};
use super::words::{Words, fill, grouped};

/// Names of figures in `/metrics` that say how far a topic's landing is behind, milliseconds.
const LAG: &str = "rushgate_landing_lag_milliseconds{";
/// Figures of what is on its way, as `/metrics` has them.
const ON_THE_WAY: [&str; 2] = ["rushgate_outbox_orders", "rushgate_outbox_oldest_milliseconds"];

struct Leg {
    name: String,
    /// `ok`, `degraded` or `failed`.
    word: &'static str,
    state: &'static str,
    why: String,
}

struct Figure {
    name: String,
    value: String,
}

#[derive(Template)]
#[template(path = "health.html")]
struct HealthPage {
    frame: Frame,
    legs: Vec<Leg>,
    lags: Vec<Figure>,
    on_the_way: Vec<Figure>,
    about: String,
}

/// A line of `/readyz?verbose`: `[+]engine ok`, `[-]engine failed: why`, `[~]bus degraded: why`.
fn leg(words: &Words, line: &str) -> Option<Leg> {
    let rest = line.strip_prefix('[')?;
    let (sign, rest) = rest.split_once(']')?;
    let (name, why) = rest.split_once(' ')?;
    let (word, state) = match sign {
        "+" => ("ok", words.ok),
        "~" => ("degraded", words.degraded),
        _ => ("failed", words.failed),
    };
    Some(Leg {
        name: name.to_owned(),
        word,
        state,
        why: why
            .split_once(": ")
            .map_or_else(String::new, |(_, why)| why.to_owned()),
    })
}

/// The value of a label in `name{a="x",b="y"}`.
fn label<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(&format!("{name}=\""))?;
    rest.split_once('"').map(|(value, _)| value)
}

fn number(line: &str) -> String {
    let value = line
        .rsplit(' ')
        .next()
        .and_then(|value| value.parse::<f64>().ok());
    value.map_or_else(String::new, |value| grouped(value.round() as i64))
}

fn lags(metrics: &str) -> Vec<Figure> {
    let lines = metrics.lines().filter(|line| line.starts_with(LAG));
    lines
        .map(|line| Figure {
            name: label(line, "topic").unwrap_or_default().to_owned(),
            value: format!("{} ms", number(line)),
        })
        .collect()
}

fn on_the_way(metrics: &str) -> Vec<Figure> {
    let of = |name: &&'static str| {
        let line = metrics
            .lines()
            .find(|line| line.split(' ').next() == Some(name))?;
        Some(Figure {
            name: (*name).to_owned(),
            value: number(line),
        })
    };
    ON_THE_WAY.iter().filter_map(of).collect()
}

pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(reached): Extension<Reached>,
) -> Result<Response, Trouble> {
    let words = visitor.look.words;
    let ready = api::text(&console.inside, &visitor.holder, "/readyz?verbose").await;
    let legs: Vec<Leg> = ready.lines().filter_map(|line| leg(words, line)).collect();
    if visitor.as_json {
        let checks = legs.iter();
        let checks = checks.map(|leg| json!({"name": leg.name, "state": leg.word, "detail": leg.why}));
        return Ok(page::json(&json!({"checks": checks.collect::<Vec<_>>()})));
    }
    let metrics = api::text(&console.inside, &visitor.holder, "/metrics").await;
    let frame = Frame {
        curl: format!("curl '{}/readyz?verbose'", reached.origin),
        scope: "campaigns:read",
        ..Frame::of(&visitor, words.health, "health")
    };
    Ok(page::show(&HealthPage {
        frame,
        legs,
        lags: lags(&metrics),
        on_the_way: on_the_way(&metrics),
        about: fill(words.of_this_gateway, &[("version", &env!("CARGO_PKG_VERSION"))]),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_gateway_says_of_itself_is_read() {
        let words = Words::of(Some("en"), None);
        let leg = |line| leg(words, line).map(|leg| (leg.name, leg.word, leg.why));
        assert_eq!(leg("[+]engine ok"), Some(("engine".into(), "ok", String::new())));
        assert_eq!(
            leg("[~]bus degraded: away: refused; orders wait"),
            Some(("bus".into(), "degraded", "away: refused; orders wait".into()))
        );
        assert_eq!(
            leg("[-]store failed: no"),
            Some(("store".into(), "failed", "no".into()))
        );
        assert!(leg("ready").is_none());
        let metrics = "# HELP x\nrushgate_landing_lag_milliseconds{topic=\"rg.orders\"} 1200\nrushgate_outbox_orders 7\n";
        let found = lags(metrics);
        assert_eq!(
            (found[0].name.as_str(), found[0].value.as_str()),
            ("rg.orders", "1,200 ms")
        );
        let found = on_the_way(metrics);
        assert_eq!((found.len(), found[0].value.as_str()), (1, "7"));
    }
}
