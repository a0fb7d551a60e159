//! Strategies: valid parameters of every rule, for a campaign of two SKUs, so tight that limits bite.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};
use testkit::modules::Rule;

use super::combinations::{LISTS, REGIONS, TIERS};

/// 1 to 8 rules. The same module may be there twice, under another name.
pub fn rules() -> impl Strategy<Value = Vec<Rule>> {
    prop::collection::vec(rule(), 1..9).prop_map(|rules| {
        let named = rules
            .into_iter()
            .enumerate()
            .map(|(index, (module, params))| Rule {
                name: format!("rule-{index}"),
                module: module.to_owned(),
                params,
            });
        named.collect()
    })
}

fn rule() -> impl Strategy<Value = (&'static str, Value)> {
    prop_oneof![
        1 => of("one-per-user", (count(), each_or_some("campaign", "sku"))
            .prop_map(|(count, of)| with(json!({"count": count}), of))),
        2 => of("n-per-user", (1..5u32, count(), each_or_some("campaign", "sku"))
            .prop_map(|(limit, count, of)| with(json!({"limit": limit, "count": count}), of))),
        3 => of("per-window", (1..4u32, window(), count(), each_or_some("user", "user-and-sku"))
            .prop_map(|(limit, window, count, of)| with(json!({"limit": limit, "window": window, "count": count}), of))),
        3 => of("per-subject", per_subject()),
        2 => of("tiered", tiered()),
        1 => of("audience", (select(LISTS.to_vec()), select(vec!["allow", "deny"]), attribute())
            .prop_map(|(list, mode, by)| json!({"list": list, "mode": mode, "by": by}))),
        1 => of("early-access", early_access()),
        2 => of("region-quota", region_quota()),
        1 => of("cooldown", (span(), subject(), missing())
            .prop_map(|(pause, by, missing)| json!({"pause": pause, "by": by, "missing": missing}))),
        1 => of("order-cap", order_cap()),
    ]
}

fn of(
    module: &'static str,
    params: impl Strategy<Value = Value> + 'static,
) -> impl Strategy<Value = (&'static str, Value)> {
    params.prop_map(move |params| (module, params)).boxed()
}

/// Which SKUs: all, some together, groups.
fn some_skus() -> impl Strategy<Value = Value> {
    select(vec![
        json!({}),
        json!({}),
        json!({"skus": ["a"]}),
        json!({"skus": ["b", "a"]}),
        json!({"groups": {"first": ["a"], "second": ["b"]}}),
        json!({"groups": {"both": ["a", "b"]}}),
    ])
}

/// The same, or each SKU for itself.
fn each_or_some(together: &'static str, each: &'static str) -> impl Strategy<Value = Value> {
    let of_each = select(vec![json!({"per": each}), json!({"per": each, "skus": ["b"]})]);
    prop_oneof![
        some_skus().prop_map(move |of| with(json!({"per": together}), of)),
        of_each
    ]
}

/// `params` with the members of `more`.
fn with(mut params: Value, more: Value) -> Value {
    if let (Some(params), Value::Object(more)) = (params.as_object_mut(), more) {
        params.extend(more);
    }
    params
}

fn count() -> impl Strategy<Value = &'static str> {
    select(vec!["orders", "units"])
}

fn missing() -> impl Strategy<Value = &'static str> {
    select(vec!["reject", "allow", "allow"])
}

fn span() -> impl Strategy<Value = &'static str> {
    select(vec!["1ms", "3ms", "1s", "1m", "15m", "1h30m", "24h"])
}

fn attribute() -> impl Strategy<Value = &'static str> {
    select(vec![
        "user",
        "ip",
        "claim:tier",
        "claim:region",
        "client:device",
        "client:region",
    ])
}

fn subject() -> impl Strategy<Value = Vec<&'static str>> {
    let all = vec![
        "user",
        "sku",
        "ip",
        "claim:tier",
        "client:device",
        "client:region",
    ];
    let chosen = subsequence(all, 1..4).prop_shuffle();
    chosen.prop_filter("a subject is more than a SKU", |by| {
        by.iter().any(|one| *one != "sku")
    })
}

fn window() -> impl Strategy<Value = Value> {
    let zone = || select(vec!["Europe/Berlin", "Asia/Kolkata", "America/Sao_Paulo", "UTC"]);
    prop_oneof![
        (select(vec!["day", "week", "month"]), zone()).prop_map(|(unit, zone)| json!({unit: zone})),
        span().prop_map(|span| json!({"rolling": span})),
        (
            select(vec!["1s", "1m", "15m", "1h30m", "24h"]),
            prop::option::of(Just("2026-03-28T00:00:07.003+01:00"))
        )
            .prop_map(|(length, from)| json!({"tumbling": {"length": length, "from": from}})),
    ]
}

