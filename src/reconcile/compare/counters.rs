//! Counters: what the engine counts of each subject against what landed orders, and those on their way, were charged.
//!
//! Two passes find candidates: rows of `usage` against the engine, and the engine's fields without a row. A candidate
//! counts when the engine said the same before and after the database was read, and the database something else. Values
//! alone do not tell: a charge given back and another one taken leave the same number, so that nothing may have been
//! given back in between either.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::orders::BUCKETS_AT_ONCE;
use super::shard::Desk;
use super::values::{Live, Span, Units};
use super::{CompareError, Difference, Kind, Mend, Part, Place};
use crate::lua::keys;
use crate::lua::places::CountAt;
use crate::order::{Charge, OrderEvent, OrderId};
use crate::store::{HeldOrder, UsageRow};

/// Rows of `usage` read at a time.
const PAGE: u32 = 1000;
/// Candidates confirmed at a time.
const CONFIRM_AT_ONCE: usize = 2000;
/// Looks at a candidate that keeps changing.
const ROUNDS: usize = 4;

/// A count that may differ.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Candidate {
    /// Index into the counters of the plan.
    counter: usize,
    subject: String,
}

/// What was found so far.
#[derive(Default)]
struct Found {
    /// Candidates to be looked at again.
    open: Vec<Candidate>,
    different: HashSet<Candidate>,
    /// Marks of the subjects that `usage` knows, 8 bytes each, sorted once all are there.
    charged: Vec<u64>,
    part: Part,
}

/// What a round found out about a candidate.
enum Finding {
    Same,
    Unsettled,
    Differs(Box<Difference>),
}

/// The database's side of a round.
struct Known {
    /// By candidate.
    usage: HashMap<Candidate, Units>,
    /// Most units of it that the database allows; the inner `None`: any number.
    allowed: HashMap<Candidate, Option<i64>>,
    /// As the database said.
    held: Vec<HeldOrder>,
    /// Of dead letters, and of orders in the outbox that are not in the database.
    coming: Vec<Charge>,
    /// What released orders are going to give back.
    going: Vec<Charge>,
    /// Counts of orders that came into the database while it was read.
    moving: HashSet<Candidate>,
    expires_at: i64,
}

