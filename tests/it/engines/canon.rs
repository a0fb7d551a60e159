//! The state an engine left behind, in a form that can be compared: the same for both engines, and
//! translated back into the interpreter's.

use std::collections::BTreeMap;

use rushgate::campaign::bucket_of;
use rushgate::engine::embedded::Held;
use rushgate::lua::pause::parse_pause;
use rushgate::lua::record::{Record, decode_record};

use rushgate::lua::keys;
use rushgate::order::Attempt;
use rushgate::plan::state::State;
use rushgate::plan::{CheckedPlan, Counter, Window};
use rushgate::record::Payloads;

use crate::engines::world::REVISION;

/// Key after the prefix → what it holds and when it expires.
pub type Dump = BTreeMap<String, (Held, Option<i64>)>;

/// Redis' stream ids follow its own clock: they are replaced by their place in the stream, in the
/// stream and in the records that name them.
pub fn without_stream_ids(mut dump: Dump) -> Dump {
    let mut places: BTreeMap<String, String> = BTreeMap::new();
    if let Some((Held::Stream(entries), _)) = dump.get_mut("outbox") {
        for (place, (id, _)) in entries.iter_mut().enumerate() {
            places.insert(std::mem::replace(id, format!("#{place}")), format!("#{place}"));
        }
    }
    for (key, (held, _)) in &mut dump {
        let (true, Held::Hash(records)) = (key.starts_with(keys::BUYERS), held) else {
            continue;
        };
        let is_record = |field: &[u8]| !field.contains(&b' ') && !is_marker(field);
        for (_, record) in records.iter_mut().filter(|(field, _)| is_record(field)) {
            let mut read = Record::decode(record).expect("a record");
            if let Some(place) = places.get(&read.entry) {
                read.entry = place.clone();
                *record = read.encode().into_bytes();
            }
        }
    }
    dump
}

/// Reads a dump back as the interpreter's state, counts of nothing left out and rolling entries that no
/// longer count dropped. Checks on the way that everything lies in its bucket.
pub fn as_state(plan: &CheckedPlan, shadow: Option<&CheckedPlan>, dump: &Dump, now: i64) -> State {
    let mut state = State::default();
    let buckets = plan.context().buckets;
    for (key, fields) in hashes(dump) {
        for (field, value) in fields.iter().filter(|(field, _)| !is_marker(field)) {
            let (field, value) = (text(field), text(value));
            let in_bucket =
                |bucket: &str| assert_eq!(bucket, bucket_of(field.as_bytes(), buckets).to_string(), "{key}");
            let parts: Vec<&str> = key.split(':').collect();
            match parts.as_slice() {
                [keys::STATE] if field == "paused" => {
                    state.pause = parse_pause(&value).expect("a pause");
                }
                [keys::STOCK] => drop(state.stock.insert(field, number(&value))),
                ["buyers", bucket] if !field.contains(' ') => {
                    let (placed, _) = decode_record(value.as_bytes()).expect("a record");
                    let right = bucket_of(placed.user.as_bytes(), buckets).to_string();
                    assert_eq!(*bucket, right, "{key}");
                    state.orders.insert(field, placed);
                }
                ["counter", id, window, bucket] => {
                    in_bucket(bucket);
                    let (counters, id) = match shadow_id(id) {
                        Some(id) => (&mut state.shadow.counters, id),
                        None => (&mut state.counters, *id),
                    };
                    counters.insert((id.to_owned(), number(window), field), number(&value));
                }
                ["buyers", bucket] | ["counts", .., bucket] => {
                    let (id, subject) = field.split_once(' ').expect("id and subject");
                    if let Some(counter) = counters_of(plan, shadow, parts.len()).find(|each| each.id == id) {
                        let of_buyer = parts[0] == "buyers";
                        assert_eq!(
                            of_buyer,
                            counter.is_of_buyer() && parts.len() == 2,
                            "{key}: {field}"
                        );
                    }
                    assert_eq!(
                        *bucket,
                        bucket_of(subject.as_bytes(), buckets).to_string(),
                        "{key}"
                    );
                    let (counters, rolling) = match parts.len() {
                        2 => (&mut state.counters, &mut state.rolling),
                        _ => (&mut state.shadow.counters, &mut state.shadow.rolling),
                    };
                    let (id, subject) = (id.to_owned(), subject.to_owned());
                    match value.parse() {
                        Ok(units) => drop(counters.insert((id, 0, subject), units)),
                        Err(_) => drop(rolling.insert((id, subject), entries(&value))),
                    }
                }
                [keys::FIGURES] => {
                    let prefix = keys::shadow_figures(REVISION);
                    let pair = field
                        .strip_prefix(&prefix)
                        .expect("nobody else writes figures here");
                    let (live, other) = pair.split_once(':').expect("two outcomes");
                    let pair = (live.to_owned(), other.to_owned());
                    state.shadow.figures.insert(pair, number(&value) as u64);
                }
                _ => {}
            }
        }
    }
    live_only(plan, shadow, state, now)
}

/// Counters whose counts lie in keys of so many parts.
fn counters_of<'p>(
    plan: &'p CheckedPlan,
    shadow: Option<&'p CheckedPlan>,
    parts: usize,
) -> impl Iterator<Item = &'p Counter> {
    let plan = if parts == 2 { Some(plan) } else { shadow };
    plan.into_iter().flat_map(|plan| &plan.plan().counters)
}

