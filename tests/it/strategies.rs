//! Proptest strategies: random plans that pass the checker, and sequences of attempts with so few
//! buyers that limits bite. For every test that holds one engine against another.
#![allow(dead_code)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::{Index, select};
use rushgate::audience::{ListKind, PrefixLengths};
use rushgate::campaign::{Pause, Paused, Schedule, Sku};
use rushgate::order::{Attempt, OrderId};
use rushgate::plan::CheckContext;
use rushgate::plan::kind::Kind;
use rushgate::plan::{
    Attribute, AudienceRef, CalendarUnit, Constraint, Counter, EarlyAccess, Expr, Measure, Node, Plan,
    Window, check,
};

/// Two hours before the clocks of Europe/Berlin skip an hour: 2026-03-28T23:00:00Z.
pub const OPENS_AT: i64 = 1_774_738_800_000;
const DAY: i64 = 86_400_000;
const USERS: [&str; 5] = ["ann", " ANN", "bob", "it's \"q\" ]]\\ {x}", "ü 1"];
const TIERS: [&str; 3] = ["gold", "silver", ""];
/// Several tiers at once, and none.
const ARRAYS: [&str; 4] = [
    "\u{1f}gold\u{1f}it",
    "\u{1f}tin\u{1f}silver\u{1f}b",
    "\u{1f}\u{1f}a",
    "\u{1f}",
];
const DEVICES: [&str; 3] = ["d1", "1:d", "d\n2"];
/// What a claim may say instead of a number, and numbers.
const SAID: [&str; 12] = [
    "3",
    "0",
    "-2",
    "-0",
    "07",
    "+7",
    " 7",
    "7.0",
    "1e1",
    "0x1f",
    "9007199254740991",
    "9007199254740993",
];

/// Members of the lists every generated plan may ask for.
pub fn audiences() -> BTreeMap<String, BTreeSet<String>> {
    let members = |of: &[&str]| of.iter().map(|member| (*member).to_owned()).collect();
    BTreeMap::from([
        ("vip".to_owned(), members(&["ann", "gold", "d1"])),
        ("blocked".to_owned(), members(&["ü 1", "d\n2", "10.0.0.2"])),
        (NETWORKS.to_owned(), members(&["10.0.0.2/31", "2001:db8::1"])),
    ])
}

/// The list that is of addresses.
const NETWORKS: &str = "networks";

fn kind_of(list: &str) -> ListKind {
    match list {
        NETWORKS => ListKind::Addresses(PrefixLengths {
            v4: [8, 31].into(),
            v6: [128].into(),
        }),
        _ => ListKind::Texts,
    }
}

fn attributes() -> Vec<Attribute> {
    vec![
        Attribute::User,
        Attribute::Sku,
        Attribute::OfSku("tier".into()),
        Attribute::OfSku("kind".into()),
        Attribute::Ip,
        Attribute::Claim("tier".into()),
        Attribute::Client("device".into()),
        Attribute::Client("the \"address\"".into()),
        folded(Attribute::User, "trim+lowercase"),
        folded(Attribute::Claim("tier".into()), "lowercase+nfc"),
        folded(Attribute::Client("device".into()), "digits"),
    ]
}

fn folded(of: Attribute, fold: &str) -> Attribute {
    Attribute::Folded {
        of: Box::new(of),
        fold: fold.parse().expect("steps"),
    }
}

/// How one node comes about; what it becomes depends on the nodes before it.
#[derive(Clone, Debug)]
struct NodeSeed {
    op: u8,
    operands: [Index; 3],
    number: i64,
    texts: Vec<String>,
}

#[derive(Clone, Debug)]
struct CounterSeed {
    key: Vec<Attribute>,
    window: Window,
    cost: Index,
}

#[derive(Clone, Debug)]
struct ConstraintSeed {
    when: Option<Index>,
    /// Whether it limits a counter, so that something is rejected for more than noise.
    limit: Option<(Index, i64)>,
    require: Index,
    measure: Option<(Index, Index)>,
}

fn numbers() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => -3..12i64,
        1 => select(vec![1000, 60_000, DAY, 1 << 40, -(1 << 40), (1 << 53) - 1, -(1 << 53) + 1]),
    ]
}

fn texts() -> impl Strategy<Value = String> {
    let mut texts: Vec<&str> = vec!["a", "b", "10.0.0.1", "x]]y", "\0\r\n"];
    texts.extend(USERS);
    texts.extend(TIERS);
    texts.extend(DEVICES);
    texts.extend(SAID);
    select(texts).prop_map(str::to_owned)
}

