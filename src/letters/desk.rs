//! What the control plane asks about dead letters. They are looked at, sent back, taken up again and given up by the same code as
//! `rushgate dlt` goes by. A replay is asked for in the database: a lander sends it, so that one lasts when whoever asked is gone.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::acts::{is_discardable, not_discardable, unpark};
use super::repair::{is_same_order, order_in};
use super::replay::{Item, Replayer, Report};
use super::route::Route;
use super::view::{Done, LetterInFull, LetterView, TotalView};
use crate::audit::AskedBy;
use crate::record::LetterId;
use crate::store::{
    DeadLetter, Discarded, KeyMatch, LetterFilter, Owner, ReplayMatch, Stage, Store, StoreError,
};
use crate::wire::problem::Fault;
use crate::wire::{Moment, check_shown, echo};

/// Letters that one request may name.
const IDS_MAX: usize = 100;
/// Letters read from the database at a time.
const PAGE: u32 = 500;
/// Letters that one request changes; each of them in a transaction of its own where it is given up.
const CHANGED_MAX: u64 = 10_000;
const DISCARDED_MAX: u64 = 500;
/// Records a second where nobody says how many, and at most.
const RATE: u32 = 100;
const RATE_MAX: u32 = 10_000;
/// A record that was replayed so often and failed again is parked instead.
const MAX_REPLAYS: u32 = 3;
/// Longest that a replay may be put off: the time that dead letters stay in their topic.
const DELAY_MAX_MS: i64 = 30 * 86_400_000;
/// Bytes of a reason.
const REASON_BYTES_MAX: usize = 500;

/// Why the control plane does not do what was asked about dead letters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LetterError {
    /// 404: there is no such letter.
    #[error("{0}")]
    Unknown(String),
    /// 409: its stage allows no such thing.
    #[error("{0}")]
    Conflict(String),
    /// 422: the body is well-formed and wrong.
    #[error("{} problem(s) in the request", .0.len())]
    Invalid(Vec<Fault>),
    /// 503: the database is away.
    #[error("{0}")]
    Unavailable(String),
    #[error("{0}")]
    Internal(String),
}

impl From<StoreError> for LetterError {
    fn from(error: StoreError) -> Self {
        match error.is_transient() {
            true => Self::Unavailable(error.to_string()),
            false => Self::Internal(error.to_string()),
        }
    }
}

/// What is said of a letter that is not there, or is another merchant's.
pub fn no_letter(id: &str) -> String {
    format!("no letter {}", echo(id))
}

/// Which letters; what is left out matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = LetterFilter)]
pub struct LetterQuery {
    pub campaign: Option<String>,
    /// Key of the record, `<campaign>/<user>`; with `*` at its end, every key that begins so.
    pub key: Option<String>,
    /// Class of the error.
    pub class: Option<String>,
    /// Contained in the error.
    pub error: Option<String>,
    /// In its stage at this time or later; RFC 3339.
    #[schema(format = DateTime)]
    pub from: Option<String>,
    /// In its stage before this time; RFC 3339.
    #[schema(format = DateTime)]
    pub to: Option<String>,
    /// `dead` where it is left out; `any` for all.
    #[schema(pattern = "^(retry|dead|replayed|parked|discarded|landed|forged|any)$")]
    pub stage: Option<String>,
}

/// Letters that something is to be done to: some by their ids, or all that match a filter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = LettersAsked)]
pub struct Asked {
    #[schema(max_items = 100)]
    pub ids: Option<Vec<String>>,
    pub filter: Option<LetterQuery>,
    /// Of a replay: records a second.
    #[schema(minimum = 1, maximum = 10000)]
    pub rate: Option<u32>,
    /// Of a replay: when the first is sent; now where it is left out, 30 days from now at most.
    #[schema(format = DateTime)]
    pub at: Option<String>,
    /// Of a replay: parked letters, too, and however often one was replayed.
    pub force: bool,
    /// Of a discard: why, for the audit trail. It has to be there.
    #[schema(max_length = 500)]
    pub reason: Option<String>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Sent back to where it came from, by a lander.
    Replay,
    /// Not sent back after all.
    Cancel,
    /// Parked ones are dead ones again.
    Unpark,
    /// Given up, with its order.
    Discard,
}

