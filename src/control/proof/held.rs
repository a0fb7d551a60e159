//! What a shard of the embedded engine holds, read back as the interpreter's state, so that the two can
//! be compared.

use std::collections::BTreeMap;

use super::episode::REVISION;
use crate::campaign::bucket_of;
use crate::engine::embedded::Held;
use crate::lua::keys;
use crate::lua::record::decode_record;
use crate::plan::CheckedPlan;
use crate::plan::state::{ShadowState, State};

type Dump = BTreeMap<String, (Held, Option<i64>)>;

/// Marks of buckets are fields that start with this byte; no subject does.
const MARK: u8 = 255;

/// Lists are left out: no script writes them. The error names the key or value that no script should
/// have written.
pub(super) fn state(plan: &CheckedPlan, prefix: &str, dump: &Dump) -> Result<State, String> {
    let mut state = State::default();
    let mut claimed = 0;
    for (key, (held, _)) in dump {
        let name = key.strip_prefix(prefix).ok_or_else(|| odd(key))?;
        if name.starts_with(keys::AUDIENCE) {
            continue;
        }
        match held {
            Held::Hash(_) if name.starts_with(keys::AUDIENCE) => {}
            Held::Hash(fields) => {
                let values = fields.iter().filter(|(field, _)| field.first() != Some(&MARK));
                for (field, value) in values {
                    read(plan, name, &mut state, field, value).ok_or_else(|| odd(key))?;
                }
            }
            Held::Stream(entries) => {
                // `rev`, `at`, `n` and `all` with their values. An order's payload is of length 0, which is a byte.
                let orders = |(_, flat): &(String, Vec<Vec<u8>>)| flat.get(7).map_or(0, Vec::len);
                claimed += entries.iter().map(orders).sum::<usize>();
            }
            Held::Text(_) => {}
        }
    }
    let admitted = state.orders.len();
    if claimed != admitted {
        return Err(format!(
            "{admitted} orders are recorded and {claimed} are in the outbox"
        ));
    }
    Ok(state)
}

fn odd(key: &str) -> String {
    format!("the key {key:?} holds what no script should have written there")
}

/// One field of a hash; `None` where it is not what its key is for, or in the wrong bucket.
fn read(plan: &CheckedPlan, name: &str, state: &mut State, field: &[u8], value: &[u8]) -> Option<()> {
    let buckets = plan.context().buckets;
    let placed = |bucket: &str| (bucket == bucket_of(field, buckets).to_string()).then_some(());
    let field_text = std::str::from_utf8(field).ok()?.to_owned();
    let value_text = std::str::from_utf8(value).ok()?;
    match name.split(':').collect::<Vec<_>>().as_slice() {
        [keys::STOCK] => {
            state.stock.insert(field_text, value_text.parse().ok()?);
        }
        ["buyers", bucket] if field_text.contains(' ') => {
            let (counters, rolling) = (&mut state.counters, &mut state.rolling);
            count(plan, bucket, counters, rolling, field, value)?;
        }
        ["buyers", bucket] => {
            let (record, _) = decode_record(value).ok()?;
            let right = bucket_of(record.user.as_bytes(), buckets);
            (*bucket == right.to_string()).then_some(())?;
            state.orders.insert(field_text, record);
        }
        ["counter", id, window, bucket] => {
            placed(bucket)?;
            let (counters, id) = match shadow_id(id) {
                Some(id) => (&mut state.shadow.counters, id),
                None => (&mut state.counters, *id),
            };
            let key = (id.to_owned(), window.parse().ok()?, field_text);
            counters.insert(key, value_text.parse().ok()?);
        }
        ["counts", bucket] => count(
            plan,
            bucket,
            &mut state.counters,
            &mut state.rolling,
            field,
            value,
        )?,
        ["counts", _, bucket] => {
            let ShadowState {
                counters, rolling, ..
            } = &mut state.shadow;
            count(plan, bucket, counters, rolling, field, value)?;
        }
        [keys::FIGURES] => {
            let pair = field_text.strip_prefix(&keys::shadow_figures(REVISION))?;
            let (live, shadow) = pair.split_once(':')?;
            let pair = (live.to_owned(), shadow.to_owned());
            state.shadow.figures.insert(pair, value_text.parse().ok()?);
        }
        _ => {}
    }
    Some(())
}

/// A count that lives as long as the campaign: `<id> <subject>`.
fn count(
    plan: &CheckedPlan,
    bucket: &str,
    counters: &mut BTreeMap<(String, i64, String), i64>,
    rolling: &mut BTreeMap<(String, String), Vec<(i64, i64)>>,
    field: &[u8],
    value: &[u8],
) -> Option<()> {
    let (field, value) = (std::str::from_utf8(field).ok()?, std::str::from_utf8(value).ok()?);
    let (id, subject) = field.split_once(' ')?;
    let buckets = plan.context().buckets;
    (bucket == bucket_of(subject.as_bytes(), buckets).to_string()).then_some(())?;
    if let Ok(units) = value.parse() {
        counters.insert((id.to_owned(), 0, subject.to_owned()), units);
        return Some(());
    }
    let entries = value.split(',').filter(|entry| !entry.is_empty());
    let entries = entries.map(|entry| {
        let (moment, cost) = entry.split_once(':')?;
        Some((moment.parse().ok()?, cost.parse().ok()?))
    });
    let entries = entries.collect::<Option<Vec<_>>>()?;
    rolling.insert((id.to_owned(), subject.to_owned()), entries);
    Some(())
}

/// The id of a shadow's counter without the mark of the shadow.
fn shadow_id(id: &str) -> Option<&str> {
    id.strip_prefix(&keys::shadow_id(REVISION, ""))
}
