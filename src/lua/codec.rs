//! The codec between Rust and the generated scripts: arguments out, replies in. `lua/README.md` is
//! the ABI; [`super::calls`] does the same for the hand-written scripts.

use super::asked::Asked;
use super::fence::Fence;
use super::pause::parse_paused;
use super::record::decode_record;
use super::reply::{CodecError, Reply};
use super::{Args, Family, facts, keys, record};
use crate::audience::ListKind;
use crate::campaign::{Paused, bucket_of};
use crate::order::{Attempt, array};
use crate::plan::decision::{Decision, Rejection};
use crate::plan::facts::Facts;
use crate::plan::slots::Slot;
use crate::plan::unfit::Why;
use crate::plan::{Attribute, AudienceRef, CheckedPlan, retry};

/// Attempts of one `admit` call: the outbox entry of the batch is written by one command.
pub const BATCH_MAX: usize = 1000;

/// ARGV of one attempt before the plan's slots: record tail.
pub(super) const ATTEMPT_FIELDS: usize = 1;
/// Room for what an attempt brings besides its payload, about.
const BYTES_EACH: usize = 64;

/// What `admit` answers per attempt that it does not admit: its number, `code`, `detail`. From [`CODE_CONSTRAINT`] on, the constraint's index.
/// No reply has it: who is not named was admitted.
pub(super) const CODE_ADMITTED: i64 = 0;
pub(super) const CODE_EXISTING: i64 = 1;
pub(super) const CODE_NOT_OPEN: i64 = 2;
pub(super) const CODE_CLOSED: i64 = 3;
pub(super) const CODE_UNKNOWN_SKU: i64 = 4;
pub(super) const CODE_SOLD_OUT: i64 = 5;
pub(super) const CODE_WINDOW_FULL: i64 = 6;
pub(super) const CODE_CONSTRAINT: i64 = 10;
/// Outcomes of the shadow alone; no reply has them.
pub(super) const CODE_ATTRIBUTE_MISSING: i64 = 7;
pub(super) const CODE_ATTRIBUTE_UNREADABLE: i64 = 8;
pub(super) const CODE_FAULT: i64 = 9;
// Behind those of all constraints.
pub(super) const CODE_PAUSED: i64 = 998;
/// An outcome of the shadow alone.
pub(super) const CODE_CLAIM_NOT_SINGLE: i64 = 999;

/// What `admit` answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdmitReply {
    /// Nothing was decided: the shard's fence is another one; `None` where there is no state.
    Fenced(Option<Fence>),
    Decided {
        /// Redis' clock, milliseconds since 1970-01-01 UTC.
        now: i64,
        /// The outbox entry that carries the admitted orders; `None` where none was admitted.
        entry: Option<Entry>,
        /// One per attempt, in order.
        decisions: Vec<Decision>,
    },
}

/// The outbox entry of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub id: String,
    /// Ordinal of its first order in the shard; `None` of an entry of version 1.
    pub first: Option<u64>,
}

/// What `inspect` answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InspectReply {
    /// The shard's fence is another one; `None` where there is no state.
    Fenced(Option<Fence>),
    /// What [`CheckedPlan::quota_needs`] names; its moment is Redis' clock.
    Counted(Facts),
}

/// ARGV of `admit` for a batch of at most [`BATCH_MAX`] attempts, with what their entry is to carry of them: the payload of
/// each behind its length.
pub fn admit_args<'a>(
    family: &Family,
    fence: &Fence,
    attempts: impl ExactSizeIterator<Item = &'a Attempt>,
    payloads: &[u8],
) -> Args {
    let plan = &family.plan;
    let attempts: Vec<&Attempt> = attempts.collect();
    let fence_text = fence.to_string();
    let Asked { facts, args: asked } = Asked::of(plan, fence, &fence_text, &attempts);
    let each = ATTEMPT_FIELDS + family.slots.len();
    let room = fence_text.len() + facts.len() + asked.bytes() + payloads.len() + BYTES_EACH * attempts.len();
    let mut args = Args::with_capacity(3 + asked.len() + attempts.len() * each, room);
    args.push(fence_text);
    args.push(facts);
    args.push(payloads);
    args.extend(asked.iter());
    for attempt in attempts {
        args.push_with(|bytes| record::write_tail(plan, attempt, bytes));
        push_slots(family, &family.slots, family.own_slots, attempt, &mut args);
    }
    args
}