fn node_seed() -> impl Strategy<Value = NodeSeed> {
    let operands = [any::<Index>(), any::<Index>(), any::<Index>()];
    (
        0u8..31,
        operands,
        numbers(),
        prop::collection::btree_set(texts(), 0..4),
    )
        .prop_map(|(op, operands, number, texts)| NodeSeed {
            op,
            operands,
            number,
            texts: texts.into_iter().collect(),
        })
}

/// The texts, and a part of each.
fn parts(texts: &[String], part: fn(&String) -> String) -> Vec<String> {
    let all: BTreeSet<String> = texts.iter().flat_map(|text| [text.clone(), part(text)]).collect();
    all.into_iter().filter(|text| !text.is_empty()).collect()
}

fn windows() -> impl Strategy<Value = Window> {
    let lengths = || select(vec![1000i64, 1500, 60_000, 3_600_000, DAY]);
    let units = select(vec![CalendarUnit::Day, CalendarUnit::Week, CalendarUnit::Month]);
    let zones = select(vec!["Europe/Berlin", "Asia/Kolkata", "America/Sao_Paulo", "UTC"]);
    prop_oneof![
        2 => Just(Window::Campaign),
        1 => (lengths(), 0..OPENS_AT + DAY)
            .prop_map(|(length_ms, origin_ms)| Window::Tumbling { length_ms, origin_ms }),
        1 => (units, zones).prop_map(|(unit, zone)| Window::Calendar { unit, zone: zone.to_owned() }),
        2 => prop_oneof![1..5i64, lengths()].prop_map(|length_ms| Window::Rolling { length_ms }),
    ]
}

fn counter_seed() -> impl Strategy<Value = CounterSeed> {
    let key = prop::sample::subsequence(attributes(), 0..4).prop_shuffle();
    (key, windows(), any::<Index>()).prop_map(|(key, window, cost)| CounterSeed { key, window, cost })
}

fn constraint_seed() -> impl Strategy<Value = ConstraintSeed> {
    let limit = prop::option::weighted(0.7, (any::<Index>(), 1..8i64));
    let measure = prop::option::of((any::<Index>(), any::<Index>()));
    (prop::option::of(any::<Index>()), limit, any::<Index>(), measure).prop_map(
        |(when, limit, require, measure)| ConstraintSeed {
            when,
            limit,
            require,
            measure,
        },
    )
}

fn sku(id: &str, stock: u64, attributes: &[(&str, &str)]) -> Sku {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Sku {
        attributes: attributes.iter().map(owned).collect(),
        ..Sku::new(id, stock)
    }
}

fn context() -> impl Strategy<Value = CheckContext> {
    (1..40u64, 0..15u64, 1..9u32, 1..4u32, 1..5 * DAY).prop_map(|(a, b, buckets, sets, lasts)| {
        let list = |id: String| {
            let kind = kind_of(&id);
            let list = AudienceRef {
                kind,
                ..AudienceRef::whole(1, sets)
            };
            (id, list)
        };
        CheckContext {
            campaign: "prop".into(),
            schedule: Schedule {
                opens_at: OPENS_AT,
                closes_at: OPENS_AT + lasts,
                retention_ms: rushgate::campaign::RETENTION_MS,
            },
            skus: vec![
                sku("a", a, &[("tier", "gold"), ("kind", "it's \"q\" ]]\\ {x}")]),
                sku("b", b, &[("kind", "10.0.0.2")]),
            ]
            .into(),
            audiences: audiences().into_keys().map(list).collect(),
            buckets,
        }
    })
}

/// Small but wild plans over every part of the language, with the context they pass `check` in.
pub fn valid_plan() -> impl Strategy<Value = (Plan, CheckContext)> {
    (
        context(),
        prop::collection::vec(counter_seed(), 0..5),
        prop::collection::vec(node_seed(), 0..40),
        prop::collection::vec(constraint_seed(), 0..6),
        prop::collection::vec((0..2 * DAY, any::<Index>()), 0..3),
    )
        .prop_map(|(context, counters, nodes, constraints, early)| {
            let mut builder = Builder::new(context, &counters);
            for seed in &nodes {
                builder.node(seed);
            }
            for (index, seed) in counters.iter().enumerate() {
                builder.cost(index, seed);
            }
            for seed in &constraints {
                builder.constraint(seed);
            }
            for (lead_ms, when) in early {
                builder.early(lead_ms, when);
            }
            (builder.plan, builder.context)
        })
}

/// Grows a plan; what the checker refuses is taken out again.
struct Builder {
    plan: Plan,
    context: CheckContext,
    ints: Vec<Node>,
    bools: Vec<Node>,
    texts: Vec<Node>,
}

