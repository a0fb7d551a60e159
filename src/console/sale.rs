//! One sale, live: what is left, what was admitted, what landed, what was rejected and why, and how old all of that is.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Console;
use super::api::{Trouble, segment};
use super::figures::{Campaign, Otherwise, Shadow};
use super::look::{self, Look, Point};
use super::page::{self, Frame};
use super::sales::{Bar, next_event, speed};
use super::stream::stream;
use super::visitor::{Reached, Visitor};
use super::words::{Words, fill, grouped};
use crate::access::Scope;

/// What a key needs for it.
const SCOPE: &str = "campaigns:read";
/// SKUs that have a line of their own; all of them are in the JSON.
const SKUS_MAX: usize = 50;
/// SKUs that have a line in the chart.
const DRAWN_MAX: usize = 6;
/// Kinds of attempts that are shown of a shadow.
const SHADOW_LINES_MAX: usize = 12;

/// A SKU's line.
struct SkuLine {
    bar: Bar,
    left: String,
    admitted: String,
    landed: String,
    stock: String,
    change: String,
}

struct Rejected {
    code: String,
    reason: &'static str,
    count: String,
    speed: String,
}

/// What rules in shadow would have said.
struct ShadowLines {
    text: String,
    agree: String,
    lines: Vec<ShadowLine>,
    more: String,
}

/// Attempts that they would have answered otherwise.
struct ShadowLine {
    live: String,
    shadow: String,
    count: String,
    /// Hundredths of all attempts.
    share: String,
    percent: String,
}

struct Waiting {
    text: String,
    at: String,
    by: String,
    failed: Option<String>,
    take_back: String,
}

/// The part of the page that goes on by itself.
#[derive(Template)]
#[template(path = "sale_part.html")]
struct SalePart {
    t: &'static Words,
    /// Whether whoever looks at it may change the sale.
    may_change: bool,
    age_ms: u128,
    /// For the chart.
    point: String,
    word: String,
    state: &'static str,
    next: String,
    note: Option<String>,
    is_cut: bool,
    left: String,
    stock: String,
    speed: String,
    admitted: String,
    landed: String,
    rejected: String,
    to_kafka: String,
    to_database: String,
    skus: Vec<SkuLine>,
    more: String,
    rejections: Vec<Rejected>,
    shadow: Option<ShadowLines>,
    waiting: Vec<Waiting>,
}

/// The heading of a sale's pages, with what they have in common.
pub(super) struct Heading {
    pub(super) id: String,
    pub(super) path: String,
    pub(super) title: String,
    pub(super) revision: u32,
    pub(super) opens_at: Timestamp,
    pub(super) closes_at: Timestamp,
    pub(super) opens: String,
    pub(super) closes: String,
    pub(super) tab: &'static str,
}

impl Heading {
    pub(super) fn of(campaign: &Campaign, tab: &'static str) -> Self {
        Self {
            id: campaign.id.clone(),
            path: page::sale_path(&campaign.id),
            title: campaign.title.clone(),
            revision: campaign.revision,
            opens_at: campaign.opens_at,
            closes_at: campaign.closes_at,
            opens: shown(campaign.opens_at),
            closes: shown(campaign.closes_at),
            tab,
        }
    }
}

/// What was done just now.
pub(super) struct Notice {
    pub(super) did: String,
    pub(super) is_replay: bool,
}

impl Notice {
    /// Of something that has no key: it is done each time.
    pub(super) fn of(did: String) -> Self {
        let is_replay = false;
        Self { did, is_replay }
    }
}

#[derive(Template)]
#[template(path = "sale.html")]
struct SalePage {
    frame: Frame,
    heading: Heading,
    notice: Option<Notice>,
    part: SalePart,
    points: String,
    is_paused: bool,
    is_over: bool,
}

