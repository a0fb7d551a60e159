//! `types2` and `rule2` of `wit/policy.wit`, written by hand on what wasmtime writes from `types`: it would write all of
//! `types` a second time.

use wasmtime::Store;
use wasmtime::component::{ComponentType, Instance, InstancePre, Lift, TypedFunc};

use super::bindings::wit;
use super::run::Guest;

/// The interface's name among the exports of a component.
const RULE2: &str = "rushgate:policy/rule2@1.0.0";

#[derive(Clone, Debug, ComponentType, Lift)]
#[component(record)]
pub(super) struct Number {
    pub(super) of: u32,
    pub(super) low: i64,
    pub(super) high: i64,
    pub(super) missing: i64,
    pub(super) unreadable: i64,
}

#[derive(Clone, Debug, ComponentType, Lift)]
#[component(variant)]
pub(super) enum Expr {
    #[component(name = "plain")]
    Plain(wit::Expr),
    #[component(name = "number")]
    Number(Number),
    #[component(name = "starts-with")]
    StartsWith((u32, Vec<String>)),
    #[component(name = "ends-with")]
    EndsWith((u32, Vec<String>)),
    #[component(name = "sku-attribute")]
    SkuAttribute(String),
}

#[derive(Clone, Debug, ComponentType, Lift)]
#[component(variant)]
pub(super) enum Attribute {
    #[component(name = "plain")]
    Plain(wit::Attribute),
    #[component(name = "sku-attribute")]
    SkuAttribute(String),
}

#[derive(Clone, Debug, ComponentType, Lift)]
#[component(record)]
pub(super) struct Counter {
    pub(super) id: String,
    pub(super) key: Vec<Attribute>,
    pub(super) window: wit::Window,
    pub(super) cost: u32,
}

#[derive(Clone, Debug, ComponentType, Lift)]
#[component(record)]
pub(super) struct Plan {
    pub(super) nodes: Vec<Expr>,
    pub(super) counters: Vec<Counter>,
    pub(super) constraints: Vec<wit::Constraint>,
    #[component(name = "early-access")]
    pub(super) early_access: Vec<wit::EarlyAccess>,
}

/// What `compile` answers.
type Answer = Result<Plan, Vec<wit::Diagnostic>>;
type Compile<'a> = TypedFunc<(&'a wit::Context, &'a str), (Answer,)>;

/// Whether the module exports the function as the contract has it.
pub(super) fn check(store: &mut Store<Guest>, module: &InstancePre<Guest>) -> wasmtime::Result<()> {
    let instance = module.instantiate(&mut *store)?;
    function(store, &instance).map(drop)
}

/// Asks the module for its plan.
pub(super) fn compile(
    store: &mut Store<Guest>,
    module: &InstancePre<Guest>,
    context: &wit::Context,
    params: &str,
) -> wasmtime::Result<Answer> {
    let instance = module.instantiate(&mut *store)?;
    let compile: Compile<'_> = function(store, &instance)?;
    let (answer,) = compile.call(store, (context, params))?;
    Ok(answer)
}

fn function<'a>(store: &mut Store<Guest>, instance: &Instance) -> wasmtime::Result<Compile<'a>> {
    let missing = || wasmtime::Error::msg("it has no function `compile`");
    let interface = instance
        .get_export_index(&mut *store, None, RULE2)
        .ok_or_else(missing)?;
    let compile = instance
        .get_export_index(&mut *store, Some(&interface), "compile")
        .ok_or_else(missing)?;
    instance.get_typed_func(&mut *store, compile)
}