impl Builder {
    fn new(context: CheckContext, counters: &[CounterSeed]) -> Self {
        let mut builder = Self {
            plan: Plan::default(),
            context,
            ints: Vec::new(),
            bools: Vec::new(),
            texts: Vec::new(),
        };
        // One node of each type, so that every pick finds one.
        builder.push(Expr::Int(1));
        builder.push(Expr::Attribute(Attribute::Quantity));
        builder.push(Expr::Le(0, 1));
        builder.push(Expr::Attribute(Attribute::User));
        for (index, seed) in counters.iter().enumerate() {
            builder.plan.counters.push(Counter {
                id: format!("rule-{}/c{index}", index % 2),
                key: seed.key.clone(),
                window: seed.window.clone(),
                cost: 0,
            });
        }
        builder
    }

    fn passes(&self) -> bool {
        check(self.plan.clone(), self.context.clone()).is_ok()
    }

    fn push(&mut self, expr: Expr) -> Option<Node> {
        let node = self.plan.nodes.len() as Node;
        self.plan.nodes.push(expr);
        let Ok(checked) = check(self.plan.clone(), self.context.clone()) else {
            self.plan.nodes.pop();
            return None;
        };
        match checked.kind(node) {
            Kind::Int { .. } => self.ints.push(node),
            Kind::Bool => self.bools.push(node),
            Kind::Text => self.texts.push(node),
        }
        Some(node)
    }

    fn node(&mut self, seed: &NodeSeed) {
        let [x, y, z] = &seed.operands;
        let int = |index: &Index| *index.get(&self.ints);
        let bool = |index: &Index| *index.get(&self.bools);
        let text = |index: &Index| *index.get(&self.texts);
        let attributes = attributes();
        let attribute = || x.get(&attributes).clone();
        let word = || seed.texts.first().cloned().unwrap_or_default();
        let list = || ["vip", "blocked", NETWORKS][seed.number.rem_euclid(3) as usize];
        let expr = match seed.op {
            0 => Expr::Int(seed.number),
            1 => Expr::Text(word()),
            2 => Expr::Attribute(attribute()),
            3 if self.plan.counters.is_empty() => Expr::Remaining,
            3 => Expr::Counter(x.index(self.plan.counters.len()) as u32),
            4 => Expr::Remaining,
            5 => Expr::Stock,
            6 => Expr::Now,
            7 => Expr::OpensAt,
            8 => Expr::ClosesAt,
            9 => Expr::Add(int(x), int(y)),
            10 => Expr::Sub(int(x), int(y)),
            11 => Expr::Mul(int(x), int(y)),
            12 => Expr::Div(int(x), seed.number.max(1)),
            13 => Expr::Mod(int(x), seed.number.max(1)),
            14 => Expr::Min(int(x), int(y)),
            15 => Expr::Max(int(x), int(y)),
            16 => Expr::Lt(int(x), int(y)),
            17 => Expr::Le(int(x), int(y)),
            18 if seed.number % 2 == 0 => Expr::Eq(int(x), int(y)),
            18 => Expr::Eq(text(x), text(y)),
            19 => Expr::And(bool(x), bool(y)),
            20 => Expr::Or(bool(x), bool(y)),
            21 => Expr::Not(bool(x)),
            22 => match seed.number.rem_euclid(3) {
                0 => Expr::Select(bool(x), int(y), int(z)),
                1 => Expr::Select(bool(x), bool(y), bool(z)),
                _ => Expr::Select(bool(x), text(y), text(z)),
            },
            23 => Expr::OneOf(text(x), seed.texts.clone()),
            24 => Expr::Lookup {
                of: text(x),
                entries: seed.texts.iter().cloned().zip(seed.number - 1..).collect(),
                default: seed.number,
            },
            25..=27 => Expr::Number {
                of: text(x),
                low: seed.number.min(seed.texts.len() as i64),
                high: seed.number.max(9),
                missing: seed.number,
                unreadable: seed.texts.len() as i64,
            },
            28 => Expr::StartsWith(text(x), parts(&seed.texts, |text| text.chars().take(1).collect())),
            29 => Expr::EndsWith(
                text(x),
                parts(&seed.texts, |text| text.chars().rev().take(1).collect()),
            ),
            _ => Expr::Member {
                audience: list().into(),
                of: attribute(),
            },
        };
        self.push(expr);
    }

