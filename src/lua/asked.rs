//! What `admit` asks of the buyers' buckets for a batch: bucket by bucket, so that each is read by one command and
//! written by another, while the attempts are decided in the order of their arrival.

use std::collections::HashMap;

use super::fence::Fence;
use super::{Args, keys};
use crate::campaign::{RecordVersion, bucket_of};
use crate::order::Attempt;
use crate::plan::CheckedPlan;

/// The largest number of one byte.
const NARROW_MAX: usize = 255;

/// Fields that one command asks for, and values that one writes, which come in pairs. Lua takes some thousands from a table at
/// once; a buyer's are never parted.
pub(super) const FIELDS_MAX: usize = 4000;

/// Room for what is asked of a bucket for one attempt, about.
const BYTES_EACH: usize = 96;

/// The arguments of a batch that are no attempt's own.
pub(super) struct Asked {
    /// One byte says whether the numbers of attempts are wide, one where the epoch begins in the fence (0 where orders travel
    /// alone). Then numbers of two bytes, the largest first: attempts, buckets, SKUs; per bucket, how many of its fields
    /// are asked for. Then per attempt its bucket, the places of its record and of its buyer's first count among
    /// the bucket's values, its SKU, all from 1 on (the mark is the first value), and its quantity: in a byte each, or, where they
    /// are wide, in two and the quantity in four.
    pub(super) facts: Vec<u8>,
    /// SKUs; then per bucket its number, and per buyer the fields of his counts and the ids of his orders.
    pub(super) args: Args,
}

/// Where an attempt stands.
#[derive(Clone, Copy, Default)]
struct Place {
    bucket: usize,
    order: usize,
    counts: usize,
}

impl Asked {
    /// `fence_text` is the text of `fence`.
    pub(super) fn of(plan: &CheckedPlan, fence: &Fence, fence_text: &str, attempts: &[&Attempt]) -> Self {
        let (skus, items) = skus(attempts);
        let mut args = Args::with_capacity(skus.len() + 3 * attempts.len(), BYTES_EACH * attempts.len());
        args.extend(&skus);
        let (places, sizes) = lay_out(plan, attempts, &mut args);
        let each: Vec<[usize; 5]> = attempts
            .iter()
            .zip(places)
            .zip(items)
            .map(|((attempt, at), item)| [at.bucket, at.order, at.counts, item, attempt.quantity as usize])
            .collect();
        let is_wide = each.iter().flatten().any(|n| *n > NARROW_MAX);
        let epoch = match fence.version {
            RecordVersion::V1 => 0,
            // Behind the colon.
            RecordVersion::V2 => fence_text.rfind(':').map_or(0, |colon| colon + 2),
        };
        let mut facts = vec![u8::from(is_wide), u8::try_from(epoch).unwrap_or(0)];
        facts.reserve(2 * (3 + sizes.len()) + 12 * attempts.len());
        let counts = [attempts.len(), sizes.len(), skus.len()];
        counts.into_iter().chain(sizes).for_each(|n| put(&mut facts, n));
        for numbers in each {
            match (is_wide, numbers) {
                (false, numbers) => facts.extend(numbers.map(|n| n as u8)),
                (true, [numbers @ .., quantity]) => {
                    numbers.into_iter().for_each(|n| put(&mut facts, n));
                    facts.extend((quantity as u32).to_be_bytes());
                }
            }
        }
        Self { facts, args }
    }
}

/// Adds what is asked of each bucket to `args`, and says where each attempt stands and how many fields of each bucket are asked
/// for.
fn lay_out(plan: &CheckedPlan, attempts: &[&Attempt], args: &mut Args) -> (Vec<Place>, Vec<usize>) {
    let (mut places, mut sizes) = (vec![Place::default(); attempts.len()], Vec::<usize>::new());
    let counters = plan
        .plan()
        .counters
        .iter()
        .filter(|counter| counter.is_of_buyer());
    let counters: Vec<&str> = counters.map(|counter| counter.id.as_str()).collect();
    let buckets = plan.context().buckets;
    let mut sorted: Vec<(u32, usize)> = attempts
        .iter()
        .map(|attempt| bucket_of(attempt.user.as_bytes(), buckets))
        .zip(0..)
        .collect();
    sorted.sort_unstable_by_key(|(bucket, index)| {
        let attempt = attempts[*index];
        (*bucket, attempt.user.as_str(), attempt.order)
    });
    let mut last = None;
    for buyer in sorted.chunk_by(|(_, one), (_, other)| attempts[*one].user == attempts[*other].user) {
        let bucket = buyer[0].0;
        let full = sizes
            .last()
            .is_some_and(|size| size + counters.len() + buyer.len() > FIELDS_MAX);
        if last != Some(bucket) || full {
            args.push_text(bucket);
            sizes.push(0);
            last = Some(bucket);
        }
        let user = &attempts[buyer[0].1].user;
        for id in &counters {
            args.push_with(|bytes| keys::write_count_field(id, user, bytes));
        }
        let number = sizes.len();
        let size = &mut sizes[number - 1];
        // The first value is the mark.
        let counts = *size + 2;
        *size += counters.len();
        let mut order = None;
        for (_, index) in buyer {
            let attempt = attempts[*index];
            // The same order twice has one place: the second attempt finds what the first one left there.
            if order.replace(attempt.order) != Some(attempt.order) {
                args.push(attempt.order.encode(&mut [0; 32]));
                *size += 1;
            }
            places[*index] = Place {
                bucket: number,
                order: *size + 1,
                counts,
            };
        }
    }
    (places, sizes)
}