/// The id of a shadow's counter without the mark of the shadow.
fn shadow_id(id: &str) -> Option<&str> {
    id.strip_prefix(&keys::shadow_id(REVISION, ""))
}

/// Drops rolling entries that no longer count at `now`, and subjects left with none.
pub fn live_only(plan: &CheckedPlan, shadow: Option<&CheckedPlan>, mut state: State, now: i64) -> State {
    drop_past(plan, &mut state.rolling, now);
    state.counters.retain(|_, units| *units != 0);
    if let Some(shadow) = shadow {
        drop_past(shadow, &mut state.shadow.rolling, now);
        state.shadow.counters.retain(|_, units| *units != 0);
    }
    state.audiences = BTreeMap::new();
    state
}

fn drop_past(plan: &CheckedPlan, rolling: &mut BTreeMap<(String, String), Vec<(i64, i64)>>, now: i64) {
    for counter in &plan.plan().counters {
        let Window::Rolling { length_ms } = counter.window else {
            continue;
        };
        for ((id, _), entries) in rolling.iter_mut() {
            if *id == counter.id {
                entries.retain(|(moment, _)| *moment > now - length_ms);
            }
        }
    }
    rolling.retain(|_, entries| !entries.is_empty());
}

/// What an entry is to carry of these attempts.
pub fn carried(attempts: &[Attempt]) -> Payloads {
    attempts.iter().map(Attempt::encode).collect()
}

/// Every payload in the outbox, oldest first, and the number of orders its entries claim.
pub fn outbox(dump: &Dump) -> (Vec<Vec<u8>>, usize) {
    let Some((Held::Stream(entries), _)) = dump.get("outbox") else {
        return (Vec::new(), 0);
    };
    let (mut payloads, mut claimed) = (Vec::new(), 0);
    for (_, fields) in entries {
        let names: Vec<String> = fields.iter().step_by(2).map(|name| text(name)).collect();
        assert_eq!(&names[..3], ["rev", "at", "n"]);
        assert_eq!(&names[3..], ["all"]);
        let head = text(&fields[5]);
        let numbers: Vec<i64> = head.split(' ').map(number).collect();
        // Those of an entry whose orders travel together follow each other.
        if let [_, _, _, first] = numbers[..] {
            assert_eq!(first, claimed as i64 + 1, "{head}");
        }
        claimed += numbers[0] as usize;
        let mut rest = fields[7].as_slice();
        while !rest.is_empty() {
            let (payload, behind) = postcard::take_from_bytes::<&[u8]>(rest).expect("each behind its length");
            payloads.push(payload.to_vec());
            rest = behind;
        }
    }
    (payloads, claimed)
}

pub fn field(dump: &Dump, key: &str, field: &str) -> Option<String> {
    match &dump.get(key)?.0 {
        Held::Hash(hash) => hash.get(field.as_bytes()).map(|value| text(value)),
        _ => None,
    }
}

fn hashes(dump: &Dump) -> impl Iterator<Item = (&String, &BTreeMap<Vec<u8>, Vec<u8>>)> {
    dump.iter().filter_map(|(key, (held, _))| match held {
        Held::Hash(hash) => Some((key, hash)),
        _ => None,
    })
}

fn is_marker(field: &[u8]) -> bool {
    field.first() == Some(&255)
}

fn entries(text: &str) -> Vec<(i64, i64)> {
    let pairs = text.split(',').filter(|entry| !entry.is_empty());
    pairs
        .map(|entry| {
            let (moment, cost) = entry.split_once(':').expect("moment and cost");
            (number(moment), number(cost))
        })
        .collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("fields are text")
}

fn number(text: &str) -> i64 {
    text.parse()
        .unwrap_or_else(|_| panic!("{text:?} is not a decimal integer"))
}

/// Reads every key of a shard through a plain connection.
pub fn read_redis(raw: &mut redis::Connection, prefix: &str) -> Dump {
    let keys: Vec<String> = redis::cmd("KEYS").arg(glob(prefix)).query(raw).expect("KEYS");
    let mut dump = Dump::new();
    for key in keys {
        let kind: String = redis::cmd("TYPE").arg(&key).query(raw).expect("TYPE");
        let held = match kind.as_str() {
            "hash" => Held::Hash(redis::cmd("HGETALL").arg(&key).query(raw).expect("HGETALL")),
            "stream" => Held::Stream(
                redis::cmd("XRANGE")
                    .arg(&key)
                    .arg("-")
                    .arg("+")
                    .query(raw)
                    .expect("XRANGE"),
            ),
            "string" => Held::Text(redis::cmd("GET").arg(&key).query(raw).expect("GET")),
            other => panic!("{key} is a {other}"),
        };
        let expiry: i64 = redis::cmd("PEXPIRETIME")
            .arg(&key)
            .query(raw)
            .expect("PEXPIRETIME");
        dump.insert(
            key[prefix.len()..].to_owned(),
            (held, Some(expiry).filter(|at| *at > 0)),
        );
    }
    dump
}

fn glob(prefix: &str) -> String {
    format!("{prefix}*")
}
