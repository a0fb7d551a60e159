//! Other times, another title and other terms for a campaign: other times are a revision like the active one under another
//! schedule, activated instead of it.

use std::collections::BTreeMap;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::activate::{Beside, others_activate};
use super::campaigns::schedule_of;
use super::considered::Considered;
use super::eyes::needs_two;
use super::loader::seller;
use super::operations::{Answered, Operation};
use super::origins;
use super::problem::Problem;
use super::requests::{check_schedule, check_title};
use super::revise::{Likeness, like};
use super::terms::{TermsView, check_terms, told_terms};
use super::{Activated, Control, ControlError, RevisionAnswer};
use crate::campaign::{Origins, Schedule};
use crate::order::{Hold, OrderTerms, Release};
use crate::plan::diff::{Change, needs_accept};
use crate::ruleset::About;
use crate::store::{CampaignEdit, CampaignRow};
use crate::wire::{self, Moment};

/// As the audit trail names it.
pub const CHANGE: &str = "campaign.change";

/// Revisions that are made of a campaign's active one while others activate their own.
const TRIES: u32 = 5;

/// What is to change of a campaign. What is left out stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CampaignChange {
    /// Up to 200 bytes.
    #[schema(max_length = 200)]
    pub title: Option<String>,
    pub opens_at: Option<jiff::Timestamp>,
    pub closes_at: Option<jiff::Timestamp>,
    /// Whose pages may read what is said of it; `null`: those that the configuration names.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "wire::json::given"
    )]
    #[schema(value_type = Option<Vec<String>>)]
    pub origins: origins::Asked,
    /// Ids of counters that may be re-keyed or dropped: other times may cut windows anew.
    pub accept: Vec<String>,
    /// `null`: none of the orders that land from now on expires.
    #[serde(
        deserialize_with = "wire::json::given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<Hold>)]
    pub hold: Option<Option<Hold>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancel_by_buyer: Option<bool>,
    /// `null`: everything comes back, whatever the reason.
    #[serde(
        deserialize_with = "wire::json::given_once_each",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<BTreeMap<String, Release>>)]
    pub releases: Option<Option<BTreeMap<String, Release>>>,
    /// Whether what decides in it needs the approval of another person. To turn that off needs one, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub four_eyes: Option<bool>,
    /// For the audit trail.
    #[schema(max_length = 500)]
    pub note: Option<String>,
}

impl CampaignChange {
    /// The terms with what is to change of them.
    fn terms(&self, before: &OrderTerms) -> OrderTerms {
        let releases = self.releases.clone().map(Option::unwrap_or_default);
        OrderTerms {
            hold: self.hold.unwrap_or(before.hold),
            cancel_by_buyer: self.cancel_by_buyer.unwrap_or(before.cancel_by_buyer),
            releases: releases.unwrap_or_else(|| before.releases.clone()),
        }
    }

    fn is_of_terms(&self) -> bool {
        self.hold.is_some() || self.cancel_by_buyer.is_some() || self.releases.is_some()
    }
}

/// What a change of a campaign answers.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct CampaignChanged {
    pub campaign: String,
    /// What was done, or would be, in a sentence or two.
    pub did: String,
    pub title: String,
    pub opens_at: Moment,
    pub closes_at: Moment,
    /// Missing where they are those that the configuration names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origins: Option<Arc<Origins>>,
    /// The revision of other times; missing where times stay, and of a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// Of a dry run: counters that have to be accepted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accept: Vec<String>,
    /// What other times change against the revision in force.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// Whether what decides in it needs the approval of another person.
    pub four_eyes: bool,
    /// Of its orders.
    #[serde(flatten)]
    pub terms: TermsView,
}

impl Control {
    /// What it answers is a [`CampaignChanged`]. A dry run changes nothing, and is not remembered.
    pub async fn change_campaign(
        &self,
        operation: Operation<'_>,
        change: CampaignChange,
        dry_run: bool,
    ) -> Result<Answered, ControlError> {
        check(&change)?;
        if dry_run {
            let unkept = Operation {
                key: None,
                ..operation
            };
            let asked = &change;
            return self
                .once(unkept, asked, async |_| {
                    self.rehearse(operation.campaign, asked).await
                })
                .await;
        }
        let asked = &change;
        let row = self.row(operation.campaign).await?;
        if Self::is_proposed(&row, operation) && needs_approval(&row, asked) {
            let would = self.rehearse(operation.campaign, asked).await?.did;
            return self.propose(operation, &json!(asked), would).await;
        }
        self.once(operation, asked, async |_| self.change(operation, asked).await)
            .await
    }