/// ARGV of `inspect` for one buyer: an attempt as if ordering. Its SKU may be the empty text.
pub fn inspect_args(family: &Family, fence: &Fence, attempt: &Attempt) -> Args {
    let mut args = Args::from([&fence.to_string(), &attempt.sku]);
    let slots = family.plan.slots();
    push_slots(family, slots, slots.len(), attempt, &mut args);
    args
}

/// The first `own` are the plan's, the others the shadow's.
fn push_slots(family: &Family, slots: &[Slot], own: usize, attempt: &Attempt, args: &mut Args) {
    let context = family.plan.context();
    let buckets = context.buckets;
    // A subject's bucket usually follows it: compose once.
    let mut last: Option<(&[Attribute], String)> = None;
    for (index, slot) in slots.iter().enumerate() {
        // What only the shadow needs only its plan may know: a plan has no attributes of SKUs but those that it reads.
        let plan = match &family.shadow {
            Some(shadow) if index >= own => shadow,
            _ => &family.plan,
        };
        let value = match slot {
            Slot::Attribute(attribute) => plan.text_of(attribute, attempt).into_owned(),
            Slot::Subject(key) => {
                let composed = plan.subject(key, attempt);
                last = Some((key, composed.clone()));
                composed
            }
            Slot::Bucket(key) => match &last {
                Some((same, composed)) if same == key => bucket_of(composed.as_bytes(), buckets).to_string(),
                _ => bucket_of(plan.subject(key, attempt).as_bytes(), buckets).to_string(),
            },
            Slot::MemberBucket { audience, of } => {
                let text = plan.text_of(of, attempt);
                let list = context.audiences.get(audience);
                list.map_or_else(String::new, |list| places(list, &text))
            }
            Slot::ShadowUnfit => shadow_unfit(family, attempt),
        };
        args.push(value);
    }
}

/// Where a list would have a value: its bucket, of an array that of each element; or, of addresses, bucket and range of each
/// range that it is in.
fn places(list: &AudienceRef, text: &str) -> String {
    let bucket = |member: &str| keys::audience_bucket(list, bucket_of(member.as_bytes(), list.buckets));
    match &list.kind {
        ListKind::Texts if array::is_array(text) => array::elements(text).fold(String::new(), |all, each| {
            format!("{all}{}{}", array::MARK, bucket(each))
        }),
        ListKind::Texts => bucket(text),
        ListKind::Addresses(lengths) => {
            let ranges = array::elements(text).flat_map(|each| lengths.of_text(each));
            let places: Vec<String> = ranges.map(|range| bucket(&range) + " " + &range).collect();
            places.join(" ")
        }
    }
}

fn shadow_unfit(family: &Family, attempt: &Attempt) -> String {
    let shadow = family.shadow.as_ref();
    let unfit = shadow.and_then(|shadow| shadow.reads().unfit(&attempt.attributes));
    unfit.map_or_else(String::new, |unfit| {
        let code = match unfit.why {
            Why::Unreadable(_) => CODE_ATTRIBUTE_UNREADABLE,
            Why::NotSingle(_) => CODE_CLAIM_NOT_SINGLE,
        };
        code.to_string()
    })
}

/// Reads the reply to a batch of these attempts.
pub fn admit_reply<'a>(
    family: &Family,
    attempts: impl ExactSizeIterator<Item = &'a Attempt>,
    reply: Reply,
) -> Result<AdmitReply, CodecError> {
    let (head, now, mut parts) = match open("admit", reply)? {
        Opened::Fenced(fence) => return Ok(AdmitReply::Fenced(fence)),
        Opened::Ok { now, mut rest } => (rest.next(), now, rest),
    };
    let entry = entry(&text("admit", head)?)?;
    let admitted = number("admit", parts.next())?;
    let mut decisions = Vec::with_capacity(attempts.len());
    let mut other = other(&mut parts)?;
    for attempt in attempts {
        let number = decisions.len() as i64 + 1;
        decisions.push(match other.take_if(|(at, ..)| *at == number) {
            None => Decision::Admitted,
            Some((_, code, detail)) => {
                other = self::other(&mut parts)?;
                decision(&family.plan, attempt, now, code, detail)?
            }
        });
    }
    let unnamed = decisions.iter().filter(|each| **each == Decision::Admitted);
    let unnamed = unnamed.count();
    if other.is_some() || unnamed as i64 != admitted {
        let what = format!("{admitted} of {} admitted, {unnamed} not named", decisions.len());
        return Err(CodecError::new("admit", what));
    }
    Ok(AdmitReply::Decided {
        now,
        entry,
        decisions,
    })
}

