//! `GET /v1/campaigns`: the sales that are on, the one that closes first first, and then those to come, the one that opens first
//! first. It is made of what the gateway knows, once a second at most and only while somebody asks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;

use super::answer::{self, Answer};
use super::query::{self, Page};
use super::show::SkuAnswer;
use super::{Gateway, Orders};
use crate::campaign::{Paused, Schedule};
use crate::wire::problem::{UNAVAILABLE, UNKNOWN};
use crate::wire::{Moment, Problem, echo, paged};

/// For so long a list that was made is given to everybody.
const FRESH: Duration = Duration::from_secs(1);
/// A campaign of more SKUs is listed without them: the list of all campaigns stays small.
pub(super) const SKUS_LISTED: usize = 50;

/// A campaign as the list is made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedCampaign {
    pub id: String,
    pub title: String,
    pub schedule: Schedule,
    /// The engine's clock, milliseconds since 1970-01-01 UTC.
    pub now: i64,
    pub paused: Option<Paused>,
    /// (SKU, sold out as far as this gateway knows); `None` where there are too many to list.
    pub skus: Option<Vec<(String, bool)>>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = ListedCampaign)]
pub(super) struct ListedAnswer<'a> {
    campaign: &'a str,
    title: &'a str,
    state: &'static str,
    opens_at: Moment,
    closes_at: Moment,
    /// When a pause ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    resume_at: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    skus: Option<Vec<SkuAnswer>>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Campaigns)]
pub(super) struct PageAnswer<'a> {
    #[schema(value_type = Vec<ListedAnswer<'a>>)]
    campaigns: Vec<&'a RawValue>,
    /// Value of `after` for the next page; missing on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
}

/// Where a campaign stands in the list. One that has closed stands before all that are open: it closed before them, and so did
/// whatever stood before it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    is_to_come: bool,
    /// Its next moment: when it closes, or when it opens.
    at: i64,
    id: String,
}

/// All campaigns at one moment, in order.
#[derive(Debug)]
struct Made {
    at: Instant,
    /// `None` for one that has closed: pages may go on behind it.
    lines: Vec<(Place, Option<Box<RawValue>>)>,
    index: HashMap<String, usize>,
}

/// The list that was made last.
#[derive(Debug, Default)]
pub(super) struct OnSale(Mutex<Option<Arc<Made>>>);

impl OnSale {
    /// Whoever comes while it is made waits for that.
    fn get<E>(&self, campaigns: impl FnOnce() -> Result<Vec<ListedCampaign>, E>) -> Result<Arc<Made>, E> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = last.as_ref().filter(|made| made.at.elapsed() < FRESH) {
            return Ok(made.clone());
        }
        let made = Arc::new(Made::of(campaigns()?));
        *last = Some(made.clone());
        Ok(made)
    }
}

impl Made {
    fn of(campaigns: Vec<ListedCampaign>) -> Self {
        let mut lines: Vec<_> = campaigns
            .into_iter()
            .map(|campaign| {
                let line = line(&campaign);
                (place(campaign), line)
            })
            .collect();
        lines.sort_unstable_by(|(one, _), (next, _)| one.cmp(next));
        let index = lines.iter().enumerate();
        Self {
            at: Instant::now(),
            index: index
                .map(|(number, (place, _))| (place.id.clone(), number))
                .collect(),
            lines,
        }
    }

    fn page(&self, Page { limit, place, .. }: &Page) -> Option<PageAnswer<'_>> {
        let from = match place {
            None => 0,
            Some(after) => self.index.get(after)? + 1,
        };
        let rows = self.lines[from..]
            .iter()
            .filter_map(|(place, line)| Some((place.id.as_str(), line.as_deref()?)))
            .take(*limit as usize + 1)
            .collect();
        let (rows, next) = paged(rows, *limit, |(id, _): &(&str, &RawValue)| *id);
        let campaigns = rows.into_iter().map(|(_, line)| line).collect();
        Some(PageAnswer { campaigns, next })
    }
}

impl<O: Orders> Gateway<O> {
    pub(super) fn list_campaigns(&self, query: Option<&str>) -> Result<Answer, Problem> {
        let page = query::page(query, "after")?;
        let made = self.on_sale.get(|| self.orders.campaigns());
        let made = made.map_err(|error| {
            tracing::debug!(%error, "campaigns cannot be listed");
            Problem::new(&UNAVAILABLE, "campaigns cannot be listed right now")
        })?;
        let shown = made.page(&page).ok_or_else(|| {
            let after = echo(page.place.as_deref().unwrap_or_default());
            let detail =
                format!("no campaign {after} is on, to come or just over: begin anew, without after");
            Problem::new(&UNKNOWN, detail)
        })?;
        Ok(answer::json(StatusCode::OK, &shown))
    }
}

fn place(campaign: ListedCampaign) -> Place {
    let schedule = campaign.schedule;
    let is_to_come = campaign.now < schedule.opens_at;
    Place {
        is_to_come,
        at: match is_to_come {
            true => schedule.opens_at,
            false => schedule.closes_at,
        },
        id: campaign.id,
    }
}

