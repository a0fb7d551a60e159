//! Plans that are refused: what a module can say in the right types and must not be believed.
use serde_json::{Map, Value, json};

use super::super::{Body, Forge, described};
use super::{At, Hostile, forged};

/// Nodes 0 to 4: `1`, the counter 0, their sum, the limit 2, sum ≤ limit; one counter per user, one constraint.
fn limit() -> Value {
    json!({
        "nodes": [{"int": 1}, {"counter": 0}, {"add": [1, 0]}, {"int": 2}, {"le": [2, 3]}],
        "counters": [{"id": "orders", "key": ["user"], "window": "campaign", "cost": 0}],
        "constraints": [{"require": 4, "reason": "no", "sentence": "At most two.", "measure": {"counter": 0, "limit": 3}}],
    })
}

fn with(at: &str, fields: &Value) -> Value {
    let mut plan = limit();
    let target = plan.pointer_mut(at).expect("the plan has it");
    let fields: Map<String, Value> = fields.as_object().expect("fields are an object").clone();
    target.as_object_mut().expect("an object").extend(fields);
    plan
}

fn nodes(nodes: Value) -> Value {
    json!({"nodes": nodes, "constraints": [{"require": 0, "reason": "no", "sentence": "x"}]})
}

/// A plan that requires the last of these nodes.
fn requiring(list: Value) -> Value {
    let last = list.as_array().map_or(0, Vec::len) - 1;
    let mut plan = nodes(list);
    plan["constraints"][0]["require"] = last.into();
    plan
}

const TOP: i64 = (1 << 53) - 1;
const LUA: &str = "x]]..redis.call('FLUSHALL')--";

pub fn refused() -> Vec<Hostile> {
    [arena(), numbers(), types(), counters(), constraints(), texts()]
        .into_iter()
        .flatten()
        .map(|(name, code, plan)| planned(name, code, json!({}), plan))
        .collect()
}

/// A descriptor whose reason is `no`, and a plan.
fn planned(name: impl Into<String>, code: &'static str, descriptor: Value, plan: Value) -> Hostile {
    let forge = Forge {
        describe: Body::Answer(described(descriptor)),
        ..Forge::planning(plan)
    };
    forged(name, At::Revision(code), forge)
}

type Case = (&'static str, &'static str, Value);

fn arena() -> Vec<Case> {
    vec![
        (
            "a node that uses a later one",
            "plan:index",
            requiring(json!([{"not": 1}, {"lt": [0, 0]}])),
        ),
        (
            "a node that uses itself",
            "plan:index",
            requiring(json!([{"not": 0}])),
        ),
        (
            "two nodes that use each other",
            "plan:index",
            requiring(json!([{"and": [1, 1]}, {"or": [0, 0]}])),
        ),
        (
            "a node far outside of the plan",
            "plan:index",
            requiring(json!([{"not": u32::MAX}])),
        ),
        (
            "a constraint on a node that is not there",
            "plan:index",
            nodes(json!([])),
        ),
        (
            "a counter that is not there",
            "plan:index",
            requiring(json!([{"counter": 7}, {"le": [0, 0]}])),
        ),
        (
            "a counter of the last index",
            "plan:index",
            requiring(json!([{"counter": u32::MAX}, {"le": [0, 0]}])),
        ),
        (
            "a cost that is not there",
            "plan:index",
            with("/counters/0", &json!({"cost": u32::MAX})),
        ),
        (
            "a measure of a counter that is not there",
            "plan:index",
            with("/constraints/0/measure", &json!({"counter": 9})),
        ),
    ]
}

