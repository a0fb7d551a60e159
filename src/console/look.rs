//! A sale as it stands, looked at once a second at most, however many pages show it: what 50 consoles cost is what one does.
//!
//! Figures are those that the control plane answers, which are of all gateways: what is left and what was rejected as Redis has it,
//! what landed as the database has it. Nothing of this gateway's own is counted in.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Mutex as AsyncMutex;

use super::api::{Ask, Trouble, ask, segment};
use super::figures::Campaign;
use crate::access::Scope;
use crate::admin::{Holder, Inside};
use crate::clock::now_ms;

/// A look that is younger is good enough.
const FRESH: Duration = Duration::from_millis(900);
/// Between looks that are further apart nothing is said of speeds.
const SPEED_WITHIN: Duration = Duration::from_secs(30);
/// Points that are kept: 15 minutes of looks.
const POINTS_MAX: usize = 900;
/// Sales that are remembered; when there are more, those that nobody looked at for longest go.
const SALES_MAX: usize = 256;

/// A sale at a moment.
#[derive(Debug)]
pub(super) struct Look {
    /// Milliseconds since 1970-01-01 UTC, by this machine's clock.
    pub(super) at: i64,
    when: Instant,
    pub(super) campaign: Campaign,
    /// Units admitted a second, and attempts rejected a second by reason; `None` where nobody looked shortly before.
    pub(super) speed: Option<f64>,
    pub(super) rejected_speed: BTreeMap<String, f64>,
}

impl Look {
    /// How old it is, milliseconds.
    pub(super) fn age_ms(&self) -> u128 {
        self.when.elapsed().as_millis()
    }

    fn of(campaign: Campaign, before: Option<&Self>) -> Self {
        let when = Instant::now();
        let before = before.filter(|before| when - before.when < SPEED_WITHIN);
        let a_second =
            |before: &Self, more: i64| more.max(0) as f64 / (when - before.when).as_secs_f64().max(0.001);
        let rejected = |before: &Self| {
            let of = |(reason, count): (&String, &u64)| {
                let known = before.campaign.rejected.get(reason).copied().unwrap_or(0);
                (reason.clone(), a_second(before, *count as i64 - known as i64))
            };
            campaign.rejected.iter().map(of).collect()
        };
        Self {
            at: now_ms(),
            when,
            speed: before.map(|before| a_second(before, campaign.admitted() - before.campaign.admitted())),
            rejected_speed: before.map(rejected).unwrap_or_default(),
            campaign,
        }
    }
}

/// What is left of each SKU at a moment.
#[derive(Clone, Debug)]
pub(super) struct Point {
    pub(super) at: i64,
    pub(super) left: Vec<(String, i64)>,
}

#[derive(Default)]
struct Watched {
    /// An answer or a refusal: who asks next within a moment gets the same.
    last: Option<(Instant, Result<Arc<Look>, Trouble>)>,
    points: VecDeque<Point>,
}

/// A sale as somebody may see it. Those who may see the same share a look, and nobody else.
#[derive(PartialEq, Eq, Hash)]
struct Seen {
    /// Whose things alone are seen; `None`: all.
    merchant: Option<String>,
    /// Whether campaigns are seen at all: otherwise what is shared is a refusal.
    may_look: bool,
    campaign: String,
}

impl Seen {
    fn by(holder: &Holder, campaign: &str) -> Self {
        Self {
            merchant: holder.merchant().map(str::to_owned),
            may_look: holder.scopes().has(Scope::CampaignsRead),
            campaign: campaign.to_owned(),
        }
    }
}

struct Place {
    watched: Arc<AsyncMutex<Watched>>,
    used: Instant,
}

#[derive(Default)]
pub(super) struct Looks(Mutex<HashMap<Seen, Place>>);

