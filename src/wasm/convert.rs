//! WIT values ↔ our own types: the boundary where a module's answer becomes plain data.

use super::bindings::wit;
use super::bindings2;
use super::bounds::{DIAGNOSTICS_MAX, PARAMS_BYTES_MAX, SCHEMA_TEXT_BYTES_MAX};
use super::descriptor::refused;
use super::{
    AttributeNeed, CONTRACT, Context, Descriptor, Diagnostic, Example, ExampleAttempt, Expected, ModuleError,
    Reason,
};
use crate::campaign::Sku;
use crate::plan::{
    Attribute, CalendarUnit, Constraint, Counter, EarlyAccess, Expr, Measure, PLAN_CONSTRAINTS_MAX,
    PLAN_COUNTERS_MAX, PLAN_NODES_MAX, Plan, Window,
};

/// `precheck`: whether the component exports that interface.
pub(super) fn descriptor(answer: wit::Descriptor, precheck: bool) -> Result<Descriptor, ModuleError> {
    let params_schema = json(&answer.params_schema, "params-schema", SCHEMA_TEXT_BYTES_MAX)?;
    let examples = answer
        .examples
        .into_iter()
        .map(example)
        .collect::<Result<_, _>>()?;
    Ok(Descriptor {
        id: answer.id,
        version: answer.version,
        title: answer.title,
        summary: answer.summary,
        params_schema,
        reasons: answer.reasons.into_iter().map(reason).collect(),
        attributes: answer.attributes.into_iter().map(need).collect(),
        examples,
        annotations: answer.annotations,
        precheck,
    })
}

/// JSON of bounded size: values take many times the memory of their text.
fn json(text: &str, what: &str, most: usize) -> Result<serde_json::Value, ModuleError> {
    if text.len() > most {
        let bytes = text.len();
        return Err(refused(format!(
            "{what} has {bytes} bytes; at most {most} are allowed"
        )));
    }
    serde_json::from_str(text).map_err(|error| refused(format!("{what} is not JSON: {error}")))
}

fn reason(reason: wit::Reason) -> Reason {
    Reason {
        code: reason.code,
        title: reason.title,
        retryable: reason.retryable,
    }
}

fn need(need: wit::AttributeNeed) -> AttributeNeed {
    AttributeNeed {
        attribute: attribute(need.attribute),
        required: need.required,
    }
}

fn example(example: wit::Example) -> Result<Example, ModuleError> {
    let wit::Context {
        campaign,
        opens_at_ms,
        closes_at_ms,
        skus,
        contract: _,
    } = example.context;
    let skus = skus.into_iter().map(|sku| Sku::new(sku.id, sku.stock));
    Ok(Example {
        context: Context {
            campaign,
            opens_at: saturated(opens_at_ms),
            closes_at: saturated(closes_at_ms),
            skus: skus.collect(),
        },
        params: json(
            &example.params,
            &format!("params of example {:?}", example.name),
            PARAMS_BYTES_MAX,
        )?,
        name: example.name,
        audiences: example.audiences,
        attempts: example.attempts.into_iter().map(attempt).collect(),
    })
}

fn attempt(attempt: wit::ExampleAttempt) -> ExampleAttempt {
    let attributes = attempt
        .attributes
        .into_iter()
        .map(|(name, value)| (attribute(name).to_string(), value));
    ExampleAttempt {
        at_ms: attempt.at_ms,
        user: attempt.user,
        sku: attempt.sku,
        quantity: attempt.quantity,
        attributes: attributes.collect(),
        expect: match attempt.expect {
            wit::Expected::Admitted => Expected::Admitted,
            wit::Expected::Rejected(reason) => Expected::Rejected(reason),
        },
    }
}

fn attribute(attribute: wit::Attribute) -> Attribute {
    match attribute {
        wit::Attribute::User => Attribute::User,
        wit::Attribute::Sku => Attribute::Sku,
        wit::Attribute::Quantity => Attribute::Quantity,
        wit::Attribute::Ip => Attribute::Ip,
        wit::Attribute::Claim(name) => Attribute::Claim(name),
        wit::Attribute::Client(name) => Attribute::Client(name),
    }
}