/// Number, code and detail of the next attempt that was not admitted.
fn other(parts: &mut std::vec::IntoIter<Reply>) -> Result<Option<(i64, i64, Option<Reply>)>, CodecError> {
    let Some(at) = parts.next() else { return Ok(None) };
    let (at, code) = (number("admit", Some(at))?, number("admit", parts.next())?);
    Ok(Some((at, code, parts.next())))
}

/// `<id>`, or `<id> <first ordinal>`.
fn entry(text: &str) -> Result<Option<Entry>, CodecError> {
    let (id, first) = match text.split_once(' ') {
        Some((id, first)) => (id, Some(first)),
        None => (text, None),
    };
    let odd = |_| CodecError::new("admit", format!("entry {text:?}"));
    let first = first.map(str::parse).transpose().map_err(odd)?;
    let id = id.to_owned();
    Ok((!id.is_empty()).then_some(Entry { id, first }))
}

fn decision(
    plan: &CheckedPlan,
    attempt: &Attempt,
    now: i64,
    code: i64,
    detail: Option<Reply>,
) -> Result<Decision, CodecError> {
    let rejection = match code {
        CODE_EXISTING => {
            let Some(Reply::Bulk(record)) = detail else {
                return Err(CodecError::new("admit", "no record of an order admitted before"));
            };
            return Ok(Decision::Existing(decode_record(&record)?.0));
        }
        CODE_NOT_OPEN => {
            let facts = facts::read_line("admit", plan, plan.retry_needs(), now, &text("admit", detail)?)?;
            retry::not_open(plan, &facts, attempt)
        }
        CODE_CLOSED => Rejection::Closed,
        CODE_UNKNOWN_SKU => Rejection::UnknownSku,
        CODE_PAUSED => Rejection::Paused(paused("admit", &text("admit", detail)?)?),
        CODE_SOLD_OUT => Rejection::SoldOut {
            remaining: number("admit", detail)?,
        },
        CODE_WINDOW_FULL => window_full(plan, attempt, now, &text("admit", detail)?)?,
        _ => {
            let index = constraint(plan, code)?;
            let facts = facts::read_line("admit", plan, plan.needs(index), now, &text("admit", detail)?)?;
            retry::by_constraint(plan, index, &facts, attempt)
        }
    };
    Ok(Decision::Rejected(rejection))
}

fn paused(script: &'static str, word: &str) -> Result<Paused, CodecError> {
    parse_paused(word).ok_or_else(|| CodecError::new(script, format!("paused until {word:?}")))
}

/// `<counter> <facts>`.
fn window_full(
    plan: &CheckedPlan,
    attempt: &Attempt,
    now: i64,
    detail: &str,
) -> Result<Rejection, CodecError> {
    let odd = || CodecError::new("admit", format!("window {detail:?}"));
    let (counter, words) = detail.split_once(' ').ok_or_else(odd)?;
    let counter: u32 = counter.parse().map_err(|_| odd())?;
    if counter as usize >= plan.plan().counters.len() {
        return Err(odd());
    }
    let facts = facts::read_line("admit", plan, plan.retry_needs(), now, words)?;
    Ok(retry::window_full(plan, counter, &facts, attempt))
}

fn constraint(plan: &CheckedPlan, code: i64) -> Result<u32, CodecError> {
    let index = code.saturating_sub(CODE_CONSTRAINT);
    match u32::try_from(index) {
        Ok(index) if (index as usize) < plan.plan().constraints.len() => Ok(index),
        _ => Err(CodecError::new("admit", format!("code {code}"))),
    }
}

pub fn inspect_reply(family: &Family, reply: Reply) -> Result<InspectReply, CodecError> {
    match open("inspect", reply)? {
        Opened::Fenced(fence) => Ok(InspectReply::Fenced(fence)),
        Opened::Ok { now, mut rest } => {
            let word = text("inspect", rest.next())?;
            let paused = (!word.is_empty()).then(|| paused("inspect", &word)).transpose()?;
            let words = rest
                .map(|part| text("inspect", Some(part)))
                .collect::<Result<Vec<_>, _>>()?;
            let (plan, words) = (&family.plan, words.iter().map(String::as_str));
            let facts = facts::read("inspect", plan, plan.quota_needs(), now, words)?;
            Ok(InspectReply::Counted(Facts { paused, ..facts }))
        }
    }
}

/// The start every fenced reply shares.
enum Opened {
    Fenced(Option<Fence>),
    Ok {
        now: i64,
        rest: std::vec::IntoIter<Reply>,
    },
}