fn numbers() -> Vec<Case> {
    let int = |n: i64| requiring(json!([{"int": n}, {"le": [0, 0]}]));
    let of = |name: &str, a: i64, b: i64| {
        let mut op = Map::new();
        op.insert(name.into(), json!([0, 1]));
        requiring(json!([{"int": a}, {"int": b}, op, {"le": [2, 2]}]))
    };
    let by = |name: &str, by: i64| {
        let mut op = Map::new();
        op.insert(name.into(), json!([0, by]));
        requiring(json!([{"int": 7}, op, {"le": [1, 1]}]))
    };
    vec![
        ("2^53", "plan:number", int(TOP + 1)),
        ("-2^53", "plan:number", int(-TOP - 1)),
        ("the largest integer", "plan:number", int(i64::MAX)),
        ("the smallest integer", "plan:number", int(i64::MIN)),
        ("a sum beyond 2^53", "plan:number", of("add", TOP, 1)),
        ("a difference beyond -2^53", "plan:number", of("sub", -TOP, 1)),
        (
            "a product beyond 2^53",
            "plan:number",
            of("mul", 1 << 27, 1 << 27),
        ),
        (
            "a product that wraps around 64 bits",
            "plan:number",
            of("mul", TOP, TOP),
        ),
        ("a division by nothing", "plan:bound", by("div", 0)),
        ("a division by less than nothing", "plan:bound", by("div", -1)),
        (
            "a division by the smallest integer",
            "plan:bound",
            by("div", i64::MIN),
        ),
        ("a remainder by nothing", "plan:bound", by("mod", 0)),
        (
            "a table with 2^53 in it",
            "plan:number",
            requiring(
                json!([{"attribute": "user"}, {"lookup": {"of": 0, "entries": [["a", TOP + 1]], "default": 0}}, {"le": [1, 1]}]),
            ),
        ),
        (
            "a table whose default is the smallest integer",
            "plan:number",
            requiring(
                json!([{"attribute": "user"}, {"lookup": {"of": 0, "entries": [], "default": i64::MIN}}, {"le": [1, 1]}]),
            ),
        ),
    ]
}

fn types() -> Vec<Case> {
    let cost = |node: Value| {
        let mut plan = with("/counters/0", &json!({"cost": 5}));
        plan["nodes"].as_array_mut().expect("nodes").push(node);
        plan
    };
    // Costs nothing or one, as this node says.
    let odd = |node: Value| {
        let mut plan = with("/counters/0", &json!({"cost": 6}));
        let nodes = plan["nodes"].as_array_mut().expect("nodes");
        nodes.extend([node, json!({"mod": [5, 2]})]);
        plan
    };
    vec![
        (
            "adds a text",
            "plan:type",
            requiring(json!([{"text": "a"}, {"add": [0, 0]}, {"le": [1, 1]}])),
        ),
        (
            "compares a text with a number",
            "plan:type",
            requiring(json!([{"text": "a"}, {"int": 1}, {"eq": [0, 1]}])),
        ),
        (
            "compares two truths",
            "plan:type",
            requiring(json!([{"int": 1}, {"le": [0, 0]}, {"eq": [1, 1]}])),
        ),
        (
            "negates a number",
            "plan:type",
            requiring(json!([{"int": 1}, {"not": 0}])),
        ),
        (
            "chooses between a number and a truth",
            "plan:type",
            requiring(json!([{"int": 1}, {"le": [0, 0]}, {"select": [1, 0, 1]}])),
        ),
        (
            "looks a number up in a table of texts",
            "plan:type",
            requiring(
                json!([{"int": 1}, {"lookup": {"of": 0, "entries": [["1", 1]], "default": 0}}, {"le": [1, 1]}]),
            ),
        ),
        ("requires a number", "plan:type", requiring(json!([{"int": 1}]))),
        (
            "applies where a text holds",
            "plan:type",
            with("/constraints/0", &json!({"when": 0})),
        ),
        (
            "measures against a truth",
            "plan:type",
            with("/constraints/0/measure", &json!({"limit": 4})),
        ),
        (
            "costs a truth",
            "plan:type",
            with("/counters/0", &json!({"cost": 4})),
        ),
        (
            "costs what the counter says",
            "plan:type",
            odd(json!({"counter": 0})),
        ),
        ("costs what the clock says", "plan:type", odd(json!("now"))),
        ("costs what the stock says", "plan:type", odd(json!("remaining"))),
        ("costs less than nothing", "plan:bound", cost(json!({"int": -1}))),
        ("costs 2^53-1", "plan:bound", cost(json!({"int": TOP}))),
    ]
}