/// A time as pages show it.
pub(super) fn shown(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn sku_lines(words: &Words, campaign: &Campaign) -> Vec<SkuLine> {
    let path = format!("{}/act/stock", page::sale_path(&campaign.id));
    let skus = campaign.skus.iter().take(SKUS_MAX);
    skus.map(|sku| SkuLine {
        bar: Bar::of(words, &sku.id, sku.stock, sku.remaining, sku.landed),
        left: grouped(sku.remaining.max(0)),
        admitted: grouped(sku.admitted),
        landed: grouped(sku.landed),
        stock: grouped(sku.stock),
        change: format!("{path}?sku={}", segment(&sku.id)),
    })
    .collect()
}

fn rejections(words: &'static Words, look: &Look) -> Vec<Rejected> {
    let mut counts: Vec<(&String, u64)> = look
        .campaign
        .rejected
        .iter()
        .map(|(code, n)| (code, *n))
        .collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let line = |(code, count): (&String, u64)| Rejected {
        reason: words.why_rejected(code),
        count: grouped(count),
        speed: speed(words, look.rejected_speed.get(code).copied()),
        code: code.clone(),
    };
    counts
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(line)
        .collect()
}

fn shadow(words: &Words, shadow: &Shadow) -> ShadowLines {
    let differ: u64 = shadow.differ.iter().map(|one| one.count).sum();
    let all = shadow.agree + differ;
    let share = |count: u64| count as f64 * 100.0 / all.max(1) as f64;
    let line = |one: &Otherwise| ShadowLine {
        live: one.live.clone(),
        shadow: one.shadow.clone(),
        count: grouped(one.count),
        share: format!("{:.2}", share(one.count)),
        percent: format!("{:.1} %", share(one.count)),
    };
    let others = shadow.differ.len().saturating_sub(SHADOW_LINES_MAX);
    ShadowLines {
        text: fill(
            words.shadow_differs,
            &[("n", &grouped(differ)), ("all", &grouped(all))],
        ),
        agree: format!("{:.2}", share(shadow.agree)),
        lines: shadow.differ.iter().take(SHADOW_LINES_MAX).map(line).collect(),
        more: match others {
            0 => String::new(),
            others => fill(words.more_outcomes, &[("n", &others)]),
        },
    }
}

fn waiting(words: &Words, campaign: &Campaign, now: i64) -> Vec<Waiting> {
    let path = format!("{}/act/unschedule", page::sale_path(&campaign.id));
    let line = |change: &super::figures::Scheduled| {
        let span = words.span(change.at.as_millisecond() - now);
        Waiting {
            text: match change.revision {
                Some(n) => fill(words.activates_in, &[("n", &n), ("span", &span)]),
                None => fill(words.pauses_in, &[("span", &span)]),
            },
            at: shown(change.at),
            by: fill(words.by, &[("who", &change.by)]),
            failed: change.failed.clone(),
            take_back: format!("{path}?change={}", segment(&change.id)),
        }
    };
    campaign.scheduled.iter().map(line).collect()
}

fn drawn(point: &Point) -> Value {
    let left: Vec<Value> = point
        .left
        .iter()
        .take(DRAWN_MAX)
        .map(|(sku, left)| json!([sku, left]))
        .collect();
    json!({"at": point.at, "left": left})
}

impl SalePart {
    fn of(visitor: &Visitor, look: &Look) -> Self {
        let words = visitor.look.words;
        let campaign = &look.campaign;
        let others = campaign.skus.len().saturating_sub(SKUS_MAX);
        Self {
            t: words,
            may_change: visitor.holder.scopes().has(Scope::CampaignsWrite),
            age_ms: look.age_ms(),
            point: drawn(&look::point(look)).to_string(),
            word: campaign.word().to_owned(),
            state: words.sale_state(campaign.word()),
            next: next_event(words, campaign, look.at),
            note: campaign.paused.as_ref().and_then(|paused| paused.note.clone()),
            is_cut: campaign.word() == "gate-closed",
            left: grouped(campaign.remaining()),
            stock: grouped(campaign.stock()),
            speed: speed(words, look.speed),
            admitted: grouped(campaign.admitted()),
            landed: grouped(campaign.landed()),
            rejected: grouped(campaign.rejected()),
            to_kafka: grouped(campaign.orders_to_kafka),
            to_database: grouped(campaign.units_to_database),
            skus: sku_lines(words, campaign),
            more: match others {
                0 => String::new(),
                others => fill(words.more_skus, &[("n", &others)]),
            },
            rejections: rejections(words, look),
            shadow: campaign.shadow.as_ref().map(|figures| shadow(words, figures)),
            waiting: waiting(words, campaign, look.at),
        }
    }
}

pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(reached): Extension<Reached>,
    Path(id): Path<String>,
) -> Result<Response, Trouble> {
    if let Some(json) = page::as_json(&console, &visitor, &look::campaign(&id)).await? {
        return Ok(json);
    }
    with_notice(&console, &visitor, &reached, &id, None).await
}

/// The page, with what was done just now.
pub(super) async fn with_notice(
    console: &Console,
    visitor: &Visitor,
    reached: &Reached,
    id: &str,
    notice: Option<Notice>,
) -> Result<Response, Trouble> {
    let look = console.looks.look(&console.inside, &visitor.holder, id).await?;
    let points = console.looks.points(&visitor.holder, id).await;
    let campaign = &look.campaign;
    let frame = Frame::of(visitor, campaign.title.clone(), "sales");
    Ok(page::show_as(
        StatusCode::OK,
        &SalePage {
            frame: frame.asking(&look::campaign(id), reached, SCOPE),
            heading: Heading::of(campaign, "live"),
            notice,
            part: SalePart::of(visitor, &look),
            points: Value::from(points.iter().map(drawn).collect::<Vec<_>>()).to_string(),
            is_paused: campaign.paused.is_some(),
            is_over: matches!(campaign.state.as_str(), "closed" | "archived"),
        },
    ))
}

/// Its figures, once a second.
pub(super) async fn live(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Response {
    stream(console, visitor, move |console, visitor| {
        let id = id.clone();
        async move {
            let look = console.looks.look(&console.inside, &visitor.holder, &id).await;
            let look = look.ok()?;
            SalePart::of(&visitor, &look).render().ok()
        }
    })
}