/// What is too large comes of too many attempts, and the script refuses those by their number.
fn put(facts: &mut Vec<u8>, n: usize) {
    facts.extend(u16::try_from(n).unwrap_or(u16::MAX).to_be_bytes());
}

/// Each SKU once, and per attempt which it is, from 1 on.
fn skus<'a>(attempts: &[&'a Attempt]) -> (Vec<&'a str>, Vec<usize>) {
    let (mut skus, mut known): (Vec<&str>, HashMap<&str, usize>) = Default::default();
    let item = |attempt: &&'a Attempt| {
        *known.entry(&attempt.sku).or_insert_with(|| {
            skus.push(&attempt.sku);
            skus.len()
        })
    };
    let items = attempts.iter().map(item).collect();
    (skus, items)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::OrderId;
    use crate::plan::check;
    use crate::plan::samples::samples;

    fn attempt(user: &str, key: u32, quantity: u32) -> Attempt {
        Attempt {
            order: OrderId::keyed("c", user, &key.to_string()),
            user: user.into(),
            sku: ["mug", "hat"][key as usize % 2].into(),
            quantity,
            attributes: Default::default(),
        }
    }

    /// What of the facts an attempt has, read as the script reads it: bucket, field of its record, field of its
    /// buyer's count, SKU, quantity.
    fn read(asked: &Asked, number: usize) -> (String, String, String, String, usize) {
        let facts = &asked.facts;
        let two = |at: usize| usize::from(facts[at]) * 256 + usize::from(facts[at + 1]);
        let (buckets, skus) = (two(4), two(6));
        let begin = 8 + 2 * buckets;
        let numbers: Vec<usize> = match facts[0] {
            0 => facts[begin + 5 * number..][..5]
                .iter()
                .map(|n| usize::from(*n))
                .collect(),
            _ => {
                let at = begin + 12 * number;
                let quantity = two(at + 8) * 65_536 + two(at + 10);
                vec![two(at), two(at + 2), two(at + 4), two(at + 6), quantity]
            }
        };
        let before: usize = (1..numbers[0]).map(|bucket| two(8 + 2 * (bucket - 1)) + 1).sum();
        let first = skus + before;
        let text = |at: usize| String::from_utf8(asked.args[at].to_vec()).expect("text");
        (
            text(first),
            text(first + numbers[1] - 1),
            text(first + numbers[2] - 1),
            text(numbers[3] - 1),
            numbers[4],
        )
    }

    #[test]
    fn each_attempt_finds_its_record_and_its_buyers_count() {
        let mut samples = samples().into_iter();
        let sample = samples
            .find(|each| each.name == "orders per user")
            .expect("a sample");
        let plan = check(sample.plan, sample.context).expect("valid");
        let (id, buckets) = (&plan.plan().counters[0].id, plan.context().buckets);
        let fence = Fence {
            uid: "uid".into(),
            version: RecordVersion::V2,
            epoch: 12,
        };
        for quantity in [1, 1_000_000] {
            let mut attempts: Vec<Attempt> = (0..60)
                .map(|n| attempt(&format!("user {}", n % 23), n, quantity))
                .collect();
            attempts.push(attempts[7].clone());
            let all: Vec<&Attempt> = attempts.iter().collect();
            let asked = Asked::of(&plan, &fence, &fence.to_string(), &all);
            assert_eq!(asked.facts[0] == 1, quantity > 255);
            assert_eq!(fence.to_string()[usize::from(asked.facts[1]) - 1..], *"12");
            for (number, attempt) in attempts.iter().enumerate() {
                let bucket = bucket_of(attempt.user.as_bytes(), buckets).to_string();
                let expected = (
                    bucket,
                    attempt.order.to_string(),
                    keys::count_field(id, &attempt.user),
                    attempt.sku.clone(),
                    quantity as usize,
                );
                assert_eq!(read(&asked, number), expected, "{number}");
            }
            // Two SKUs, a number per bucket, a count per buyer, an order each, but the one that came twice.
            let full = usize::from(asked.facts[4]) * 256 + usize::from(asked.facts[5]);
            assert_eq!(asked.args.len(), 2 + full + 23 + 60);
        }
    }
}
