//! All sales: their state in words, what is left, how fast they sell, and what happens next.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, State};
use axum::response::Response;
use futures_util::{StreamExt, stream as futures};
use jiff::Timestamp;

use super::Console;
use super::api::{Ask, Trouble, ask, segment};
use super::figures::{Campaign, Campaigns};
use super::form::Form;
use super::look::Look;
use super::page::{self, Frame};
use super::stream::stream;
use super::visitor::{Reached, Visitor};
use super::words::{Words, fill, grouped};

/// What a key needs for it.
const SCOPE: &str = "campaigns:read";
/// Sales of a page.
const PAGE: usize = 25;
/// Sales that are asked for at a time.
const AT_ONCE: usize = 8;
/// SKUs of a sale that have a bar of their own in the list.
const BARS_MAX: usize = 4;

/// A bar of units: sold and in the database, admitted and on the way there, left.
pub(super) struct Bar {
    pub(super) sku: String,
    pub(super) text: String,
    /// Hundredths of the bar.
    pub(super) landed: String,
    pub(super) admitted: String,
    pub(super) is_empty: bool,
}

impl Bar {
    pub(super) fn of(words: &Words, sku: &str, stock: u64, left: i64, landed: i64) -> Self {
        let part = |units: i64| {
            format!(
                "{:.2}",
                (units.max(0) as f64 * 100.0 / stock.max(1) as f64).min(100.0)
            )
        };
        let left = left.max(0);
        Self {
            sku: sku.to_owned(),
            text: fill(
                words.left_of,
                &[("left", &grouped(left)), ("stock", &grouped(stock))],
            ),
            landed: part(landed),
            admitted: part(stock as i64 - left),
            is_empty: left == 0,
        }
    }
}

/// A sale's line.
struct Line {
    href: String,
    id: String,
    title: String,
    word: String,
    state: &'static str,
    bars: Vec<Bar>,
    more: String,
    speed: String,
    admitted: String,
    rejected: String,
    next: String,
}

impl Line {
    fn of(words: &'static Words, look: &Look) -> Self {
        let campaign = &look.campaign;
        let bars = campaign.skus.iter().take(BARS_MAX);
        let bars = bars.map(|sku| Bar::of(words, &sku.id, sku.stock, sku.remaining, sku.landed));
        let others = campaign.skus.len().saturating_sub(BARS_MAX);
        Self {
            href: page::sale_path(&campaign.id),
            id: campaign.id.clone(),
            title: campaign.title.clone(),
            word: campaign.word().to_owned(),
            state: words.sale_state(campaign.word()),
            bars: bars.collect(),
            more: match others {
                0 => String::new(),
                others => fill(words.more_skus, &[("n", &others)]),
            },
            speed: speed(words, look.speed),
            admitted: grouped(campaign.admitted()),
            rejected: grouped(campaign.rejected()),
            next: next_event(words, campaign, look.at),
        }
    }
}

/// The part of the page that goes on by itself.
#[derive(Template)]
#[template(path = "sales_part.html")]
struct SalesPart {
    t: &'static Words,
    lines: Vec<Line>,
    /// How old the oldest figure is, milliseconds.
    age_ms: u128,
    /// A command that makes a sale, where there is none.
    first: String,
    older: Option<String>,
    is_first: bool,
}

#[derive(Template)]
#[template(path = "sales.html")]
struct SalesPage {
    frame: Frame,
    part: SalesPart,
    stream: String,
}

/// So many a second.
pub(super) fn speed(words: &Words, speed: Option<f64>) -> String {
    speed.map_or_else(
        || "–".to_owned(),
        |speed| fill(words.per_second, &[("n", &grouped(speed.round() as i64))]),
    )
}

/// What happens next by itself, and when.
pub(super) fn next_event(words: &Words, campaign: &Campaign, now: i64) -> String {
    let until = |at: Timestamp| at.as_millisecond() - now;
    let said = |text: &str, at: Timestamp| fill(text, &[("span", &words.span(until(at)))]);
    let is_over = matches!(campaign.state.as_str(), "closed" | "archived");
    if is_over {
        return said(words.closed_ago, campaign.closes_at);
    }
    let mut events: Vec<(i64, String)> = Vec::new();
    match &campaign.paused {
        Some(paused) => match paused.resume_at {
            Some(at) => events.push((until(at), said(words.resumes_in, at))),
            None => return words.paused_until_resumed.to_owned(),
        },
        None if until(campaign.opens_at) > 0 => {
            events.push((until(campaign.opens_at), said(words.opens_in, campaign.opens_at)));
        }
        None => {}
    }
    events.push((
        until(campaign.closes_at),
        said(words.closes_in, campaign.closes_at),
    ));
    let waiting = campaign.scheduled.iter().filter(|change| change.failed.is_none());
    events.extend(waiting.map(|change| {
        let span = words.span(until(change.at));
        let text = match change.revision {
            Some(n) => fill(words.activates_in, &[("n", &n), ("span", &span)]),
            None => fill(words.pauses_in, &[("span", &span)]),
        };
        (until(change.at), text)
    }));
    let first = events.into_iter().filter(|(until, _)| *until >= 0);
    first
        .min_by_key(|(until, _)| *until)
        .map_or_else(String::new, |(_, text)| text)
}

