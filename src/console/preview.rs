//! What rules would have done, before they count: recorded attempts under the rules in force and under a revision; and attempts that
//! somebody makes up, to see what each of the two says to them.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, Path, State};
use axum::http::Method;
use axum::response::Response;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::Console;
use super::acts::faults_of;
use super::api::{Ask, Fault, Trouble, ask, segment};
use super::figures::{Campaign, Estimate, Flip, Revision, Simulation};
use super::form::{Form, moment};
use super::look;
use super::page::{self, Frame};
use super::revisions::numbered;
use super::rules::{asked, spec};
use super::sale::{Heading, shown};
use super::visitor::{Reached, Visitor};
use super::words::{Words, fill, grouped};

const SCOPE: &str = "campaigns:write";
/// Attempts that somebody may make up at once.
const TIMES_MAX: usize = 100;
/// Milliseconds between two of them.
const BETWEEN_MS: i64 = 1_000;

/// An outcome on both sides.
struct OutcomeLine {
    code: String,
    word: &'static str,
    recorded: String,
    old: String,
    new: String,
}

struct FlipLine {
    from: String,
    to: String,
    count: String,
    all: String,
    /// Moment, buyer, SKU and units.
    examples: Vec<(String, String, String, u32)>,
}

/// What came of the two sides.
struct Found {
    about: String,
    sentences: Vec<String>,
    outcomes: Vec<OutcomeLine>,
    flips: Vec<FlipLine>,
    notes: Vec<String>,
}

#[derive(Template)]
#[template(path = "preview.html")]
struct PreviewPage {
    frame: Frame,
    heading: Heading,
    action: String,
    revision: u32,
    revisions: Vec<u32>,
    /// Value and words of each; whether it is chosen.
    sources: Vec<(&'static str, &'static str, bool)>,
    olds: Vec<(&'static str, &'static str, bool)>,
    is_active: bool,
    faults: Vec<Fault>,
    found: Option<Found>,
}

#[derive(Template)]
#[template(path = "playground.html")]
struct PlaygroundPage {
    frame: Frame,
    heading: Heading,
    action: String,
    revision: u32,
    revisions: Vec<u32>,
    skus: Vec<(String, bool)>,
    user: String,
    quantity: String,
    times: String,
    at: String,
    ip: String,
    claims: String,
    client: String,
    faults: Vec<Fault>,
    found: Option<Found>,
}