    /// A cost may read attributes and constants only; where the picked node does not, units count.
    fn cost(&mut self, index: usize, seed: &CounterSeed) {
        for cost in [*seed.cost.get(&self.ints), 1] {
            self.plan.counters[index].cost = cost;
            if self.passes() {
                return;
            }
        }
    }

    fn constraint(&mut self, seed: &ConstraintSeed) {
        let mut require = *seed.require.get(&self.bools);
        if let (Some((counter, limit)), false) = (&seed.limit, self.plan.counters.is_empty()) {
            require = self.limit(counter, *limit).unwrap_or(require);
        }
        let measure = seed.measure.as_ref().filter(|_| !self.plan.counters.is_empty());
        let index = self.plan.constraints.len();
        self.plan.constraints.push(Constraint {
            when: seed.when.map(|when| *when.get(&self.bools)),
            require,
            reason: format!("reason-{index}"),
            rule: format!("rule-{}", index % 2),
            retryable: index.is_multiple_of(2),
            sentence: format!("Sentence {index} with ]] and -- and \"quotes\"."),
            measure: measure.map(|(counter, limit)| Measure {
                counter: counter.index(self.plan.counters.len()) as u32,
                limit: *limit.get(&self.ints),
            }),
        });
    }

    /// `counter + cost ≤ limit`.
    fn limit(&mut self, counter: &Index, limit: i64) -> Option<Node> {
        let counter = counter.index(self.plan.counters.len());
        let used = self.push(Expr::Counter(counter as u32))?;
        let then = self.push(Expr::Add(used, self.plan.counters[counter].cost))?;
        let limit = self.push(Expr::Int(limit))?;
        self.push(Expr::Le(then, limit))
    }

    fn early(&mut self, lead_ms: i64, when: Index) {
        self.plan.early_access.push(EarlyAccess {
            lead_ms,
            when: *when.get(&self.bools),
            sentence: "Some come in before the others.".into(),
        });
        if !self.passes() {
            self.plan.early_access.pop();
        }
    }
}

fn attempt() -> impl Strategy<Value = Attempt> {
    let attributes = (
        prop::option::of(select(vec![
            "10.0.0.1",
            "10.0.0.2",
            "10.0.0.3",
            "::ffff:10.0.0.3",
            "2001:DB8:0:0::1",
        ])),
        prop::option::of(select([&TIERS[..], &ARRAYS[..], &SAID[..]].concat())),
        prop::option::of(select(DEVICES.to_vec())),
        prop::option::of(select(vec!["here", "2:there"])),
    );
    let sku = prop_oneof![8 => Just("a"), 4 => Just("b"), 1 => Just("unknown")];
    (0..200u32, select(USERS.to_vec()), sku, 1..5u32, attributes).prop_map(
        |(key, user, sku, quantity, (ip, tier, device, address))| {
            let named = [
                ("ip", ip),
                ("claim:tier", tier),
                ("client:device", device),
                ("client:the \"address\"", address),
            ];
            let given = named.into_iter().filter_map(|(name, value)| Some((name, value?)));
            Attempt {
                order: OrderId::keyed("prop", user, &key.to_string()),
                user: user.to_owned(),
                sku: sku.to_owned(),
                quantity,
                attributes: given
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect(),
            }
        },
    )
}

/// Pauses and resumes, each before the batch of a number. They may arrive out of order: a number says which is the later.
pub fn pauses() -> impl Strategy<Value = Vec<(usize, Pause)>> {
    let resume_at = prop_oneof![Just(None), (1..4_000_000i64).prop_map(Some)];
    let paused = prop_oneof![
        Just(None),
        resume_at.prop_map(|resume_at| Some(Paused { resume_at }))
    ];
    let pause = (1..6u64, paused).prop_map(|(number, paused)| Pause { number, paused });
    prop::collection::vec((0..12usize, pause), 0..4)
}

/// Attempts with their moments (milliseconds after the opening, never going back): four buyers, few
/// devices, now and then the same order again.
pub fn attempts() -> impl Strategy<Value = Vec<(i64, Attempt)>> {
    let steps = prop_oneof![
        4 => Just(0i64),
        4 => 1..5i64,
        3 => select(vec![999, 1000, 60_000, 3_599_999]),
        1 => select(vec![6 * 3_600_000, DAY]),
    ];
    let start = prop_oneof![2 => Just(-DAY), 1 => Just(-1000i64), 6 => Just(0i64)];
    (start, prop::collection::vec((steps, attempt()), 1..60)).prop_map(|(start, steps)| {
        let mut at = start;
        let timed = steps.into_iter().map(|(step, attempt)| {
            at += step;
            (at, attempt)
        });
        timed.collect()
    })
}