fn counters() -> Vec<Case> {
    let counter = |fields: Value| with("/counters/0", &fields);
    let tumbling = |length: u64, origin: u64| {
        counter(json!({"window": {"tumbling": {"length-ms": length, "origin-ms": origin}}}))
    };
    let zone = |zone: &str| counter(json!({"window": {"calendar": {"unit": "day", "zone": zone}}}));
    let key = |key: Value| counter(json!({ "key": key }));
    let mut twice = limit();
    let first = twice["counters"][0].clone();
    twice["counters"]
        .as_array_mut()
        .expect("counters")
        .push(first.clone());
    let mut many = limit();
    many["counters"] = vec![first; 65].into();
    vec![
        (
            "a counter that closes a Lua string",
            "plan:name",
            counter(json!({ "id": LUA })),
        ),
        (
            "a counter with the syntax of keys",
            "plan:name",
            counter(json!({"id": "a}:{b:0"})),
        ),
        (
            "a counter with a line break",
            "plan:name",
            counter(json!({"id": "a\nb"})),
        ),
        ("a counter with a NUL", "plan:name", counter(json!({"id": "a\0"}))),
        (
            "a counter with a slash",
            "plan:name",
            counter(json!({"id": "other-rule/orders"})),
        ),
        (
            "a counter without a name",
            "plan:name",
            counter(json!({"id": ""})),
        ),
        (
            "a counter with a name of a kilobyte",
            "plan:name",
            counter(json!({"id": "a".repeat(1024)})),
        ),
        ("a counter twice", "plan:name", twice),
        ("65 counters", "output", many),
        ("a window of nothing", "plan:window", tumbling(0, 0)),
        ("a window of a millisecond", "plan:window", tumbling(1, 0)),
        ("a window without an end", "plan:window", tumbling(u64::MAX, 0)),
        (
            "a window that begins at the end of time",
            "plan:window",
            tumbling(1000, u64::MAX),
        ),
        (
            "a rolling window without an end",
            "plan:window",
            counter(json!({"window": {"rolling": u64::MAX}})),
        ),
        (
            "a rolling window of nothing",
            "plan:window",
            counter(json!({"window": {"rolling": 0}})),
        ),
        (
            "a time zone that is a path",
            "plan:window",
            zone("../../etc/passwd"),
        ),
        ("a time zone that is Lua", "plan:window", zone(LUA)),
        ("no time zone", "plan:window", zone("")),
        (
            "counts by the quantity",
            "plan:attribute",
            key(json!(["quantity"])),
        ),
        (
            "counts by the same attribute twice",
            "plan:attribute",
            key(json!(["user", "user"])),
        ),
        (
            "counts by a claim it does not declare",
            "plan:attribute",
            key(json!([{"claim": "tier"}])),
        ),
    ]
}

fn constraints() -> Vec<Case> {
    let reason = |reason: &str| with("/constraints/0", &json!({ "reason": reason }));
    let mut many = limit();
    let first = many["constraints"][0].clone();
    many["constraints"] = vec![first; 65].into();
    let early = |fields: Value| {
        let mut plan = limit();
        let mut one = json!({"lead-ms": 1000, "when": 4, "sentence": "x"});
        one.as_object_mut()
            .expect("an object")
            .extend(fields.as_object().cloned().unwrap_or_default());
        plan["early-access"] = json!([one]);
        plan
    };
    vec![
        ("a reason it does not declare", "plan:name", reason("other")),
        (
            "a reason of the gateway's own in a plan",
            "plan:name",
            reason("sold-out"),
        ),
        ("a reason with Lua in a plan", "plan:name", reason(LUA)),
        ("65 constraints", "output", many),
        (
            "early access that hangs on a counter",
            "plan:type",
            early(json!({})),
        ),
        (
            "early access without a beginning",
            "plan:window",
            early(json!({"lead-ms": u64::MAX})),
        ),
    ]
}

fn texts() -> Vec<Case> {
    let sentence = |text: &str| with("/constraints/0", &json!({ "sentence": text }));
    let member = |audience: &str| requiring(json!([{"member": {"audience": audience, "of": "user"}}]));
    let text = |text: String| requiring(json!([{"text": text}, {"eq": [0, 0]}]));
    let one_of = |texts: Vec<String>| requiring(json!([{"attribute": "user"}, {"one-of": [0, texts]}]));
    let numbered = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
    vec![
        (
            "a sentence that goes on in Lua",
            "output",
            sentence("At most two.\nredis.call('FLUSHALL')"),
        ),
        (
            "a sentence with a carriage return",
            "output",
            sentence("x\rredis.call('FLUSHALL')"),
        ),
        ("a sentence with a NUL", "output", sentence("x\0")),
        ("no sentence", "plan:bound", sentence(" ")),
        (
            "a sentence of a kilobyte",
            "plan:bound",
            sentence(&"x".repeat(1024)),
        ),
        ("a list nobody uploaded", "plan:audience", member("vip")),
        ("a list whose name is Lua", "plan:audience", member(LUA)),
        (
            "a list whose name has the syntax of keys",
            "plan:audience",
            member("vip:1:0}{"),
        ),
        ("a text of a kilobyte", "plan:bound", text("x".repeat(1024))),
        ("a choice of 1,025 texts", "plan:bound", one_of(numbered(1025))),
        (
            "a text twice in a choice",
            "plan:bound",
            one_of(vec!["a".into(), "a".into()]),
        ),
        (
            "membership by the quantity",
            "plan:type",
            requiring(json!([{"member": {"audience": "vip", "of": "quantity"}}])),
        ),
    ]
}