/// A page of letters.
pub struct Page {
    pub letters: Vec<LetterView>,
    /// Of all that match, whatever their stage.
    pub totals: Vec<TotalView>,
}

/// What the control plane asks about letters.
pub struct Desk {
    store: Store,
    /// Topics a record may be sent back to.
    targets: Vec<String>,
    /// The landers' consumer group, for the headers.
    group: String,
    clock: fn() -> i64,
}

impl LetterQuery {
    /// The filter of letters of one merchant, where it is named.
    fn filter(&self, at: &str, merchant: Option<&str>) -> Result<LetterFilter, LetterError> {
        let mut faults = Vec::new();
        let texts = [
            ("campaign", &self.campaign),
            ("key", &self.key),
            ("class", &self.class),
            ("error", &self.error),
        ];
        for (name, text) in texts {
            if text
                .as_ref()
                .is_some_and(|text| text.trim_end_matches('*').trim().is_empty())
            {
                faults.push(fault(format!("{at}/{name}"), "is empty: leave it out"));
            }
        }
        let mut moment = |name: &str, text: &Option<String>| {
            let read = text.as_deref().map(time).transpose();
            read.unwrap_or_else(|why| {
                faults.push(fault(format!("{at}/{name}"), why));
                None
            })
        };
        let (since, until) = (moment("from", &self.from), moment("to", &self.to));
        if since.zip(until).is_some_and(|(since, until)| since >= until) {
            faults.push(fault(format!("{at}/from"), "is not before to: nothing can match"));
        }
        let stages = match self.stage.as_deref() {
            None => vec![Stage::Dead],
            Some("any") => Vec::new(),
            Some(name) => match name.parse() {
                Ok(stage) => vec![stage],
                Err(why) => {
                    faults.push(fault(format!("{at}/stage"), why));
                    Vec::new()
                }
            },
        };
        if !faults.is_empty() {
            return Err(LetterError::Invalid(faults));
        }
        let key = self.key.as_deref().map(|key| match key.strip_suffix('*') {
            Some(start) => KeyMatch::Prefix(start.as_bytes().to_vec()),
            None => KeyMatch::Exact(key.as_bytes().to_vec()),
        });
        Ok(LetterFilter {
            campaign: self.campaign.clone(),
            merchant: merchant.map(str::to_owned),
            key,
            classes: self.class.clone().into_iter().collect(),
            error: self.error.clone(),
            since,
            until,
            stages,
            ..LetterFilter::default()
        })
    }
}

/// Letters one page after the other.
enum Source {
    Named(std::vec::IntoIter<DeadLetter>),
    Filter {
        filter: Box<LetterFilter>,
        after: Option<LetterId>,
    },
}

impl Source {
    async fn next(&mut self, store: &Store, most: u64) -> Result<Vec<DeadLetter>, LetterError> {
        let most = u32::try_from(most).unwrap_or(PAGE).min(PAGE);
        Ok(match self {
            Self::Named(letters) => letters.take(most as usize).collect(),
            Self::Filter { filter, after } => {
                let page = store.dead_letters(filter, after.as_ref(), most).await?;
                if let Some(last) = page.last() {
                    *after = Some(last.origin.clone());
                }
                page
            }
        })
    }
}

impl Desk {
    pub fn new(store: Store, targets: Vec<String>, group: String, clock: fn() -> i64) -> Self {
        Self {
            store,
            targets,
            group,
            clock,
        }
    }

