//! Endpoints made, changed and removed, as the control plane is asked. Every change leaves a line in the audit trail; secrets
//! stand in none, and URLs without what may be one.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::{WebhookError, fault};
use super::message::{self, TEST, events};
use super::post::Poster;
use super::sign::new_secret;
use super::view::{Created, Rotated, Tried, WebhookView};
use crate::access::DEFAULT_MERCHANT;
use crate::audit::{AskedBy, AuditLine, Stale};
use crate::reaching::Target;
use crate::store::{
    DeliveryPlace, DeliveryRow, DeliveryState, Disabled, OperationKey, OperationRow, Owned, Owner, Sending,
    Store, StoreError, WebhookRow, place_of,
};
use crate::wire::problem::Fault;
use crate::wire::{self, Moment, echo};

/// Endpoints of a merchant.
const WEBHOOKS_MAX: usize = 100;
/// For how long an old secret may go on signing, in hours.
const KEEP_HOURS_MAX: u32 = 7 * 24;
const HOUR_MS: i64 = 3_600_000;
/// As the audit trail names it.
const CREATE: &str = "webhook.create";

/// An endpoint that somebody asks for.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWebhook {
    pub url: String,
    #[serde(default)]
    pub events: Vec<String>,
    #[serde(default)]
    pub campaign: Option<String>,
    #[serde(default)]
    pub note: Option<String>,
    /// Whose it is: of a key of all merchants, who does not say it means `default`.
    #[serde(default)]
    #[schema(max_length = 64)]
    pub merchant: Option<String>,
}

/// What is to change of an endpoint; what is left out stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WebhookChange {
    pub url: Option<String>,
    pub events: Option<Vec<String>>,
    /// `null` takes it away.
    #[serde(deserialize_with = "wire::json::given")]
    #[schema(value_type = Option<String>, max_length = 500)]
    pub note: Option<Option<String>>,
    pub disabled: Option<bool>,
}

/// How a secret is replaced.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[schema(as = SecretRotation)]
#[serde(deny_unknown_fields, default)]
pub struct Rotation {
    /// For how long the old one signs as well.
    #[schema(maximum = 168)]
    pub keep_hours: u32,
}

impl Default for Rotation {
    fn default() -> Self {
        Self { keep_hours: 24 }
    }
}

/// What the control plane asks about endpoints.
pub struct Desk {
    pub(super) store: Store,
    poster: Poster,
    pub(super) clock: fn() -> i64,
    /// Whether changes are told at all.
    told: bool,
}

impl Desk {
    /// `told`: changes of orders are published (`events.enabled`).
    pub fn new(store: Store, poster: Poster, clock: fn() -> i64, told: bool) -> Self {
        Self {
            store,
            poster,
            clock,
            told,
        }
    }

    pub async fn create(&self, by: impl Into<AskedBy<'_>>, new: NewWebhook) -> Result<Created, WebhookError> {
        let id = uuid::Uuid::now_v7().simple().to_string();
        self.create_under(by.into(), new, id).await
    }

    /// The same, once per key and merchant, as JSON; and whether it was made before. Nobody keeps the secret beside the answer: it is in one
    /// that is given again as long as the endpoint has it.
    pub async fn create_once(
        &self,
        by: AskedBy<'_>,
        key: Option<&str>,
        new: NewWebhook,
    ) -> Result<(Value, bool), WebhookError> {
        let Some(key) = key else {
            return Ok((json!(self.create(by, new).await?), false));
        };
        let place = place_of(Some(new.merchant.as_deref().unwrap_or(DEFAULT_MERCHANT)));
        let under = OperationKey {
            campaign: &place,
            key,
        };
        let broken = |error: serde_json::Error| WebhookError::Internal(error.to_string());
        let made = async |id: String| {
            let webhook = match self.store.webhook(&id).await? {
                Some(there) => WebhookView::of(there, (self.clock)()),
                None => self.create_under(by, new.clone(), id).await?.webhook,
            };
            serde_json::to_string(&webhook).map_err(broken)
        };
        let row = OperationRow::of(CREATE, &new)?;
        let (kept, is_replay) = self.store.once(under, row, self.clock, made).await?;
        let mut answer: Value = serde_json::from_str(&kept).map_err(broken)?;
        let id = answer["id"].as_str().unwrap_or_default();
        let there = self.store.webhook(id).await?.filter(|row| row.previous.is_none());
        if let Some(row) = there {
            answer["secret"] = row.secret.0.into();
        }
        Ok((answer, is_replay))
    }