    async fn rehearse(
        &self,
        campaign: &str,
        asked: &CampaignChange,
    ) -> Result<CampaignChanged, ControlError> {
        let (row, now) = self.running(campaign).await?;
        let schedule = schedule_of(row.schedule, asked.opens_at, asked.closes_at);
        let (before, terms) = self.terms_changed(campaign, asked).await?;
        let mut changed = CampaignChanged::of(&row, asked, schedule, &terms);
        if schedule != row.schedule {
            let active = self.stored_revision(campaign, row.activation.revision).await?;
            let mut like = like(active.revision.clone())?;
            let set = self.set_times(&mut like, schedule);
            set.map_err(|error| about_times(error, asked))?;
            let considered = self.consider(campaign, &like.new, like.lists).await;
            let answer = considered.and_then(Considered::answer);
            changed.compared(answer.map_err(|error| about_times(error, asked))?);
        }
        changed.did = told(
            &row,
            asked,
            (schedule, told_terms(&before, &terms, true)),
            now,
            true,
        );
        Ok(changed)
    }

    async fn change(
        &self,
        operation: Operation<'_>,
        asked: &CampaignChange,
    ) -> Result<CampaignChanged, ControlError> {
        let (row, now) = self.running(operation.campaign).await?;
        let schedule = schedule_of(row.schedule, asked.opens_at, asked.closes_at);
        let (before, terms) = self.terms_changed(operation.campaign, asked).await?;
        let mut changed = CampaignChanged::of(&row, asked, schedule, &terms);
        changed.did = told(
            &row,
            asked,
            (schedule, told_terms(&before, &terms, false)),
            now,
            false,
        );
        let edit = edit(&row, &changed, (&before, &terms));
        let (from, to) = from_to(&row, (&before, &terms), (schedule, &edit));
        let telling = |revision: Option<u32>| {
            let mut detail = json!(asked);
            detail["revision"] = revision.into();
            (detail["from"], detail["to"]) = (from.clone(), to.clone());
            detail
        };
        if schedule != row.schedule {
            let change = |there| schedule_of(there, asked.opens_at, asked.closes_at);
            let told = |revision, _| telling(Some(revision));
            let beside = Beside {
                edit: edit.clone(),
                told: Some(&told),
            };
            // What was answered to be changed is what was there: somebody else's times are not overwritten.
            let activated = self
                .revise((operation, &beside), &asked.accept, Some(row.schedule), change)
                .await;
            let activated = activated.map_err(|error| about_times(error, asked))?;
            changed.revision = Some(activated.revision);
            changed.epoch = Some(activated.epoch);
            changed.changes = activated.changes;
        } else if edit != CampaignEdit::default() {
            let now = (self.clock)();
            let line = [operation.line(now, telling(None))];
            let bypass = operation.bypass(now);
            let warrant = operation.pass.warrant(None, &bypass);
            let is_bypass = self
                .store
                .edit_campaign_on(operation.campaign, &edit, warrant, &line);
            self.alarm(operation, is_bypass.await?);
        }
        if edit.title.is_some() || edit.origins.is_some() {
            let about = About {
                title: changed.title.clone(),
                origins: changed.origins.clone(),
                seller: seller(&row),
            };
            self.ruleset.abouts.set(operation.campaign, about);
        }
        Ok(changed)
    }

    /// The terms of its orders, and what they are to be.
    async fn terms_changed(
        &self,
        campaign: &str,
        asked: &CampaignChange,
    ) -> Result<(OrderTerms, OrderTerms), ControlError> {
        let before = self.terms(campaign).await?;
        let after = asked.terms(&before);
        Ok((before, after))
    }