fn outcome(words: &'static Words, code: &str) -> &'static str {
    match code {
        "admitted" => words.admitted,
        code => words.why_rejected(code),
    }
}

fn estimated(words: &Words, all: Option<Estimate>) -> String {
    all.map_or_else(String::new, |all| {
        let (count, margin) = (grouped(all.count), grouped(all.margin));
        fill(words.of_all_buyers, &[("count", &count), ("margin", &margin)])
    })
}

impl Found {
    fn of(words: &'static Words, simulation: Simulation) -> Self {
        let (flipped, attempts) = (grouped(simulation.flipped), grouped(simulation.attempts));
        let about = fill(
            words.flipped_of,
            &[("flipped", &flipped), ("attempts", &attempts)],
        );
        let all = estimated(words, simulation.flipped_all);
        let line = |flip: Flip| FlipLine {
            count: grouped(flip.count),
            all: estimated(words, flip.all),
            examples: flip
                .examples
                .into_iter()
                .map(|one| (shown(one.at), one.user, one.sku, one.quantity))
                .collect(),
            from: flip.from,
            to: flip.to,
        };
        Self {
            about: format!("{about} {all}"),
            sentences: simulation.new.explain,
            outcomes: simulation
                .outcomes
                .into_iter()
                .map(|one| OutcomeLine {
                    word: outcome(words, &one.outcome),
                    recorded: grouped(one.recorded),
                    old: grouped(one.old),
                    new: grouped(one.new),
                    code: one.outcome,
                })
                .collect(),
            flips: simulation.flips.into_iter().map(line).collect(),
            notes: simulation.notes,
        }
    }
}

/// The revision that a page is about: that of its query, or the newest.
struct Chosen {
    campaign: Campaign,
    revision: Revision,
    number: u32,
    /// Those that can be chosen, newest first.
    revisions: Vec<u32>,
}

impl Chosen {
    async fn of(console: &Console, visitor: &Visitor, id: &str, form: &Form) -> Result<Self, Trouble> {
        let campaign: Campaign = ask(&console.inside, &visitor.holder, &look::campaign(id)).await?;
        let listed = Ask::get(format!("/campaigns/{}/revisions?limit=50", segment(id)));
        let listed: super::figures::Revisions = ask(&console.inside, &visitor.holder, &listed).await?;
        let mut revisions: Vec<u32> = listed.revisions.iter().map(|head| head.revision).collect();
        let newest = revisions.first().copied().unwrap_or(campaign.revision);
        let number = match form.get("revision") {
            None => newest,
            Some(text) => numbered(text)?,
        };
        let revision: Revision = ask(&console.inside, &visitor.holder, &asked(id, number)).await?;
        if !revisions.contains(&number) {
            revisions.push(number);
        }
        Ok(Self {
            campaign,
            revision,
            number,
            revisions,
        })
    }

    /// The simulation of it.
    fn simulation(&self, old: Option<&str>, from: &str) -> Ask {
        let revision = &self.revision;
        let mut body = json!({"rules": revision.rules.iter().map(spec).collect::<Vec<_>>(), "from": from});
        if let Some(old) = old {
            body["old"] = old.into();
        }
        if let (Some(opens_at), Some(closes_at)) = (revision.opens_at, revision.closes_at) {
            body["opens_at"] = json!(opens_at);
            body["closes_at"] = json!(closes_at);
        }
        // What is left out would be that of the active revision.
        body["fold"] = match &revision.fold {
            Value::Null => json!({}),
            fold => fold.clone(),
        };
        let path = format!("/campaigns/{}/simulate", segment(&self.campaign.id));
        Ask::send(Method::POST, path, body)
    }
}

/// What is wrong with what was asked stands on the page; anything else is a page of its own.
async fn simulated(
    console: &Console,
    visitor: &Visitor,
    asked: &Ask,
) -> Result<Result<Found, Vec<Fault>>, Trouble> {
    match ask::<Simulation>(&console.inside, &visitor.holder, asked).await {
        Ok(simulation) => Ok(Ok(Found::of(visitor.look.words, simulation))),
        Err(trouble) if trouble.status < 500 && trouble.status != 401 => Ok(Err(faults_of(&trouble))),
        Err(trouble) => Err(trouble),
    }
}

/// Recorded attempts under both.
pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(reached): Extension<Reached>,
    Extension(form): Extension<Form>,
    Path(id): Path<String>,
) -> Result<Response, Trouble> {
    let words = visitor.look.words;
    let chosen = Chosen::of(&console, &visitor, &id, &form).await?;
    let from = form.get("from").unwrap_or("sample");
    let old = form.get("old").unwrap_or("active");
    let asked = chosen.simulation(Some(old), from);
    if let Some(json) = page::as_json(&console, &visitor, &asked).await? {
        return Ok(json);
    }
    let (found, faults) = match simulated(&console, &visitor, &asked).await? {
        Ok(found) => (Some(found), Vec::new()),
        Err(faults) => (None, faults),
    };
    let frame = Frame::of(
        &visitor,
        format!("{}: {}", chosen.campaign.title, words.preview),
        "sales",
    );
    let status = page::status(&faults);
    Ok(page::show_as(
        status,
        &PreviewPage {
            frame: frame.asking(&asked, &reached, SCOPE),
            heading: Heading::of(&chosen.campaign, "preview"),
            action: format!("{}/preview", page::sale_path(&id)),
            revision: chosen.number,
            is_active: chosen.number == chosen.campaign.revision,
            revisions: chosen.revisions,
            sources: vec![
                ("sample", words.source_sample, from == "sample"),
                ("orders", words.source_orders, from == "orders"),
            ],
            olds: vec![
                ("active", words.old_active, old == "active"),
                ("recorded", words.old_recorded, old == "recorded"),
            ],
            faults,
            found,
        },
    ))
}

/// `name = value`, one per line, as attributes of this kind.
fn named(kind: &str, text: &str, pointer: &str, into: &mut Map<String, Value>) -> Result<(), Fault> {
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let Some((name, value)) = line.split_once('=') else {
            return Err(Fault {
                pointer: pointer.to_owned(),
                detail: format!("{line:?} is not of the form name = value"),
                hint: None,
            });
        };
        into.insert(format!("{kind}:{}", name.trim()), value.trim().into());
    }
    Ok(())
}