    async fn create_under(
        &self,
        by: AskedBy<'_>,
        new: NewWebhook,
        id: String,
    ) -> Result<Created, WebhookError> {
        if !self.told {
            let detail = "events.enabled is false: changes of orders are not told, and an endpoint would hear nothing. Switch it \
                          on, on all landers and gateways";
            return Err(WebhookError::Conflict(detail.to_owned()));
        }
        let mut faults = Vec::new();
        let target = self.target(&new.url, &mut faults).await;
        check_events(&new.events, &mut faults);
        check_note(new.note.as_deref(), &mut faults);
        let merchant = new.merchant.unwrap_or_else(|| DEFAULT_MERCHANT.to_owned());
        if self.store.merchant(&merchant).await?.is_none() {
            let detail = format!("there is no merchant {}", echo(&merchant));
            faults.push(fault("/merchant", detail, None));
        }
        if let Some(campaign) = &new.campaign
            && self.store.owner(Owned::Campaign, campaign).await? != Owner::One(merchant.clone())
        {
            let detail = format!("there is no campaign {}", echo(campaign));
            faults.push(fault("/campaign", detail, None));
        }
        let Some(target) = target.filter(|_| faults.is_empty()) else {
            return Err(WebhookError::Invalid(faults));
        };
        let there = self.store.webhooks().await?;
        if there.iter().filter(|hook| hook.merchant == merchant).count() >= WEBHOOKS_MAX {
            let detail = format!("there are {WEBHOOKS_MAX} webhooks, as many as there may be; remove one");
            return Err(WebhookError::Conflict(detail));
        }
        let now = (self.clock)();
        let row = WebhookRow {
            id,
            merchant,
            campaign: new.campaign,
            url: target.uri.to_string(),
            events: new.events,
            secret: new_secret().map_err(WebhookError::Internal)?,
            previous: None,
            note: new.note,
            created_at: now,
            disabled: None,
            failing_since: None,
            tag: String::new(),
        };
        let detail = json!({"url": target.shown(), "merchant": row.merchant, "campaign": row.campaign, "events": row.events});
        let line = AuditLine::new(now, by, CREATE, row.id.as_str(), detail);
        let line = line.noted(row.note.as_deref());
        self.store.insert_webhook(&row, &[line]).await?;
        let secret = row.secret.0.clone();
        Ok(Created {
            webhook: WebhookView::of(row, now),
            secret,
        })
    }

    /// The oldest first; of one merchant where it is named.
    pub async fn list(&self, merchant: Option<&str>) -> Result<Vec<WebhookView>, WebhookError> {
        let now = (self.clock)();
        let rows = self.store.webhooks().await?.into_iter();
        let seen = rows.filter(|row| merchant.is_none_or(|merchant| merchant == row.merchant));
        Ok(seen.map(|row| WebhookView::of(row, now)).collect())
    }

    pub async fn show(&self, id: &str) -> Result<WebhookView, WebhookError> {
        Ok(self.show_tagged(id).await?.0)
    }

    /// With its tag.
    pub async fn show_tagged(&self, id: &str) -> Result<(WebhookView, String), WebhookError> {
        let row = self.row(id).await?;
        let (waiting, tag) = (self.store.waiting_deliveries(id).await?, row.tag.clone());
        let view = WebhookView {
            waiting: Some(waiting),
            ..WebhookView::of(row, (self.clock)())
        };
        Ok((view, tag))
    }