fn line(campaign: &ListedCampaign) -> Option<Box<RawValue>> {
    let (schedule, now) = (campaign.schedule, campaign.now);
    if schedule.is_over(now) {
        return None;
    }
    let paused = campaign.paused.filter(|_| schedule.is_open(now));
    let sku = |(id, sold_out): &(String, bool)| SkuAnswer {
        id: id.clone(),
        sold_out: *sold_out,
    };
    let skus = campaign.skus.as_ref();
    let shown = ListedAnswer {
        campaign: &campaign.id,
        title: &campaign.title,
        state: schedule.state(now, paused),
        opens_at: Moment(schedule.opens_at),
        closes_at: Moment(schedule.closes_at),
        resume_at: paused.and_then(|paused| paused.resume_at).map(Moment),
        skus: skus.map(|skus| skus.iter().map(sku).collect()),
    };
    serde_json::value::to_raw_value(&shown).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::campaign::RETENTION_MS;

    const NOW: i64 = 1_795_255_200_000;

    fn campaign(id: &str, opens_in: i64, closes_in: i64) -> ListedCampaign {
        ListedCampaign {
            id: id.into(),
            title: id.to_uppercase(),
            schedule: Schedule {
                opens_at: NOW + opens_in,
                closes_at: NOW + closes_in,
                retention_ms: RETENTION_MS,
            },
            now: NOW,
            paused: None,
            skus: Some(vec![("mug".into(), false)]),
        }
    }

    fn made() -> Made {
        Made::of(vec![
            campaign("tomorrow", 1000, 2000),
            campaign("closing", -9, 5),
            campaign("over", -9, -1),
            campaign("soon", 10, 3000),
            campaign("late", -8, 50_000),
            campaign("also-closing", 0, 5),
        ])
    }

    fn page(made: &Made, limit: u32, after: Option<&str>) -> Option<(Vec<String>, Option<String>)> {
        let asked = Page {
            limit,
            place: after.map(str::to_owned),
            merchant: None,
        };
        let json = serde_json::to_value(made.page(&asked)?).expect("JSON");
        let id = |row: &Value| row["campaign"].as_str().expect("an id").to_owned();
        let ids = json["campaigns"]
            .as_array()
            .expect("rows")
            .iter()
            .map(id)
            .collect();
        Some((ids, json["next"].as_str().map(str::to_owned)))
    }

    #[test]
    fn what_is_on_comes_first_and_what_is_next_to_happen_before_the_rest() {
        let made = made();
        let all = ["also-closing", "closing", "late", "soon", "tomorrow"];
        assert_eq!(
            page(&made, 50, None),
            Some((all.map(str::to_owned).to_vec(), None))
        );
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let (ids, next) = page(&made, 2, after.as_deref()).expect("a page");
            seen.extend(ids);
            match next {
                None => break,
                next => after = next,
            }
        }
        assert_eq!(seen, all);
        assert_eq!(
            page(&made, 3, Some("closing")).expect("a page").1,
            None,
            "just full"
        );
        // The last one of a page that has closed meanwhile.
        assert_eq!(
            page(&made, 1, Some("over")),
            Some((vec!["also-closing".into()], Some("also-closing".into())))
        );
        assert_eq!(page(&made, 1, Some("tomorrow")), Some((vec![], None)));
        assert_eq!(page(&made, 1, Some("winter")), None);
    }

    #[test]
    fn a_line_says_what_a_shop_window_needs() {
        let mut open = campaign("spring", -1, 60_000);
        open.paused = Some(Paused {
            resume_at: Some(NOW + 7),
        });
        let read = |campaign: &ListedCampaign| -> Value {
            serde_json::from_str(line(campaign).expect("listed").get()).expect("JSON")
        };
        assert_eq!(
            read(&open),
            json!({
                "campaign": "spring", "title": "SPRING", "state": "paused", "opens_at": "2026-11-21T09:59:59.999Z",
                "closes_at": "2026-11-21T10:01:00.000Z", "resume_at": "2026-11-21T10:00:00.007Z",
                "skus": [{"id": "mug", "sold_out": false}],
            })
        );
        let to_come = ListedCampaign {
            paused: open.paused,
            skus: None,
            ..campaign("summer", 1, 2)
        };
        let shown = read(&to_come);
        assert_eq!(
            (&shown["state"], shown.get("resume_at"), shown.get("skus")),
            (&json!("scheduled"), None, None)
        );
    }

    #[test]
    fn a_list_is_made_once_a_second_at_most() {
        let (on_sale, mut times) = (OnSale::default(), 0);
        for _ in 0..3 {
            let made = on_sale.get(|| {
                times += 1;
                Ok::<_, ()>(vec![campaign("spring", 0, 1)])
            });
            assert_eq!(made.expect("a list").lines.len(), 1);
        }
        assert_eq!(times, 1);
        let failed = OnSale::default().get(|| Err("away"));
        assert_eq!(failed.expect_err("nothing to list"), "away");
    }
}