impl Desk<'_> {
    pub(super) async fn compare_counters(&self) -> Result<Part, CompareError> {
        let moment = self.moment().await?;
        let lives = Live::of_plan(&self.compiled.family.plan, moment.ledger.now);
        let mut found = Found::default();
        if lives.is_empty() {
            return Ok(found.part);
        }
        // What lags behind would only be looked at twice.
        self.landed().await?;
        let mut held = self.reconcile.store.held_orders(self.campaign()).await?;
        self.weigh(&mut held).await?;
        for (counter, live) in lives.iter().enumerate() {
            found.part.compared += self.against_usage(counter, live, &held, &mut found).await?;
        }
        found.charged.sort_unstable();
        self.against_engine(&lives, &mut found).await?;
        self.confirm_open(&mut found, 1).await?;
        Ok(found.part)
    }

    /// Looks at candidates again, once there are so many, until each is the same or differs.
    async fn confirm_open(&self, found: &mut Found, least: usize) -> Result<(), CompareError> {
        if found.open.len() < least {
            return Ok(());
        }
        let mut open: Vec<Candidate> = std::mem::take(&mut found.open);
        open.retain(|candidate| !found.different.contains(candidate));
        open.sort();
        open.dedup();
        for _ in 0..ROUNDS {
            let mut unsettled = Vec::new();
            for chunk in open.chunks(CONFIRM_AT_ONCE) {
                for (candidate, finding) in chunk.iter().zip(self.confirm(chunk).await?) {
                    match finding {
                        Finding::Same => {}
                        Finding::Unsettled => unsettled.push(candidate.clone()),
                        Finding::Differs(difference) => {
                            found.different.insert(candidate.clone());
                            found.part.add([*difference]);
                        }
                    }
                }
            }
            open = unsettled;
        }
        found.part.unsettled += open.len() as u64;
        Ok(())
    }

    /// Rows of `usage` that the engine counts otherwise. Says how many subjects there are.
    async fn against_usage(
        &self,
        counter: usize,
        live: &Live,
        held: &[HeldOrder],
        found: &mut Found,
    ) -> Result<u64, CompareError> {
        let mut after: Option<(String, i64)> = None;
        let mut subjects = 0;
        loop {
            let seek = after
                .as_ref()
                .map(|(subject, window)| (subject.as_str(), *window));
            let store = &self.reconcile.store;
            let mut page = store
                .usage_page(self.campaign(), &live.counter, live.from(), seek, PAGE)
                .await?;
            let full = page.len() == PAGE as usize;
            let Some(last) = page.last().cloned() else {
                return Ok(subjects);
            };
            // A subject whose entries go on in the next page is left to it, unless it fills this one.
            if full && page[0].subject != last.subject {
                page.retain(|row| row.subject != last.subject);
            }
            after = page.last().map(|row| (row.subject.clone(), row.window));
            let units = by_subject(live, page);
            subjects += units.len() as u64;
            let places: Vec<CountAt> = units.keys().map(|subject| self.place(live, subject)).collect();
            let texts = self.read_counts(&places).await?.texts;
            for ((subject, mut units), text) in units.into_iter().zip(texts) {
                if !units.is_empty() {
                    found.charged.push(mark(counter, &subject));
                }
                live.charge(charges(held), &subject, &mut units);
                if live.read(&text) != units {
                    found.open.push(Candidate { counter, subject });
                }
            }
            self.confirm_open(found, CONFIRM_AT_ONCE).await?;
            if !full {
                return Ok(subjects);
            }
        }
    }

    /// What the engine counts and no row of `usage` knows.
    async fn against_engine(&self, lives: &[Live], found: &mut Found) -> Result<(), CompareError> {
        for of_buyer in [true, false] {
            self.against_lasting(lives, of_buyer, found).await?;
        }
        for (counter, live) in lives.iter().enumerate() {
            let Some(start) = live.window() else { continue };
            let all: Vec<String> = (0..self.buckets())
                .map(|bucket| keys::counter(&live.counter, start, bucket))
                .collect();
            for keys in all.chunks(BUCKETS_AT_ONCE) {
                // A bucket of a window is made with its first order.
                for bucket in self.read_buckets(keys).await?.into_iter().flatten() {
                    let counted = bucket.iter().filter_map(|(field, value)| {
                        Some((std::str::from_utf8(field).ok()?, std::str::from_utf8(value).ok()?))
                    });
                    self.without_usage(counter, live, counted.collect(), found)
                        .await?;
                }
            }
        }
        Ok(())
    }

    /// The same of the counts that live as long as the campaign: those of buyers, or all others.
    async fn against_lasting(
        &self,
        lives: &[Live],
        of_buyer: bool,
        found: &mut Found,
    ) -> Result<(), CompareError> {
        let ours = |(_, live): &(usize, &Live)| live.window().is_none() && live.of_buyer == of_buyer;
        let lives: Vec<(usize, &Live)> = lives.iter().enumerate().filter(ours).collect();
        let buckets: Vec<String> = (0..self.buckets())
            .map(|bucket| keys::counts("", of_buyer, bucket))
            .collect();
        for keys in buckets.chunks(BUCKETS_AT_ONCE) {
            for bucket in self.read_buckets(keys).await? {
                let bucket = bucket.ok_or_else(|| CompareError::Incomplete(self.campaign().to_owned()))?;
                for (counter, live) in &lives {
                    let start = keys::count_field(&live.counter, "");
                    let counted = bucket.iter().filter_map(|(field, value)| {
                        let subject = field.strip_prefix(start.as_bytes())?;
                        Some((
                            std::str::from_utf8(subject).ok()?,
                            std::str::from_utf8(value).ok()?,
                        ))
                    });
                    self.without_usage(*counter, live, counted.collect(), found)
                        .await?;
                }
            }
        }
        Ok(())
    }

    async fn without_usage(
        &self,
        counter: usize,
        live: &Live,
        counted: Vec<(&str, &str)>,
        found: &mut Found,
    ) -> Result<(), CompareError> {
        for (subject, text) in counted {
            let known = found.charged.binary_search(&mark(counter, subject)).is_ok();
            if !known && !live.read(text).is_empty() {
                found.open.push(Candidate {
                    counter,
                    subject: subject.to_owned(),
                });
            }
        }
        self.confirm_open(found, CONFIRM_AT_ONCE).await
    }

    fn place(&self, live: &Live, subject: &str) -> CountAt {
        CountAt::new(
            &live.counter,
            live.of_buyer,
            live.window(),
            subject,
            self.buckets(),
        )
    }

    /// Engine, landing, database, engine: what was the same on both sides of the database counts.
    async fn confirm(&self, candidates: &[Candidate]) -> Result<Vec<Finding>, CompareError> {
        let now = self.moment().await?.ledger.now;
        let lives = Live::of_plan(&self.compiled.family.plan, now);
        let place = |each: &Candidate| self.place(&lives[each.counter], &each.subject);
        let places: Vec<CountAt> = candidates.iter().map(place).collect();
        let before = self.read_counts(&places).await?;
        let known = self.known(&lives, candidates).await?;
        let orders_after = self.reconcile.store.held_orders(self.campaign()).await?;
        let ids =
            |orders: &[HeldOrder]| -> HashSet<OrderId> { orders.iter().map(|each| each.order).collect() };
        let (held_before, held_after) = (ids(&known.held), ids(&orders_after));
        let after = self.read_counts(&places).await?;
        let is_quiet = before.reopened == after.reopened;
        // Whoever landed or died while `usage` was read counts on neither side, or on both.
        let mut moving = known.moving.clone();
        let gone = known
            .held
            .iter()
            .filter(|order| !held_after.contains(&order.order));
        let come = orders_after
            .iter()
            .filter(|order| !held_before.contains(&order.order));
        moving.extend(gone.chain(come).flat_map(|order| touched(&lives, &order.charges)));
        let texts = before.texts.iter().zip(&after.texts);
        let findings = candidates.iter().zip(places).zip(texts);
        Ok(findings
            .map(|((candidate, at), (before, there))| {
                if before != there || moving.contains(candidate) {
                    return Finding::Unsettled;
                }
                let (live, reopened) = (&lives[candidate.counter], &after.reopened);
                match judge(live, candidate, at, there, reopened, &known) {
                    Finding::Differs(_) if !is_quiet => Finding::Unsettled,
                    finding => finding,
                }
            })
            .collect())
    }

    async fn known(&self, lives: &[Live], candidates: &[Candidate]) -> Result<Known, CompareError> {
        let moment = self.moment().await?;
        self.landed().await?;
        let (store, campaign) = (&self.reconcile.store, self.campaign());
        let wanted: HashSet<&Candidate> = candidates.iter().collect();
        let touching = |event: &OrderEvent| touched(lives, &event.charges).any(|each| wanted.contains(&each));
        let outbox: Vec<OrderEvent> = moment.outbox.into_iter().filter(touching).collect();
        let ids: Vec<OrderId> = outbox.iter().map(|event| event.order).collect();
        let held = store.held_orders(campaign).await?;
        let known_before = store.orders_known(campaign, &ids).await?;
        let mut weighed = held.clone();
        self.weigh(&mut weighed).await?;
        let (going, coming): (Vec<_>, Vec<_>) = weighed.into_iter().partition(|order| order.released);
        let charges = |orders: Vec<HeldOrder>| orders.into_iter().flat_map(|order| order.charges).collect();
        let (mut usage, mut allowed) = (HashMap::new(), HashMap::new());
        for (counter, live) in lives.iter().enumerate() {
            let of_counter = candidates.iter().filter(|each| each.counter == counter);
            let subjects: Vec<&str> = of_counter.map(|each| each.subject.as_str()).collect();
            let rows = store
                .usage_of(campaign, &live.counter, live.from(), &subjects)
                .await?;
            for (subject, most) in live.allowed(&rows) {
                allowed.insert(Candidate { counter, subject }, most);
            }
            for (subject, units) in by_subject(live, rows) {
                usage.insert(Candidate { counter, subject }, units);
            }
        }
        let known_after = store.orders_known(campaign, &ids).await?;
        let mut known = Known {
            usage,
            allowed,
            coming: charges(coming),
            going: charges(going),
            held,
            moving: HashSet::new(),
            expires_at: moment.ledger.expires_at,
        };
        for event in outbox {
            match (
                known_before.contains(&event.order),
                known_after.contains(&event.order),
            ) {
                // It landed before: `usage` or the dead letters have it.
                (true, _) => {}
                (false, true) => known.moving.extend(touched(lives, &event.charges)),
                (false, false) => known.coming.extend(event.charges),
            }
        }
        Ok(known)
    }
}