    /// Makes a revision like the active one under another schedule, and activates it instead of that one: both again where
    /// another was activated meanwhile, unless the sale has other times than `expected` by then. `accept` is as for an activation.
    pub(super) async fn revise(
        &self,
        (operation, beside): (Operation<'_>, &Beside<'_>),
        accept: &[String],
        expected: Option<Schedule>,
        schedule: impl Fn(Schedule) -> Schedule,
    ) -> Result<Activated, ControlError> {
        let campaign = operation.campaign;
        let mut operation = operation;
        let _turn = self.turns.at(campaign).await;
        for _ in 0..TRIES {
            let row = self.row(campaign).await?;
            if Self::is_proposed(&row, operation) {
                return Err(needs_two("a change of times", "ask again, and it is proposed"));
            }
            let active = self.stored_revision(campaign, row.activation.revision).await?;
            let there = active.revision.schedule;
            if expected.is_some_and(|expected| expected != there) {
                return Err(ControlError::Conflict(format!(
                    "somebody else has changed the times of campaign {campaign:?} at the same time: it opens at {} and closes at {}. \
                     Look at it, and ask again",
                    Moment(there.opens_at),
                    Moment(there.closes_at)
                )));
            }
            let mut like = like(active.revision.clone())?;
            self.set_times(&mut like, schedule(there))?;
            // What is refused leaves no revision behind.
            let mut considered = self.consider(campaign, &like.new, like.lists).await?;
            self.may_activate(&mut considered, accept).await?;
            let kept = self.keep(operation.by, campaign, &like.new, considered).await?;
            operation = operation.begun();
            let revision = kept.stored()?;
            let expected = Some(active.revision.number);
            let activated = self.activate_instead_of(expected, operation, revision, accept, beside);
            if let Some(activated) = activated.await? {
                return Ok(activated);
            }
        }
        Err(others_activate(campaign))
    }

    /// A sale that was over for so long already would be archived at once, orders that are on their way among the rest.
    fn set_times(&self, like: &mut Likeness, schedule: Schedule) -> Result<(), ControlError> {
        let mut problems = Vec::new();
        check_schedule(schedule, &mut problems);
        if problems.is_empty() && schedule.is_archived((self.clock)()) {
            let detail = format!(
                "a sale that closed at {} and is kept for {} days would be archived at once",
                Moment(schedule.closes_at),
                schedule.retention_days()
            );
            problems.push(Problem::new("/closes_at", detail).hint("give a later one"));
        }
        if !problems.is_empty() {
            return Err(ControlError::Invalid(problems));
        }
        let moment = |at, place: &str| {
            jiff::Timestamp::from_millisecond(at)
                .map_err(|_| ControlError::Invalid(vec![Problem::new(place, "is no moment of any calendar")]))
        };
        like.new.opens_at = Some(moment(schedule.opens_at, "/opens_at")?);
        like.new.closes_at = Some(moment(schedule.closes_at, "/closes_at")?);
        Ok(())
    }
}

/// What is to change besides times.
fn edit(
    row: &CampaignRow,
    changed: &CampaignChanged,
    (before, terms): (&OrderTerms, &OrderTerms),
) -> CampaignEdit {
    let origins = (row.origins != changed.origins).then(|| changed.origins.as_deref().cloned());
    CampaignEdit {
        title: (row.campaign.title != changed.title).then(|| changed.title.clone()),
        origins,
        terms: (before != terms).then(|| terms.clone()),
        four_eyes: (row.four_eyes.is_on() != changed.four_eyes).then_some(changed.four_eyes),
    }
}

/// Whether it changes what decides, or that another person has to agree to that.
fn needs_approval(row: &CampaignRow, asked: &CampaignChange) -> bool {
    let schedule = schedule_of(row.schedule, asked.opens_at, asked.closes_at);
    schedule != row.schedule || asked.four_eyes == Some(false)
}

/// What of it was otherwise, and how it is then, for the audit trail.
fn from_to(
    row: &CampaignRow,
    (before, terms): (&OrderTerms, &OrderTerms),
    (schedule, edit): (Schedule, &CampaignEdit),
) -> (Value, Value) {
    let (mut from, mut to) = (json!({}), json!({}));
    let mut differs = |name: &str, one: Value, other: Value| {
        if one != other {
            (from[name], to[name]) = (one, other);
        }
    };
    let moment = |at| json!(Moment(at));
    differs(
        "opens_at",
        moment(row.schedule.opens_at),
        moment(schedule.opens_at),
    );
    differs(
        "closes_at",
        moment(row.schedule.closes_at),
        moment(schedule.closes_at),
    );
    if let Some(title) = &edit.title {
        differs("title", json!(row.campaign.title), json!(title));
    }
    if let Some(four_eyes) = edit.four_eyes {
        differs("four_eyes", json!(row.four_eyes.is_on()), json!(four_eyes));
    }
    if let Some(origins) = &edit.origins {
        differs("origins", json!(row.origins.as_deref()), json!(origins));
    }
    differs("hold", json!(before.hold), json!(terms.hold));
    differs(
        "cancel_by_buyer",
        json!(before.cancel_by_buyer),
        json!(terms.cancel_by_buyer),
    );
    differs("releases", json!(before.releases), json!(terms.releases));
    (from, to)
}