    /// In order of origin, behind `before`.
    pub async fn list(
        &self,
        merchant: Option<&str>,
        query: &LetterQuery,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Page, LetterError> {
        let filter = query.filter("", merchant)?;
        let after = before.map(id).transpose()?;
        let letters = self.store.dead_letters(&filter, after.as_ref(), limit).await?;
        let all = LetterFilter {
            stages: Vec::new(),
            ..filter
        };
        let totals = self.store.dead_letter_totals(&all).await?;
        Ok(Page {
            letters: letters.iter().map(LetterView::from).collect(),
            totals: totals.into_iter().map(TotalView::from).collect(),
        })
    }

    /// One with its payload.
    pub async fn show(&self, id: &str) -> Result<LetterInFull, LetterError> {
        Ok(LetterInFull::of(&self.letter(id).await?, &self.group))
    }

    /// Writes a repaired payload into a letter, which is sent back from now on instead of what failed. It is the order it was.
    pub async fn repair(
        &self,
        by: AskedBy<'_>,
        id: &str,
        payload: &Value,
    ) -> Result<LetterInFull, LetterError> {
        let letter = self.letter(id).await?;
        if !matches!(letter.stage, Stage::Dead | Stage::Parked) {
            let stage = letter.stage;
            return Err(LetterError::Conflict(format!(
                "{id} is in stage {stage}; only dead and parked letters are repaired"
            )));
        }
        let payload = payload.to_string().into_bytes();
        let event = order_in(&payload)
            .and_then(|event| is_same_order(&letter, &event).map(|()| event))
            .map_err(|why| LetterError::Invalid(vec![fault("/payload", why)]))?;
        let repairs = [(&letter, payload.as_slice(), &event)];
        self.store
            .repair_dead_letters((self.clock)(), by, &repairs)
            .await?;
        self.show(id).await
    }

    /// Does it to what is asked for, or says what it would do.
    pub async fn act(
        &self,
        by: AskedBy<'_>,
        merchant: Option<&str>,
        (act, asked): (Act, &Asked),
        dry_run: bool,
    ) -> Result<Done, LetterError> {
        let mut source = self.source(merchant, act, asked).await?;
        let at = self.moment(asked)?;
        let rate = rate(asked)?;
        let reason = reason(act, asked)?;
        let replayer = Replayer {
            store: self.store.clone(),
            producer: None,
            targets: self.targets.clone(),
            group: self.group.clone(),
            actor: by.into(),
            action: "dlt.replay",
            rate,
            max_replays: MAX_REPLAYS,
            force: asked.force,
            route: Route::Back,
            counts: true,
            clock: self.clock,
        };
        let mut work = Work {
            desk: self,
            by,
            replayer,
            reason,
            at,
            dry_run,
            done: Done::default(),
        };
        let most = if act == Act::Discard {
            DISCARDED_MAX
        } else {
            CHANGED_MAX
        };
        let mut left = most;
        while left > 0 {
            let page = source.next(&self.store, left).await?;
            if page.is_empty() {
                break;
            }
            left -= page.len() as u64;
            work.page(act, &page).await?;
        }
        // What comes behind is left to another request.
        work.done.more = left == 0 && !source.next(&self.store, 1).await?.is_empty();
        Ok(work.said(act, at))
    }

    async fn letter(&self, name: &str) -> Result<DeadLetter, LetterError> {
        let found = self.store.dead_letter(&id(name)?).await?;
        found.ok_or_else(|| LetterError::Unknown(no_letter(name)))
    }

    async fn source(&self, merchant: Option<&str>, act: Act, asked: &Asked) -> Result<Source, LetterError> {
        match (&asked.ids, &asked.filter) {
            (Some(ids), None) => Ok(Source::Named(
                self.named(merchant, act, ids, asked.force).await?.into_iter(),
            )),
            (None, Some(query)) => {
                let mut filter = query.filter("/filter", merchant)?;
                of_act(act, asked, &mut filter)?;
                if matches!(act, Act::Replay) {
                    filter.topics = self.targets.clone();
                }
                Ok(Source::Filter {
                    filter: Box::new(filter),
                    after: None,
                })
            }
            _ => Err(LetterError::Invalid(vec![fault(
                "/ids",
                "says with filter which letters are meant: give the one or the other",
            )])),
        }
    }

    /// Letters by their ids; all of them are there, are the merchant's, and can be had it done to.
    async fn named(
        &self,
        merchant: Option<&str>,
        act: Act,
        ids: &[String],
        force: bool,
    ) -> Result<Vec<DeadLetter>, LetterError> {
        if ids.is_empty() || ids.len() > IDS_MAX {
            let detail = format!("has {} ids; name 1 to {IDS_MAX}", ids.len());
            return Err(LetterError::Invalid(vec![fault("/ids", detail)]));
        }
        let mut letters = Vec::with_capacity(ids.len());
        for name in ids {
            let letter = self.letter(name).await?;
            if let Some(merchant) = merchant
                && self.store.letter_owner(&letter.origin).await? != Owner::One(merchant.to_owned())
            {
                return Err(LetterError::Unknown(no_letter(name)));
            }
            can_be(act, &letter, force, &self.targets).map_err(LetterError::Conflict)?;
            letters.push(letter);
        }
        letters.sort_by(|a, b| a.origin.cmp(&b.origin));
        letters.dedup_by(|a, b| a.origin == b.origin);
        Ok(letters)
    }

    fn moment(&self, asked: &Asked) -> Result<i64, LetterError> {
        let now = (self.clock)();
        let read = asked.at.as_deref().map(time).transpose();
        match read {
            Ok(None) => Ok(now),
            Ok(Some(at)) if at - now <= DELAY_MAX_MS => Ok(at.max(now)),
            Ok(Some(_)) => Err(LetterError::Invalid(vec![fault(
                "/at",
                "is more than 30 days from now",
            )])),
            Err(why) => Err(LetterError::Invalid(vec![fault("/at", why)])),
        }
    }
}

fn rate(asked: &Asked) -> Result<u32, LetterError> {
    let rate = asked.rate.unwrap_or(RATE);
    match (1..=RATE_MAX).contains(&rate) {
        true => Ok(rate),
        false => Err(LetterError::Invalid(vec![fault(
            "/rate",
            format!("is {rate}; use 1 to {RATE_MAX} records a second"),
        )])),
    }
}

fn reason(act: Act, asked: &Asked) -> Result<String, LetterError> {
    let reason = asked.reason.as_deref().unwrap_or_default().trim();
    let wrong = match reason.len() {
        _ if act != Act::Discard => None,
        0 => Some("is empty: the audit trail is to say why".to_owned()),
        1..=REASON_BYTES_MAX => check_shown(reason, false).err(),
        _ => Some(format!("is longer than {REASON_BYTES_MAX} bytes")),
    };
    match wrong {
        None => Ok(reason.to_owned()),
        Some(why) => Err(LetterError::Invalid(vec![fault("/reason", why)])),
    }
}

/// Narrows a filter to what can be had it done to, or refuses one that names a stage that cannot.
fn of_act(act: Act, asked: &Asked, filter: &mut LetterFilter) -> Result<(), LetterError> {
    let stage = filter.stages.first().copied();
    let can = |stage: Stage| match act {
        Act::Replay => stage == Stage::Dead || (stage == Stage::Parked && asked.force),
        Act::Cancel => matches!(stage, Stage::Dead | Stage::Parked),
        Act::Unpark => stage == Stage::Parked,
        Act::Discard => is_discardable(stage),
    };
    let is_said = asked.filter.as_ref().is_some_and(|query| query.stage.is_some());
    match (act, stage) {
        (Act::Unpark, _) if !is_said => filter.stages = vec![Stage::Parked],
        (Act::Cancel, _) if !is_said => filter.stages = vec![Stage::Dead, Stage::Parked],
        (_, None) => filter.stages = Stage::ALL.into_iter().filter(|stage| can(*stage)).collect(),
        (_, Some(stage)) if can(stage) => {}
        (_, Some(stage)) => {
            let detail = format!("is {stage}, of which nothing can be {}", act.done());
            return Err(LetterError::Invalid(vec![fault("/filter/stage", detail)]));
        }
    }
    if act == Act::Cancel {
        filter.replay = ReplayMatch::Asked;
    }
    Ok(())
}

/// Whether it can be done to this one.
fn can_be(act: Act, letter: &DeadLetter, force: bool, targets: &[String]) -> Result<(), String> {
    let (id, stage) = (&letter.origin, letter.stage);
    match (act, stage) {
        (Act::Replay, _) if !targets.contains(&id.topic) => Err(format!(
            "{id} came from another topic than this deployment's orders: {}",
            targets.join(", ")
        )),
        (Act::Replay, Stage::Dead) => Ok(()),
        (Act::Replay, Stage::Parked) if force => Ok(()),
        (Act::Replay, Stage::Parked) => Err(format!(
            "{id} is parked after {} replays: unpark it, or ask with \"force\"",
            letter.replays
        )),
        (Act::Replay, _) => Err(format!(
            "{id} is in stage {stage}: only dead and parked letters are sent back"
        )),
        (Act::Cancel, _) if letter.replay_at.is_some() => Ok(()),
        (Act::Cancel, _) => Err(format!("no replay of {id} is asked for")),
        (Act::Unpark, Stage::Parked) => Ok(()),
        (Act::Unpark, _) => Err(format!("{id} is in stage {stage}, and not parked")),
        (Act::Discard, stage) if is_discardable(stage) => Ok(()),
        (Act::Discard, stage) => Err(not_discardable(id, stage)),
    }
}

impl Act {
    /// A part of a sentence.
    fn done(self) -> &'static str {
        match self {
            Self::Replay => "sent back",
            Self::Cancel => "left where it is",
            Self::Unpark => "unparked",
            Self::Discard => "discarded",
        }
    }
}

