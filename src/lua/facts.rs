//! Facts as scripts answer them: what [`Needs`] names, each value as a word, in order.

use super::reply::CodecError;
use crate::plan::facts::{Count, Facts, Needs};
use crate::plan::{CheckedPlan, Window};

/// Reads the words a script answered for the needs. A rolling window is `<moment>:<cost>` entries joined
/// by `,`, which may be none; a list is `1` for a member and `0` otherwise; all else are integers.
pub(super) fn read<'a>(
    script: &'static str,
    plan: &CheckedPlan,
    needs: &Needs,
    taken_at: i64,
    words: impl Iterator<Item = &'a str>,
) -> Result<Facts, CodecError> {
    let words: Vec<&str> = words.collect();
    if words.len() != needs.len() {
        let what = format!("{} facts; {} are needed", words.len(), needs.len());
        return Err(CodecError::new(script, what));
    }
    let mut words = words.into_iter();
    let mut word = || words.next().unwrap_or_default();
    let mut facts = Facts {
        taken_at,
        ..Facts::default()
    };
    if needs.remaining {
        facts.remaining = number(script, word())?;
    }
    for counter in &needs.counters {
        let count = match plan.plan().counters[*counter as usize].window {
            Window::Rolling { .. } => Count::Rolling(entries(script, word())?),
            _ => Count::Units(number(script, word())?),
        };
        facts.counters.insert(*counter, count);
    }
    for member in &needs.members {
        if number(script, word())? == 1 {
            facts.members.insert(member.clone());
        }
    }
    Ok(facts)
}

/// The same from one line: the words with a space between.
pub(super) fn read_line(
    script: &'static str,
    plan: &CheckedPlan,
    needs: &Needs,
    taken_at: i64,
    line: &str,
) -> Result<Facts, CodecError> {
    // A single word may be empty; the line of no words is.
    let words = line.split(' ').filter(|_| !(needs.is_empty() && line.is_empty()));
    read(script, plan, needs, taken_at, words)
}

/// Moment and cost of each order of a rolling window.
fn entries(script: &'static str, text: &str) -> Result<Vec<(i64, i64)>, CodecError> {
    let entries = text.split(',').filter(|entry| !entry.is_empty());
    entries
        .map(|entry| {
            let (moment, cost) = entry.split_once(':').unwrap_or((entry, ""));
            Ok((number(script, moment)?, number(script, cost)?))
        })
        .collect()
}

fn number(script: &'static str, word: &str) -> Result<i64, CodecError> {
    let odd = |_| CodecError::new(script, format!("the fact {word:?} is no number"));
    word.parse().map_err(odd)
}