fn asked(before: Option<&str>) -> Ask {
    let before = before.map_or_else(String::new, |id| format!("&before={}", segment(id)));
    Ask::get(format!("/campaigns?limit={PAGE}{before}"))
}

/// The page's sales as they stand.
async fn part(
    console: &Console,
    visitor: &Visitor,
    before: Option<&str>,
    origin: &str,
) -> Result<SalesPart, Trouble> {
    let words = visitor.look.words;
    let listed: Campaigns = ask(&console.inside, &visitor.holder, &asked(before)).await?;
    let looks = futures::iter(listed.campaigns)
        .map(|listed| async move {
            console
                .looks
                .look(&console.inside, &visitor.holder, &listed.id)
                .await
        })
        .buffered(AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    // One that was removed meanwhile is not there any more.
    let looks: Vec<_> = looks
        .into_iter()
        .filter(|look| !matches!(look, Err(gone) if gone.status == 404))
        .collect();
    let looks = looks.into_iter().collect::<Result<Vec<_>, _>>()?;
    let older = listed.next.map(|id| format!("/console?before={}", segment(&id)));
    Ok(SalesPart {
        t: words,
        age_ms: looks.iter().map(|look| look.age_ms()).max().unwrap_or(0),
        lines: looks.iter().map(|look| Line::of(words, look)).collect(),
        first: first(origin, visitor.session.is_some()),
        older,
        is_first: before.is_none(),
    })
}

/// A command that makes a sale that is open.
fn first(origin: &str, with_token: bool) -> String {
    let hour = jiff::SignedDuration::from_hours(1);
    let opens = Timestamp::now();
    let body = serde_json::json!({
        "id": "spring", "title": "Spring sale", "opens_at": format!("{opens:.0}"), "closes_at": format!("{:.0}", opens + hour * 48),
        "skus": [{"id": "mug", "stock": 100}], "rules": [{"module": "n-per-user", "params": {"limit": 2}}],
    });
    Ask::send(axum::http::Method::POST, "/campaigns", body).curl(origin, with_token)
}

pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(reached): Extension<Reached>,
    Extension(query): Extension<Form>,
) -> Result<Response, Trouble> {
    let before = query.get("before");
    let asked = asked(before);
    if let Some(json) = page::as_json(&console, &visitor, &asked).await? {
        return Ok(json);
    }
    let part = part(&console, &visitor, before, &reached.origin).await?;
    let frame = Frame::of(&visitor, visitor.look.words.sales, "sales").asking(&asked, &reached, SCOPE);
    let stream = match before {
        Some(before) => format!("/console/live?before={}", segment(before)),
        None => "/console/live".to_owned(),
    };
    Ok(page::show(&SalesPage { frame, part, stream }))
}

/// The same page's sales, once a second.
pub(super) async fn live(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(reached): Extension<Reached>,
    Extension(query): Extension<Form>,
) -> Response {
    let before = query.get("before").map(str::to_owned);
    stream(console, visitor, move |console, visitor| {
        let (before, origin) = (before.clone(), reached.origin.clone());
        async move {
            let part = part(&console, &visitor, before.as_deref(), &origin).await;
            part.ok().and_then(|part| part.render().ok())
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_happens_next_is_the_first_that_does() {
        let words = Words::of(Some("en"), None);
        let at = |seconds: i64| Timestamp::from_second(1_800_000_000 + seconds).expect("a time");
        let campaign = |more: serde_json::Value| -> Campaign {
            let mut all = json!({
                "id": "a", "title": "A", "revision": 1, "state": "open", "opens_at": at(-60), "closes_at": at(7200),
                "rejected": {}, "orders_to_kafka": 0, "units_to_database": 0, "redis_whole": true, "skus": [],
            });
            let more = more.as_object().expect("an object").clone();
            all.as_object_mut().expect("an object").extend(more);
            serde_json::from_value(all).expect("a campaign")
        };
        let change = |at: Timestamp, revision: Option<u32>| json!({"id": "c", "change": "x", "at": at, "revision": revision, "by": "ann"});
        for (more, said) in [
            (json!({}), "closes in 2 h 0 min"),
            (json!({"opens_at": at(90)}), "opens in 1 min 30 s"),
            (json!({"paused": {}}), "until somebody resumes it"),
            (json!({"paused": {"resume_at": at(5)}}), "resumes in 5 s"),
            (
                json!({"scheduled": [change(at(60), Some(3)), change(at(30), None)]}),
                "pauses in 30 s",
            ),
            (
                json!({"scheduled": [change(at(60), Some(3))]}),
                "revision 3 in force in 1 min 0 s",
            ),
            (
                json!({"state": "closed", "closes_at": at(-61)}),
                "closed 1 min 1 s ago",
            ),
        ] {
            assert_eq!(next_event(words, &campaign(more), 1_800_000_000_000), said);
        }
    }

    #[test]
    fn a_bar_is_never_longer_than_its_stock() {
        let words = Words::of(Some("en"), None);
        let bar = Bar::of(words, "mug", 1000, 250, 500);
        assert_eq!((bar.landed.as_str(), bar.admitted.as_str()), ("50.00", "75.00"));
        assert_eq!(bar.text, "250 of 1,000 left");
        let over = Bar::of(words, "mug", 10, -5, 20);
        assert_eq!(
            (over.landed.as_str(), over.admitted.as_str(), over.is_empty),
            ("100.00", "100.00", true)
        );
    }
}