/// What is under way.
struct Work<'a> {
    desk: &'a Desk,
    by: AskedBy<'a>,
    replayer: Replayer,
    reason: String,
    /// Of a replay: when the next one is sent.
    at: i64,
    dry_run: bool,
    done: Done,
}

impl Work<'_> {
    async fn page(&mut self, act: Act, page: &[DeadLetter]) -> Result<(), LetterError> {
        let now = (self.desk.clock)();
        match act {
            Act::Replay => self.replay(page).await,
            _ if self.dry_run => {
                self.done.letters += page.len() as u64;
                Ok(())
            }
            Act::Cancel => {
                let done = self.desk.store.cancel_replays(now, self.by, page).await?;
                self.count(&done);
                Ok(())
            }
            Act::Unpark => {
                let moves: Vec<_> = page.iter().map(unpark).collect();
                let done = self
                    .desk
                    .store
                    .move_dead_letters(now, self.by, "dlt.unpark", &moves)
                    .await?;
                self.count(&done);
                Ok(())
            }
            Act::Discard => self.discard(page).await,
        }
    }

    fn count(&mut self, done: &[bool]) {
        let letters = done.iter().filter(|done| **done).count() as u64;
        self.done.letters += letters;
        self.done.overtaken += done.len() as u64 - letters;
    }

    async fn replay(&mut self, page: &[DeadLetter]) -> Result<(), LetterError> {
        let items: Vec<Item> = page.iter().cloned().map(Item::from).collect();
        let mut report = Report::default();
        let asked = match self.dry_run {
            true => self.replayer.try_schedule(&items, self.at, &mut report),
            false => self.replayer.schedule(&items, self.at, &mut report).await,
        };
        self.at = asked.map_err(|error| LetterError::Conflict(format!("{error:#}")))?;
        self.done.letters += report.scheduled;
        self.done.parked += report.parked;
        self.done.overtaken += report.overtaken;
        Ok(())
    }

    async fn discard(&mut self, page: &[DeadLetter]) -> Result<(), LetterError> {
        let detail = json!({"reason": self.reason});
        for letter in page {
            let now = (self.desk.clock)();
            let store = &self.desk.store;
            match store
                .discard_dead_letter(now, self.by, letter, &detail, false)
                .await?
            {
                Discarded::GivenUp | Discarded::Landed | Discarded::NoOrder => self.done.letters += 1,
                Discarded::Unwritten(why) => {
                    self.done.refused += 1;
                    self.done.why.get_or_insert(why);
                }
                Discarded::Overtaken => self.done.overtaken += 1,
            }
        }
        Ok(())
    }

    fn said(mut self, act: Act, from: i64) -> Done {
        let (letters, is_one) = (self.done.letters, self.done.letters == 1);
        let noun = if is_one { "letter" } else { "letters" };
        let verb = match (self.dry_run, is_one) {
            (true, _) => "would be",
            (false, true) => "is",
            (false, false) => "are",
        };
        let mut did = format!("{letters} {noun} {verb} {}", act.done());
        if act == Act::Replay && letters > 0 {
            let last = (self.at - 1000 / i64::from(self.replayer.rate)).max(from);
            self.done.first_at = Some(Moment(from));
            self.done.last_at = Some(Moment(last));
            did += &format!(" by a lander, from {} to {}", Moment(from), Moment(last));
        }
        for (count, what) in [
            (self.done.parked, "replayed too often and parked"),
            (self.done.overtaken, "moved on by somebody else meanwhile"),
            (
                self.done.refused,
                "left, because the database refuses to give up their orders",
            ),
        ] {
            if count > 0 {
                did += &format!("; {count} {what}");
            }
        }
        if self.done.more {
            did += "; there are more, with which the same request goes on";
        }
        self.done.did = did + ".";
        self.done
    }
}