fn open(script: &'static str, reply: Reply) -> Result<Opened, CodecError> {
    let Reply::Array(parts) = reply else {
        return Err(CodecError::new(script, format!("{reply:?}")));
    };
    let mut parts = parts.into_iter();
    match parts.next() {
        Some(Reply::Bulk(word)) if word == b"ok" => Ok(Opened::Ok {
            now: number(script, parts.next())?,
            rest: parts,
        }),
        Some(Reply::Bulk(word)) if word == b"fence" => Ok(Opened::Fenced(Fence::parse(
            text(script, parts.next())?.as_bytes(),
        ))),
        other => Err(CodecError::new(script, format!("it starts with {other:?}"))),
    }
}

/// A text; an integer is given as its digits.
fn text(script: &'static str, part: Option<Reply>) -> Result<String, CodecError> {
    match part {
        Some(Reply::Int(n)) => Ok(n.to_string()),
        Some(Reply::Bulk(bytes)) => {
            String::from_utf8(bytes).map_err(|_| CodecError::new(script, "a text that is not UTF-8"))
        }
        other => Err(CodecError::new(script, format!("{other:?} for a text"))),
    }
}

/// A number, as Redis' integer or as its text.
fn number(script: &'static str, part: Option<Reply>) -> Result<i64, CodecError> {
    match part {
        Some(Reply::Int(n)) => Ok(n),
        Some(Reply::Bulk(bytes)) => std::str::from_utf8(&bytes)
            .ok()
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(|| {
                CodecError::new(
                    script,
                    format!("{:?} for a number", bytes.escape_ascii().to_string()),
                )
            }),
        other => Err(CodecError::new(script, format!("{other:?} for a number"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::OrderId;
    use crate::plan::SkuTexts;
    use crate::plan::slots;

    fn attempt(user: &str, device: &str) -> Attempt {
        Attempt {
            order: OrderId::keyed("c", user, "k"),
            user: user.into(),
            sku: "sku".into(),
            quantity: 1,
            attributes: [("client:device".to_owned(), device.to_owned())].into(),
        }
    }

    #[test]
    fn nobody_is_taken_for_admitted_whom_the_script_did_not_count() {
        let sample = crate::plan::samples::samples().swap_remove(0);
        let plan = crate::plan::check(sample.plan, sample.context).expect("valid");
        let family = crate::lua::emit::emit(plan.into(), 1).expect("it fits");
        let attempts = [attempt("ada", "d"), attempt("bob", "d")];
        let read = |admitted: i64, others: &[i64]| -> Result<Vec<Decision>, CodecError> {
            let words = ["ok", "5", "1-1 1"].map(|word| Reply::Bulk(word.into()));
            let numbers = [admitted].iter().chain(others).map(|n| Reply::Int(*n)).collect();
            let reply = Reply::Array([words.to_vec(), numbers].concat());
            match admit_reply(&family, attempts.iter(), reply)? {
                AdmitReply::Decided { decisions, .. } => Ok(decisions),
                other => panic!("{other:?}"),
            }
        };
        let closed = Decision::Rejected(Rejection::Closed);
        assert_eq!(read(2, &[]), Ok(vec![Decision::Admitted; 2]));
        assert_eq!(read(1, &[2, 3, 0]), Ok(vec![Decision::Admitted, closed.clone()]));
        assert_eq!(read(0, &[1, 3, 0, 2, 3, 0]), Ok(vec![closed.clone(), closed]));
        for (admitted, others) in [
            (1, &[][..]),
            (2, &[1, 3, 0][..]),
            (1, &[3, 3, 0][..]),
            (0, &[2, 3, 0, 1, 3, 0][..]),
            (1, &[1, 3, 0, 1, 3, 0][..]),
            (1, &[1][..]),
        ] {
            assert!(read(admitted, others).is_err(), "{admitted} {others:?}");
        }
    }

    #[test]
    fn subjects_of_different_combinations_never_meet() {
        let key = [Attribute::User, Attribute::Client("device".into())];
        let compose_subject =
            |key: &[Attribute], attempt: &Attempt| slots::compose_subject(key, attempt, &SkuTexts::default());
        assert_eq!(compose_subject(&[], &attempt("ada", "d")), "");
        assert_eq!(compose_subject(&key[..1], &attempt("ada", "d")), "ada");
        assert_eq!(compose_subject(&key, &attempt("ä", "1:x")), "2:ä3:1:x");
        assert_ne!(
            compose_subject(&key, &attempt("a", "1:b")),
            compose_subject(&key, &attempt("a1:", "b"))
        );
    }
}