    /// One that is as whoever asks has seen it.
    async fn as_seen(&self, by: AskedBy<'_>, id: &str) -> Result<WebhookRow, WebhookError> {
        let row = self.row(id).await?;
        match by.only_if.is_none_or(|only| only.allows(&row.tag)) {
            true => Ok(row),
            false => Err(self.stale(row)),
        }
    }

    /// What became of a change, with the endpoint as it is where that is not as it was seen.
    async fn unless_changed<T>(&self, id: &str, done: Result<T, StoreError>) -> Result<T, WebhookError> {
        match done {
            Err(StoreError::Changed(_)) => Err(self.stale(self.row(id).await?)),
            done => Ok(done?),
        }
    }

    fn stale(&self, row: WebhookRow) -> WebhookError {
        let tag = row.tag.clone();
        WebhookError::Changed(Box::new(Stale {
            tag,
            current: json!(WebhookView::of(row, (self.clock)())),
            last_change: None,
        }))
    }

    pub async fn change(
        &self,
        by: impl Into<AskedBy<'_>>,
        id: &str,
        change: WebhookChange,
    ) -> Result<WebhookView, WebhookError> {
        Ok(self.change_tagged(by.into(), id, change).await?.0)
    }

    /// The same with the tag that it has then.
    pub async fn change_tagged(
        &self,
        by: AskedBy<'_>,
        id: &str,
        change: WebhookChange,
    ) -> Result<(WebhookView, String), WebhookError> {
        let mut row = self.as_seen(by, id).await?;
        let from = told(&row);
        let mut faults = Vec::new();
        if change == WebhookChange::default() {
            let hint = "give \"url\", \"events\", \"note\" or \"disabled\"";
            faults.push(fault("", "says nothing that is to change", Some(hint.to_owned())));
        }
        if let Some(url) = &change.url
            && let Some(target) = self.target(url, &mut faults).await
        {
            row.url = target.uri.to_string();
        }
        if let Some(events) = change.events {
            check_events(&events, &mut faults);
            row.events = events;
        }
        if let Some(note) = change.note {
            check_note(note.as_deref(), &mut faults);
            row.note = note;
        }
        if !faults.is_empty() {
            return Err(WebhookError::Invalid(faults));
        }
        let now = (self.clock)();
        let disabled = Disabled { at: now, why: None };
        let sending = match change.disabled {
            None => Sending::AsItWas,
            Some(true) => Sending::Disabled(&disabled),
            Some(false) => Sending::Enabled,
        };
        let mut to = told(&row);
        if let Some(disabled) = change.disabled {
            to["disabled"] = disabled.into();
        }
        let line = AuditLine::new(now, by, "webhook.change", id, json!({"from": from, "to": to}));
        let done = self.store.change_webhook(&row, sending, &[line]).await;
        if !self.unless_changed(id, done).await? {
            return Err(unknown(id));
        }
        if change.disabled == Some(false) {
            // What waits for its next attempt need not: somebody has mended something.
            self.send_now(id).await?;
        }
        self.show_tagged(id).await
    }

    /// Another secret, which signs from now on.
    pub async fn rotate(
        &self,
        by: impl Into<AskedBy<'_>>,
        id: &str,
        rotation: Rotation,
    ) -> Result<Rotated, WebhookError> {
        let by = by.into();
        self.as_seen(by, id).await?;
        let hours = rotation.keep_hours;
        if hours > KEEP_HOURS_MAX {
            let detail = format!("is {hours}; the old secret may sign for at most {KEEP_HOURS_MAX} hours");
            return Err(WebhookError::Invalid(vec![fault("/keep_hours", detail, None)]));
        }
        let now = (self.clock)();
        let until = now + i64::from(hours) * HOUR_MS;
        let secret = new_secret().map_err(WebhookError::Internal)?;
        let line = AuditLine::new(now, by, "webhook.rotate", id, json!({"keep_hours": hours}));
        let done = self.store.rotate_webhook(id, &secret, until, &[line]).await;
        if !self.unless_changed(id, done).await? {
            return Err(unknown(id));
        }
        Ok(Rotated {
            id: id.to_owned(),
            secret: secret.0,
            previous_secret_until: Moment(until),
        })
    }