pub(super) fn context(context: &Context) -> wit::Context {
    let skus = context.skus.iter().map(|sku| wit::Sku {
        id: sku.id.clone(),
        stock: sku.stock,
    });
    wit::Context {
        campaign: context.campaign.clone(),
        opens_at_ms: context.opens_at.max(0).unsigned_abs(),
        closes_at_ms: context.closes_at.max(0).unsigned_abs(),
        skus: skus.collect(),
        contract: CONTRACT.to_owned(),
    }
}

/// Times and lengths beyond `i64` are refused by the checks that follow; here they only stay large.
fn saturated(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// The plan, still untrusted. Only its size is looked at here, before anything is copied.
pub(super) fn plan(answer: wit::Plan) -> Result<Plan, ModuleError> {
    let wit::Plan {
        nodes,
        counters,
        constraints,
        early_access,
    } = answer;
    plan_of((nodes, expr), (counters, counter), constraints, early_access)
}

/// The same of what `rule2` answers.
pub(super) fn plan2(answer: bindings2::Plan) -> Result<Plan, ModuleError> {
    let bindings2::Plan {
        nodes,
        counters,
        constraints,
        early_access,
    } = answer;
    plan_of((nodes, expr2), (counters, counter2), constraints, early_access)
}

/// Of whatever interface a plan's nodes and counters are: the rest is the same.
fn plan_of<N, C>(
    (nodes, expr): (Vec<N>, fn(N) -> Expr),
    (counters, counter): (Vec<C>, fn(C) -> Counter),
    constraints: Vec<wit::Constraint>,
    early: Vec<wit::EarlyAccess>,
) -> Result<Plan, ModuleError> {
    bounded("nodes", nodes.len(), PLAN_NODES_MAX)?;
    bounded("counters", counters.len(), PLAN_COUNTERS_MAX)?;
    bounded("constraints", constraints.len(), PLAN_CONSTRAINTS_MAX)?;
    bounded("early-access", early.len(), PLAN_CONSTRAINTS_MAX)?;
    Ok(Plan {
        nodes: nodes.into_iter().map(expr).collect(),
        counters: counters.into_iter().map(counter).collect(),
        constraints: constraints.into_iter().map(constraint).collect(),
        early_access: early.into_iter().map(early_access).collect(),
        required: Vec::new(),
    })
}

fn bounded(what: &str, count: usize, most: usize) -> Result<(), ModuleError> {
    if count <= most {
        return Ok(());
    }
    Err(ModuleError::Misbehaved {
        function: "compile",
        code: "output",
        message: format!("its plan has {count} {what}; at most {most} are allowed"),
    })
}

fn expr(expr: wit::Expr) -> Expr {
    match expr {
        wit::Expr::Int(value) => Expr::Int(value),
        wit::Expr::Text(value) => Expr::Text(value),
        wit::Expr::Attribute(of) => Expr::Attribute(attribute(of)),
        wit::Expr::Counter(index) => Expr::Counter(index),
        wit::Expr::Remaining => Expr::Remaining,
        wit::Expr::Stock => Expr::Stock,
        wit::Expr::Now => Expr::Now,
        wit::Expr::OpensAt => Expr::OpensAt,
        wit::Expr::ClosesAt => Expr::ClosesAt,
        wit::Expr::Add((a, b)) => Expr::Add(a, b),
        wit::Expr::Sub((a, b)) => Expr::Sub(a, b),
        wit::Expr::Mul((a, b)) => Expr::Mul(a, b),
        wit::Expr::Div((a, by)) => Expr::Div(a, by),
        wit::Expr::Mod((a, by)) => Expr::Mod(a, by),
        wit::Expr::Min((a, b)) => Expr::Min(a, b),
        wit::Expr::Max((a, b)) => Expr::Max(a, b),
        wit::Expr::Lt((a, b)) => Expr::Lt(a, b),
        wit::Expr::Le((a, b)) => Expr::Le(a, b),
        wit::Expr::Eq((a, b)) => Expr::Eq(a, b),
        wit::Expr::And((a, b)) => Expr::And(a, b),
        wit::Expr::Or((a, b)) => Expr::Or(a, b),
        wit::Expr::Not(a) => Expr::Not(a),
        wit::Expr::Select((when, then, otherwise)) => Expr::Select(when, then, otherwise),
        wit::Expr::OneOf((of, texts)) => Expr::OneOf(of, texts),
        wit::Expr::Lookup(table) => Expr::Lookup {
            of: table.of,
            entries: table.entries,
            default: table.default,
        },
        wit::Expr::Member(membership) => Expr::Member {
            audience: membership.audience,
            of: attribute(membership.of),
        },
    }
}

fn expr2(expr: bindings2::Expr) -> Expr {
    match expr {
        bindings2::Expr::Plain(plain) => self::expr(plain),
        bindings2::Expr::Number(number) => Expr::Number {
            of: number.of,
            low: number.low,
            high: number.high,
            missing: number.missing,
            unreadable: number.unreadable,
        },
        bindings2::Expr::StartsWith((of, texts)) => Expr::StartsWith(of, texts),
        bindings2::Expr::EndsWith((of, texts)) => Expr::EndsWith(of, texts),
        bindings2::Expr::SkuAttribute(name) => Expr::Attribute(Attribute::OfSku(name)),
    }
}

fn attribute2(of: bindings2::Attribute) -> Attribute {
    match of {
        bindings2::Attribute::Plain(plain) => attribute(plain),
        bindings2::Attribute::SkuAttribute(name) => Attribute::OfSku(name),
    }
}

fn counter(counter: wit::Counter) -> Counter {
    let wit::Counter {
        id,
        key,
        window,
        cost,
    } = counter;
    Counter {
        id,
        key: key.into_iter().map(attribute).collect(),
        window: self::window(window),
        cost,
    }
}

fn counter2(counter: bindings2::Counter) -> Counter {
    let bindings2::Counter {
        id,
        key,
        window,
        cost,
    } = counter;
    Counter {
        id,
        key: key.into_iter().map(attribute2).collect(),
        window: self::window(window),
        cost,
    }
}

fn window(window: wit::Window) -> Window {
    match window {
        wit::Window::Campaign => Window::Campaign,
        wit::Window::Tumbling(window) => Window::Tumbling {
            length_ms: saturated(window.length_ms),
            origin_ms: saturated(window.origin_ms),
        },
        wit::Window::Calendar(window) => Window::Calendar {
            unit: match window.unit {
                wit::CalendarUnit::Day => CalendarUnit::Day,
                wit::CalendarUnit::Week => CalendarUnit::Week,
                wit::CalendarUnit::Month => CalendarUnit::Month,
            },
            zone: window.zone,
        },
        wit::Window::Rolling(length_ms) => Window::Rolling {
            length_ms: saturated(length_ms),
        },
    }
}

fn constraint(constraint: wit::Constraint) -> Constraint {
    Constraint {
        when: constraint.when,
        require: constraint.require,
        reason: constraint.reason,
        rule: String::new(),
        retryable: false,
        sentence: constraint.sentence,
        measure: constraint.measure.map(|measure| Measure {
            counter: measure.counter,
            limit: measure.limit,
        }),
    }
}

fn early_access(early: wit::EarlyAccess) -> EarlyAccess {
    EarlyAccess {
        lead_ms: saturated(early.lead_ms),
        when: early.when,
        sentence: early.sentence,
    }
}

/// A refusal must say why, and a pointer must be one.
pub(super) fn diagnostics(answer: Vec<wit::Diagnostic>) -> Result<Vec<Diagnostic>, ModuleError> {
    if answer.is_empty() {
        return Err(ModuleError::Misbehaved {
            function: "compile",
            code: "output",
            message: "it refused the parameters without saying why".into(),
        });
    }
    Ok(answer.into_iter().take(DIAGNOSTICS_MAX).map(diagnostic).collect())
}

fn diagnostic(diagnostic: wit::Diagnostic) -> Diagnostic {
    let severity = match diagnostic.severity {
        wit::Severity::Error => "error",
        wit::Severity::Warning => "warning",
    };
    let pointer = match diagnostic.pointer.starts_with('/') {
        true => diagnostic.pointer,
        false => String::new(),
    };
    Diagnostic {
        severity: severity.to_owned(),
        pointer,
        code: diagnostic.code,
        message: diagnostic.message,
        hint: diagnostic.hint,
    }
}