fn id(text: &str) -> Result<LetterId, LetterError> {
    text.parse().map_err(|_| LetterError::Unknown(no_letter(text)))
}

fn time(text: &str) -> Result<i64, String> {
    let read = text.parse::<jiff::Timestamp>();
    read.map(jiff::Timestamp::as_millisecond)
        .map_err(|_| format!("is {}, which is no time: write 2026-11-27T10:00:00Z", echo(text)))
}

fn fault(pointer: impl Into<String>, detail: impl Into<String>) -> Fault {
    Fault {
        pointer: pointer.into(),
        detail: detail.into(),
        hint: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(stage: Option<&str>) -> LetterQuery {
        LetterQuery {
            stage: stage.map(str::to_owned),
            ..LetterQuery::default()
        }
    }

    fn stages(act: Act, stage: Option<&str>, force: bool) -> Result<Vec<Stage>, LetterError> {
        let asked = Asked {
            filter: Some(query(stage)),
            force,
            ..Asked::default()
        };
        let mut filter = query(stage).filter("/filter", None)?;
        of_act(act, &asked, &mut filter)?;
        Ok(filter.stages)
    }

    #[test]
    fn a_filter_means_what_can_be_had_it_done_to() {
        use Stage::{Dead, Forged, Parked};
        for (act, stage, force, meant) in [
            (Act::Replay, None, false, vec![Dead]),
            (Act::Replay, Some("any"), false, vec![Dead]),
            (Act::Replay, Some("any"), true, vec![Dead, Parked]),
            (Act::Replay, Some("parked"), true, vec![Parked]),
            (Act::Cancel, None, false, vec![Dead, Parked]),
            (Act::Cancel, Some("parked"), false, vec![Parked]),
            (Act::Unpark, None, false, vec![Parked]),
            (Act::Discard, None, false, vec![Dead]),
            (Act::Discard, Some("any"), false, vec![Dead, Parked, Forged]),
        ] {
            assert_eq!(stages(act, stage, force), Ok(meant), "{act:?} {stage:?} {force}");
        }
        for (act, stage) in [
            (Act::Replay, "parked"),
            (Act::Replay, "landed"),
            (Act::Unpark, "dead"),
            (Act::Discard, "replayed"),
        ] {
            assert!(stages(act, Some(stage), false).is_err(), "{act:?} {stage}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_filter_has_its_place() {
        let wrong = LetterQuery {
            campaign: Some(" ".into()),
            key: Some("*".into()),
            from: Some("then".into()),
            stage: Some("soon".into()),
            ..LetterQuery::default()
        };
        let Err(LetterError::Invalid(faults)) = wrong.filter("/filter", None) else {
            panic!("it is taken");
        };
        let places: Vec<&str> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(
            places,
            ["/filter/campaign", "/filter/key", "/filter/from", "/filter/stage"]
        );
    }
}