    pub async fn remove(&self, by: impl Into<AskedBy<'_>>, id: &str) -> Result<(), WebhookError> {
        let by = by.into();
        let row = self.as_seen(by, id).await?;
        let detail = json!({"from": told(&row)});
        let line = AuditLine::new((self.clock)(), by, "webhook.remove", id, detail);
        let line = line.of_merchant(&row.merchant);
        let done = self.store.remove_webhook(id, &[line]).await;
        match self.unless_changed(id, done).await? {
            true => Ok(()),
            false => Err(unknown(id)),
        }
    }

    /// A page of the log, the one written down last first.
    pub async fn deliveries(
        &self,
        id: &str,
        state: Option<DeliveryState>,
        before: Option<&DeliveryPlace>,
        limit: u32,
    ) -> Result<Vec<DeliveryRow>, WebhookError> {
        self.row(id).await?;
        Ok(self.store.deliveries(id, state, before, limit).await?)
    }

    /// Sends a message of no meaning now, also to an endpoint that is disabled, and says what came of it.
    pub async fn test(&self, by: impl Into<AskedBy<'_>>, id: &str) -> Result<Tried, WebhookError> {
        let row = self.row(id).await?;
        let now = (self.clock)();
        let message = format!("test.{}", uuid::Uuid::now_v7().simple());
        let body = message::body(TEST, now, &json!({"webhook": id}));
        let line = AuditLine::new(now, by, "webhook.test", id, json!({"message": message}));
        self.store.audit(&[line]).await?;
        let posted = self.poster.post(&row, &message, &body, now).await;
        Ok(Tried {
            delivered: posted.is_delivered(),
            message,
            status: posted.attempted.status,
            error: posted.attempted.error,
            answer: posted.attempted.answer,
            took_ms: u64::try_from(posted.took.as_millis()).unwrap_or(u64::MAX),
        })
    }

    pub(super) async fn row(&self, id: &str) -> Result<WebhookRow, WebhookError> {
        self.store.webhook(id).await?.ok_or_else(|| unknown(id))
    }

    async fn target(&self, url: &str, faults: &mut Vec<Fault>) -> Option<Target> {
        match self.poster.check(url).await {
            Ok(target) => Some(target),
            Err(why) => {
                faults.push(fault("/url", why, None));
                None
            }
        }
    }
}

/// How an endpoint stands in the audit trail: its URL without what may be a secret.
fn told(row: &WebhookRow) -> Value {
    let shown = Target::parse(&row.url).map_or_else(|_| String::new(), |target| target.shown());
    json!({"url": shown, "events": row.events, "note": row.note, "disabled": row.disabled.is_some()})
}

fn unknown(id: &str) -> WebhookError {
    WebhookError::Unknown(format!("there is no webhook {}", echo(id)))
}

fn check_events(asked: &[String], faults: &mut Vec<Fault>) {
    let known = events();
    for (at, event) in asked.iter().enumerate() {
        let pointer = format!("/events/{at}");
        if !known.contains(event) {
            let detail = format!("there is no event {}", echo(event));
            let hint = format!("use {}; an empty list asks for all of them", known.join(", "));
            faults.push(fault(pointer, detail, Some(hint)));
        } else if asked[..at].contains(event) {
            faults.push(fault(pointer, format!("{event} stands there twice"), None));
        }
    }
}

fn check_note(note: Option<&str>, faults: &mut Vec<Fault>) {
    let refused = note.and_then(|note| wire::check_note(note).err());
    faults.extend(refused.map(|why| fault("/note", why, None)));
}