/// Two subjects share a mark once in many billions: then a count without a row may go unseen.
fn mark(counter: usize, subject: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (counter, subject).hash(&mut hasher);
    hasher.finish()
}

/// The counts that charges are part of.
fn touched<'c>(lives: &'c [Live], charges: &'c [Charge]) -> impl Iterator<Item = Candidate> + 'c {
    charges.iter().filter_map(|charge| {
        let counter = lives.iter().position(|live| live.counter == charge.counter)?;
        Some(Candidate {
            counter,
            subject: charge.subject.clone(),
        })
    })
}

fn judge(
    live: &Live,
    candidate: &Candidate,
    at: CountAt,
    there: &str,
    reopened: &str,
    known: &Known,
) -> Finding {
    let mut right = known.usage.get(candidate).cloned().unwrap_or_default();
    let allowed = known.allowed.get(candidate).copied();
    live.expect(&known.coming, &candidate.subject, allowed, &mut right);
    live.charge(known.going.iter(), &candidate.subject, &mut right);
    let counted = live.read(there);
    if counted == right {
        return Finding::Same;
    }
    let (engine, database) = (counted.values().sum::<i64>(), right.values().sum::<i64>());
    let kind = match engine > database {
        true => Kind::CounterHigh,
        false => Kind::CounterLow,
    };
    let place = Place::Count {
        counter: live.counter.clone(),
        subject: candidate.subject.clone(),
        window: live.window(),
    };
    let mend = Mend::Count {
        at,
        to_be: live.write(there, &right),
        there: there.to_owned(),
        expires_at: match live.span {
            Span::Window { end: Some(end), .. } => Some(known.expires_at.max(end)),
            Span::Window { end: None, .. } => Some(known.expires_at),
            _ => None,
        },
        reopened: reopened.to_owned(),
    };
    Finding::Differs(Box::new(Difference::new(kind, place, engine, database, mend)))
}

fn charges(held: &[HeldOrder]) -> impl Iterator<Item = &Charge> {
    held.iter().flat_map(|order| &order.charges)
}

fn by_subject(live: &Live, rows: Vec<UsageRow>) -> BTreeMap<String, Units> {
    let mut subjects: BTreeMap<String, Units> = BTreeMap::new();
    for row in rows {
        let units = subjects.entry(row.subject).or_default();
        live.add(units, row.window, row.used);
    }
    subjects
}