/// The attempts that a form makes up, a second apart.
fn made_up(form: &Form, now: Timestamp) -> Result<Vec<Value>, Fault> {
    let fault = |pointer: &str, detail: String| Fault {
        pointer: pointer.to_owned(),
        detail,
        hint: None,
    };
    let number = |name: &str, most: usize| {
        let text = form.get(name).unwrap_or("1");
        let read = text.parse::<usize>().ok();
        read.filter(|number| (1..=most).contains(number))
            .ok_or_else(|| fault(name, format!("{text:?} is not a whole number from 1 to {most}")))
    };
    let (quantity, times) = (number("quantity", 1_000)?, number("times", TIMES_MAX)?);
    let at = match form.get("at") {
        None => now,
        Some(text) => moment(text)
            .parse()
            .map_err(|_| fault("at", format!("{text:?} is no time")))?,
    };
    let mut attributes = Map::new();
    named(
        "claim",
        form.get("claims").unwrap_or_default(),
        "claims",
        &mut attributes,
    )?;
    named(
        "client",
        form.get("client").unwrap_or_default(),
        "client",
        &mut attributes,
    )?;
    if let Some(ip) = form.get("ip") {
        attributes.insert("ip".to_owned(), ip.into());
    }
    let attempt = |index: usize| {
        let at = at.as_millisecond() + index as i64 * BETWEEN_MS;
        let at = Timestamp::from_millisecond(at).unwrap_or(Timestamp::MAX);
        json!({"at": format!("{at:.3}"), "user": form.get("user").unwrap_or("ada"), "sku": form.get("sku").unwrap_or_default(),
            "quantity": quantity, "attributes": attributes})
    };
    Ok((0..times).map(attempt).collect())
}

/// Attempts that somebody makes up, under both.
pub(super) async fn play(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(reached): Extension<Reached>,
    Extension(mut form): Extension<Form>,
    Path(id): Path<String>,
) -> Result<Response, Trouble> {
    let words = visitor.look.words;
    let chosen = Chosen::of(&console, &visitor, &id, &form).await?;
    let was_sent = form.has("user");
    if form.get("sku").is_none() {
        let first = chosen.campaign.skus.first().map(|sku| sku.id.clone());
        form.set("sku", first.unwrap_or_default());
    }
    // A sale that is not on is tried at its opening.
    let (opens, closes) = (chosen.campaign.opens_at, chosen.campaign.closes_at);
    let now = match Timestamp::now() {
        now if now < opens || now >= closes => opens,
        now => now,
    };
    let mut asked = chosen.simulation(None, "file");
    let (found, faults) = match made_up(&form, now) {
        Err(fault) => (None, vec![fault]),
        Ok(lines) => {
            asked = asked.with_lines(lines);
            if let Some(json) = page::as_json(&console, &visitor, &asked).await? {
                return Ok(json);
            }
            match was_sent {
                false => (None, Vec::new()),
                true => match simulated(&console, &visitor, &asked).await? {
                    Ok(found) => (Some(found), Vec::new()),
                    Err(faults) => (None, faults),
                },
            }
        }
    };
    let text = |name: &str| form.get(name).unwrap_or_default().to_owned();
    let or_one = |name: &str| form.get(name).unwrap_or("1").to_owned();
    let frame = Frame::of(
        &visitor,
        format!("{}: {}", chosen.campaign.title, words.playground),
        "sales",
    );
    let status = page::status(&faults);
    let sku = text("sku");
    Ok(page::show_as(
        status,
        &PlaygroundPage {
            frame: frame.asking(&asked, &reached, SCOPE),
            heading: Heading::of(&chosen.campaign, "playground"),
            action: format!("{}/playground", page::sale_path(&id)),
            revision: chosen.number,
            revisions: chosen.revisions,
            skus: chosen
                .campaign
                .skus
                .iter()
                .map(|one| (one.id.clone(), one.id == sku))
                .collect(),
            user: form.get("user").unwrap_or("ada").to_owned(),
            quantity: or_one("quantity"),
            times: or_one("times"),
            at: text("at"),
            ip: text("ip"),
            claims: text("claims"),
            client: text("client"),
            faults,
            found,
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_made_up_a_second_apart() {
        let form = Form::read(
            b"user=bob&sku=mug&quantity=2&times=2&at=2026-12-01T10:00&claims=tier+%3D+gold%0A&client=device=d1&ip=1.2.3.4",
        );
        let made = made_up(&form, Timestamp::UNIX_EPOCH).unwrap_or_else(|fault| panic!("{}", fault.detail));
        let attributes = json!({"claim:tier": "gold", "client:device": "d1", "ip": "1.2.3.4"});
        assert_eq!(
            made,
            [
                json!({"at": "2026-12-01T10:00:00.000Z", "user": "bob", "sku": "mug", "quantity": 2, "attributes": attributes}),
                json!({"at": "2026-12-01T10:00:01.000Z", "user": "bob", "sku": "mug", "quantity": 2, "attributes": attributes}),
            ]
        );
        for (wrong, at) in [
            (&b"times=0"[..], "times"),
            (b"times=101", "times"),
            (b"quantity=x", "quantity"),
            (b"at=soon", "at"),
            (b"claims=tier", "claims"),
        ] {
            let fault = made_up(&Form::read(wrong), Timestamp::UNIX_EPOCH).map(|_| ());
            assert_eq!(fault.map_err(|fault| fault.pointer), Err(at.to_owned()));
        }
    }
}