fn per_subject() -> impl Strategy<Value = Value> {
    let limit = (
        subject(),
        1..4u32,
        count(),
        prop::option::of(window()),
        missing(),
        some_skus(),
    )
        .prop_map(|(by, limit, count, window, missing, of)| {
            with(
                json!({"by": by, "limit": limit, "count": count, "window": window, "missing": missing}),
                of,
            )
        });
    prop::collection::vec(limit, 1..3).prop_map(|limits| {
        let mut known: Vec<String> = Vec::new();
        let distinct = limits.into_iter().filter(|limit| {
            let mut by: Vec<String> = serde_json::from_value(limit["by"].clone()).expect("a list of texts");
            by.sort();
            let mut of: Vec<String> = match (&limit["skus"], &limit["groups"]) {
                (Value::Array(skus), _) => vec![sorted(skus)],
                (_, Value::Object(groups)) => groups
                    .values()
                    .filter_map(Value::as_array)
                    .map(|of| sorted(of))
                    .collect(),
                _ => vec!["all".to_owned()],
            };
            for of in &mut of {
                *of = format!("{by:?} {} {} {of}", limit["count"], limit["window"]);
            }
            let new = of.iter().all(|same| !known.contains(same));
            if new {
                known.extend(of);
            }
            new
        });
        json!({"limits": distinct.collect::<Vec<_>>()})
    })
}

fn sorted(skus: &[Value]) -> String {
    let mut skus: Vec<String> = skus.iter().map(Value::to_string).collect();
    skus.sort();
    skus.join(" ")
}

fn tiered() -> impl Strategy<Value = Value> {
    let limits = prop::collection::vec(0..4u32, TIERS.len());
    let params = (limits, 1..3u32, count(), prop::option::of(window()), some_skus());
    params.prop_map(|(limits, others, count, window, of)| {
        let tiers: serde_json::Map<String, Value> = TIERS
            .iter()
            .zip(limits)
            .map(|(tier, limit)| ((*tier).to_owned(), json!(limit)))
            .collect();
        with(
            json!({"tiers": tiers, "others": others, "count": count, "window": window}),
            of,
        )
    })
}

fn early_access() -> impl Strategy<Value = Value> {
    let lead = || select(vec!["1ms", "1s", "15m", "24h"]);
    let listed = (lead(), select(LISTS.to_vec()), attribute())
        .prop_map(|(lead, list, by)| json!({"lead": lead, "who": {"list": {"id": list, "by": by}}}))
        .boxed();
    let claimed = (lead(), subsequence(TIERS.to_vec(), 1..=TIERS.len()))
        .prop_map(|(lead, tiers)| json!({"lead": lead, "who": {"claim": {"values": tiers}}}));
    // Of the opening itself, of an earlier one, and of a later one.
    let anchor = select(vec![
        "2026-03-29T00:00:00+01:00",
        "2026-03-28T22:00:00Z",
        "2026-03-28T23:00:01Z",
    ]);
    let groups = prop_oneof![
        listed.clone().prop_map(|group| json!([group])),
        (listed, claimed).prop_map(|(one, other)| json!([one, other])),
    ];
    (anchor, groups).prop_map(|(anchor, groups)| json!({"opens_at": anchor, "groups": groups}))
}

/// Every share is one unit at least: there are ten of each SKU or more.
fn region_quota() -> impl Strategy<Value = Value> {
    let release = prop_oneof![
        2 => Just(Value::Null),
        1 => select(vec!["1ms", "1s", "15m"]).prop_map(|span| json!({"after_opening": span})),
        1 => Just(json!({"before_closing": "3ms"})),
        1 => Just(json!({"at": "2026-03-28T23:01:00Z"})),
    ];
    let unit = select(vec![("percent", 10), ("permille", 100), ("units", 1)]);
    let shares = prop::collection::vec(0..5u32, REGIONS.len());
    let region = select(vec!["claim:region", "client:region"]);
    let mode = select(vec!["reserve", "cap"]);
    (shares, prop::option::of(0..3u32), unit, region, (mode, release)).prop_map(
        |(shares, others, (unit, step), region, (mode, release))| {
            // Together at most ten steps.
            let mut left = 10 - others.unwrap_or(0);
            let shares: serde_json::Map<String, Value> = REGIONS
                .iter()
                .zip(shares)
                .map(|(region, share)| {
                    let share = share.min(left);
                    left -= share;
                    ((*region).to_owned(), json!(share * step))
                })
                .collect();
            let others = others.map(|others| others * step);
            json!({"mode": mode, "shares": shares, "others": others, "unit": unit, "region": region, "release": release})
        },
    )
}

fn order_cap() -> impl Strategy<Value = Value> {
    (2..4u32, 1..3u32, 0..2u32, any::<[bool; 3]>(), any::<bool>()).prop_map(
        |(pack, least, more, [max, min, packs], one_sku)| {
            let least = least * pack;
            let mut params = json!({"max": least + more * pack});
            if !max && (min || packs) {
                params = json!({});
            }
            if min {
                params["min"] = json!(least);
            }
            if packs {
                params["pack"] = json!(pack);
            }
            if one_sku {
                params["skus"] = json!(["a"]);
            }
            params
        },
    )
}