impl CampaignChanged {
    fn of(row: &CampaignRow, asked: &CampaignChange, schedule: Schedule, terms: &OrderTerms) -> Self {
        let title = asked.title.as_ref().unwrap_or(&row.campaign.title);
        Self {
            campaign: row.campaign.id.clone(),
            did: String::new(),
            title: title.clone(),
            opens_at: Moment(schedule.opens_at),
            closes_at: Moment(schedule.closes_at),
            origins: origins::after(&asked.origins, row),
            revision: None,
            epoch: None,
            accept: Vec::new(),
            changes: Vec::new(),
            four_eyes: asked.four_eyes.unwrap_or(row.four_eyes.is_on()),
            terms: terms.clone().into(),
        }
    }

    /// What a revision that is not stored would change.
    fn compared(&mut self, answer: RevisionAnswer) {
        self.changes = answer.compared.map_or_else(Vec::new, |compared| compared.changes);
        let needed = needs_accept(&self.changes).map(|(id, _)| id.to_owned());
        self.accept = needed.collect();
    }
}

/// Whether it says what is to change, a title that can be shown, and origins that there are. Times that do not go together are refused where the others
/// are known.
fn check(change: &CampaignChange) -> Result<(), ControlError> {
    let mut problems = Vec::new();
    if let CampaignChange {
        title: None,
        opens_at: None,
        closes_at: None,
        origins: None,
        four_eyes: None,
        ..
    } = change
        && !change.is_of_terms()
    {
        problems.push(Problem::new("", "says nothing that is to change").hint(
            "give \"title\", \"opens_at\", \"closes_at\", \"origins\", \"hold\", \"cancel_by_buyer\", \"releases\" or \"four_eyes\"",
        ));
    }
    match change.title.as_deref() {
        Some("") => problems.push(Problem::new("/title", "is empty")),
        Some(title) => check_title(title, &mut problems),
        None => {}
    }
    check_terms(&change.terms(&OrderTerms::default()), &mut problems);
    origins::check(&change.origins, &mut problems);
    match problems.is_empty() {
        true => Ok(()),
        false => Err(ControlError::Invalid(problems)),
    }
}

/// What is wrong with rules that nobody sent is wrong with the times.
fn about_times(error: ControlError, asked: &CampaignChange) -> ControlError {
    let ControlError::Invalid(problems) = error else {
        return error;
    };
    let place = if asked.closes_at.is_some() {
        "/closes_at"
    } else {
        "/opens_at"
    };
    let other = match place {
        "/closes_at" => ("/opens_at", "opens_at"),
        _ => ("/closes_at", "closes_at"),
    };
    let is_sent = asked.opens_at.is_some() && asked.closes_at.is_some();
    let of_rules = |pointer: &str| pointer.starts_with("/rules") || pointer.starts_with("/shadow");
    let told = problems
        .into_iter()
        .map(|problem| match of_rules(&problem.pointer) {
            // What nobody sent is wrong together with what was sent.
            false if !is_sent && problem.pointer == other.0 => Problem {
                pointer: place.to_owned(),
                detail: format!("{}, which stays as it is, {}", other.1, problem.detail),
                ..problem
            },
            false => problem,
            true => Problem::new(
                place,
                format!(
                    "is not taken by the rules of the active revision: {} {}",
                    problem.pointer, problem.detail
                ),
            )
            .hint("make a revision with these times and other parameters, and activate that"),
        });
    ControlError::Invalid(told.collect())
}