impl Looks {
    fn watched(&self, holder: &Holder, campaign: &str) -> Arc<AsyncMutex<Watched>> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if places.len() > SALES_MAX {
            let oldest = places.values().map(|place| place.used).min();
            places.retain(|_, place| Some(place.used) != oldest);
        }
        let place = places.entry(Seen::by(holder, campaign)).or_insert_with(|| Place {
            watched: Arc::default(),
            used: now,
        });
        place.used = now;
        place.watched.clone()
    }

    /// The sale as it stands, a second old at most.
    pub(super) async fn look(
        &self,
        inside: &Inside,
        holder: &Holder,
        id: &str,
    ) -> Result<Arc<Look>, Trouble> {
        let watched = self.watched(holder, id);
        // Whoever asks meanwhile waits for this one's answer.
        let mut watched = watched.lock().await;
        if let Some((when, last)) = &watched.last
            && when.elapsed() < FRESH
        {
            return last.clone();
        }
        let asked = ask::<Campaign>(inside, holder, &campaign(id)).await;
        let looked = asked.map(|campaign| {
            let before = watched.last.as_ref().and_then(|(_, last)| last.as_ref().ok());
            Arc::new(Look::of(campaign, before.map(Arc::as_ref)))
        });
        if let Ok(look) = &looked {
            if watched.points.len() == POINTS_MAX {
                watched.points.pop_front();
            }
            watched.points.push_back(point(look));
        }
        watched.last = Some((Instant::now(), looked.clone()));
        looked
    }

    /// Has the next look be a new one: something was changed.
    pub(super) async fn forget(&self, holder: &Holder, id: &str) {
        let watched = self.watched(holder, id);
        let mut watched = watched.lock().await;
        if let Some((when, _)) = &mut watched.last {
            *when = when.checked_sub(FRESH).unwrap_or(*when);
        }
    }

    /// What was seen of it before, the oldest first.
    pub(super) async fn points(&self, holder: &Holder, id: &str) -> Vec<Point> {
        let watched = self.watched(holder, id);
        let watched = watched.lock().await;
        watched.points.iter().cloned().collect()
    }
}

/// What is left at this look.
pub(super) fn point(look: &Look) -> Point {
    let skus = look.campaign.skus.iter();
    Point {
        at: look.at,
        left: skus.map(|sku| (sku.id.clone(), sku.remaining.max(0))).collect(),
    }
}

/// Asks for a campaign with its figures.
pub(super) fn campaign(id: &str) -> Ask {
    Ask::get(format!("/campaigns/{}", segment(id)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen(remaining: i64, sold_out: u64) -> Campaign {
        serde_json::from_value(json!({
            "id": "spring", "title": "Spring", "revision": 1, "state": "open", "opens_at": "2026-12-01T10:00:00.000Z",
            "closes_at": "2026-12-02T10:00:00.000Z", "rejected": {"sold-out": sold_out}, "orders_to_kafka": 0,
            "units_to_database": 0, "redis_whole": true,
            "skus": [{"id": "mug", "stock": 100, "remaining": remaining, "admitted": 100 - remaining, "landed": 0}],
        }))
        .expect("a campaign")
    }

    #[test]
    fn speeds_are_those_between_two_looks() {
        let before = Look {
            when: Instant::now() - Duration::from_secs(2),
            ..Look::of(seen(90, 5), None)
        };
        assert_eq!(before.speed, None);
        let now = Look::of(seen(70, 25), Some(&before));
        let speed = now.speed.expect("there was one before");
        assert!((9.0..=10.0).contains(&speed), "{speed}");
        let rejected = now.rejected_speed["sold-out"];
        assert!((9.0..=10.0).contains(&rejected), "{rejected}");
        // Units that come back are no orders.
        assert_eq!(Look::of(seen(80, 25), Some(&now)).speed, Some(0.0));
    }

    #[test]
    fn a_sale_without_units_is_sold_out_and_one_without_state_is_closed() {
        assert_eq!((seen(1, 0).word(), seen(0, 0).word()), ("open", "sold-out"));
        let lost = Campaign {
            redis_whole: false,
            ..seen(1, 0)
        };
        assert_eq!(lost.word(), "gate-closed");
    }
}