/// What the change comes to. `now` is the engine's clock.
fn told(
    row: &CampaignRow,
    asked: &CampaignChange,
    (schedule, terms): (Schedule, Vec<String>),
    now: i64,
    dry_run: bool,
) -> String {
    let mut parts = Vec::new();
    let would = |is: &str, would: &str| if dry_run { would.to_owned() } else { is.to_owned() };
    let (before, after) = (row.schedule, schedule);
    if before.opens_at != after.opens_at {
        let verb = would("opens", "would open");
        parts.push(format!(
            "It {verb} at {} instead of {}.",
            Moment(after.opens_at),
            Moment(before.opens_at)
        ));
    }
    if before.closes_at != after.closes_at {
        let verb = would("closes", "would close");
        let instead = Moment(before.closes_at);
        parts.push(format!(
            "It {verb} at {} instead of {instead}.",
            Moment(after.closes_at)
        ));
    }
    let paused = row.pause.pause.at(now);
    let state = after.state(now, paused);
    if !parts.is_empty() && before.state(now, paused) != state {
        let verb = would("is", "would be");
        parts.push(format!("So it {verb} {state} from now on."));
    }
    if let Some(title) = asked.title.as_ref().filter(|title| **title != row.campaign.title) {
        let verb = would("is", "would be");
        parts.push(format!("Its title {verb} {title:?}."));
    }
    parts.extend(terms);
    if let Some(on) = asked.four_eyes.filter(|on| *on != row.four_eyes.is_on()) {
        let verb = would("needs", "would need");
        parts.push(match on {
            true => format!("What decides in it {verb} the approval of another person from now on; revision {} stays in force.", row.activation.revision),
            false => format!("What decides in it {verb} nobody's approval any more."),
        });
    }
    let origins = origins::after(&asked.origins, row);
    if origins != row.origins {
        parts.push(origins::told(origins.as_deref(), dry_run));
    }
    match (parts.is_empty(), dry_run) {
        (true, false) => "It is so already: nothing was changed.".to_owned(),
        (true, true) => "It is so already: nothing would change.".to_owned(),
        (false, false) => parts.join(" "),
        (false, true) => format!("{} Nothing was changed: this was a dry run.", parts.join(" ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(json: serde_json::Value) -> CampaignChange {
        serde_json::from_value(json).expect("well-formed")
    }

    #[test]
    fn a_fault_stands_at_what_was_sent() {
        let told = |json: serde_json::Value| {
            let fault = Problem::new("/closes_at", "is not after opens_at");
            match about_times(ControlError::Invalid(vec![fault]), &change(json)) {
                ControlError::Invalid(problems) => (problems[0].pointer.clone(), problems[0].detail.clone()),
                other => panic!("{other}"),
            }
        };
        let (opens, closes) = ("2026-12-03T10:00:00Z", "2026-12-02T10:00:00Z");
        assert_eq!(
            told(serde_json::json!({"opens_at": opens})),
            (
                "/opens_at".to_owned(),
                "closes_at, which stays as it is, is not after opens_at".to_owned()
            )
        );
        for sent in [
            serde_json::json!({"closes_at": closes}),
            serde_json::json!({"opens_at": opens, "closes_at": closes}),
        ] {
            assert_eq!(told(sent).0, "/closes_at");
        }
    }

    #[test]
    fn null_takes_away_and_what_is_left_out_stays() {
        let before = OrderTerms {
            hold: change(serde_json::json!({"hold": {"minutes": 15}}))
                .hold
                .flatten(),
            cancel_by_buyer: true,
            releases: [("fraud".to_owned(), Release::Stock)].into(),
        };
        assert!(before.hold.is_some());
        let after = |json| change(json).terms(&before);
        assert_eq!(after(serde_json::json!({"title": "Spring"})), before);
        let none = after(serde_json::json!({"hold": null, "cancel_by_buyer": false, "releases": null}));
        assert_eq!(none, OrderTerms::default());
        let told = told_terms(&before, &none, false).concat();
        assert_eq!(
            told,
            "None of the orders that land from now on expires.Buyers cannot cancel any more.\
             Of an order that ends comes back: everything otherwise."
        );
        assert_eq!(told_terms(&before, &before, true), [""; 0]);
        let told = told_terms(&none, &before, true);
        assert_eq!(
            told[0],
            "Orders that land from now on would have to be paid within 15 min, or expire."
        );
        assert_eq!(
            told[2],
            "Of an order that ends would come back: stock for fraud, everything otherwise."
        );
    }
}
