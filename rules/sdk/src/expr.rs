//! Typed expressions: what they are (`Int`, `Bool`, `Text`) and what they depend on ([`PerOrder`], [`Live`])
//! are part of their type.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::marker::PhantomData;
#[cfg(feature = "rule2")]
use core::ops::RangeInclusive;
use core::ops::{Add, Mul, Not, Sub};

use crate::bindings::exports::rushgate::policy::types as wit;

/// Depends on the order's own attributes alone: the same whenever it is computed.
#[derive(Clone, Copy, Debug)]
pub enum PerOrder {}

/// Depends on counters, stock, lists or the clock too.
#[derive(Clone, Copy, Debug)]
pub enum Live {}

/// What an expression of two parts depends on.
pub trait Meet<Other> {
    type Scope;
}

/// [`PerOrder`] where both are, otherwise [`Live`].
pub type Both<A, B> = <A as Meet<B>>::Scope;
type Three<A, B, C> = Both<Both<A, B>, C>;

impl Meet<PerOrder> for PerOrder {
    type Scope = PerOrder;
}
impl Meet<Live> for PerOrder {
    type Scope = Live;
}
impl Meet<PerOrder> for Live {
    type Scope = Live;
}
impl Meet<Live> for Live {
    type Scope = Live;
}

#[derive(Clone, Copy, Debug)]
pub enum Integer {}
#[derive(Clone, Copy, Debug)]
pub enum Boolean {}
#[derive(Clone, Copy, Debug)]
pub enum Textual {}

/// An expression of kind `Kind` that depends on `Scope`. Cloning shares it.
pub struct Expr<Kind, Scope = Live> {
    tree: Rc<Tree>,
    marker: PhantomData<(Kind, Scope)>,
}

pub type Int<Scope = Live> = Expr<Integer, Scope>;
pub type Bool<Scope = Live> = Expr<Boolean, Scope>;
pub type Text<Scope = PerOrder> = Expr<Textual, Scope>;

/// A node with its operands' indices.
#[derive(Clone, Debug)]
pub(crate) enum Written {
    Plain(wit::Expr),
    /// What only `rule2` can say.
    #[cfg_attr(
        not(feature = "rule2"),
        allow(dead_code, reason = "only the feature makes them")
    )]
    Beyond(Beyond),
}

/// The nodes of `types2` that `types` does not have.
#[derive(Clone, Debug)]
#[cfg_attr(
    not(feature = "rule2"),
    allow(dead_code, reason = "only the feature makes them")
)]
pub(crate) enum Beyond {
    Number {
        of: wit::Node,
        low: i64,
        high: i64,
        missing: i64,
        unreadable: i64,
    },
    StartsWith(wit::Node, Vec<String>),
    EndsWith(wit::Node, Vec<String>),
    #[cfg(feature = "rule2")]
    SkuAttribute(String),
}

type Write = Box<dyn Fn(&[wit::Node]) -> Written>;

/// A node before it has an index: its operands, and how to write it once they have theirs.
pub(crate) struct Tree {
    operands: Vec<Rc<Tree>>,
    write: Write,
}

impl<Kind, Scope> Clone for Expr<Kind, Scope> {
    fn clone(&self) -> Self {
        Self::of(self.tree.clone())
    }
}

impl<Kind, Scope> Expr<Kind, Scope> {
    fn of(tree: Rc<Tree>) -> Self {
        Self {
            tree,
            marker: PhantomData,
        }
    }

    pub(crate) fn new(operands: Vec<Rc<Tree>>, write: impl Fn(&[wit::Node]) -> wit::Expr + 'static) -> Self {
        Self::written(operands, move |at| Written::Plain(write(at)))
    }

    pub(crate) fn written(
        operands: Vec<Rc<Tree>>,
        write: impl Fn(&[wit::Node]) -> Written + 'static,
    ) -> Self {
        Self::of(Rc::new(Tree {
            operands,
            write: Box::new(write),
        }))
    }

    pub(crate) fn leaf(expr: wit::Expr) -> Self {
        Self::new(Vec::new(), move |_| expr.clone())
    }
}

impl<Kind> Expr<Kind, PerOrder> {
    /// The same expression where one that may depend on more is expected.
    pub fn live(self) -> Expr<Kind, Live> {
        Expr::of(self.tree)
    }
}

impl<Kind> From<Expr<Kind, PerOrder>> for Expr<Kind, Live> {
    fn from(expr: Expr<Kind, PerOrder>) -> Self {
        expr.live()
    }
}

/// Anything that can stand where an expression of kind `Kind` is expected: the expression itself, a plain
/// `i64`, a plain text, or an [`Attribute`].
#[diagnostic::on_unimplemented(message = "`{Self}` is not an expression of the kind {Kind}")]
pub trait Operand<Kind> {
    type Scope;
    #[doc(hidden)]
    fn tree(self) -> TreeHandle;
}

/// Hides how expressions are kept.
#[doc(hidden)]
pub struct TreeHandle(pub(crate) Rc<Tree>);

impl<Kind, Scope> Operand<Kind> for Expr<Kind, Scope> {
    type Scope = Scope;
    fn tree(self) -> TreeHandle {
        TreeHandle(self.tree)
    }
}

impl<Kind, Scope> Operand<Kind> for &Expr<Kind, Scope> {
    type Scope = Scope;
    fn tree(self) -> TreeHandle {
        TreeHandle(self.tree.clone())
    }
}

impl Operand<Integer> for i64 {
    type Scope = PerOrder;
    fn tree(self) -> TreeHandle {
        int(self).tree()
    }
}

impl Operand<Textual> for &str {
    type Scope = PerOrder;
    fn tree(self) -> TreeHandle {
        text(self).tree()
    }
}

pub fn int(value: i64) -> Int<PerOrder> {
    Expr::leaf(wit::Expr::Int(value))
}

pub fn text(value: &str) -> Text {
    Expr::leaf(wit::Expr::Text(value.to_owned()))
}

/// Units of this order's SKU still in stock, without this order.
pub fn remaining() -> Int {
    Expr::leaf(wit::Expr::Remaining)
}

/// Units of this order's SKU the campaign started with.
pub fn stock() -> Int {
    Expr::leaf(wit::Expr::Stock)
}

/// The moment of the decision, milliseconds since 1970-01-01 UTC.
pub fn now() -> Int {
    Expr::leaf(wit::Expr::Now)
}

pub fn opens_at() -> Int {
    Expr::leaf(wit::Expr::OpensAt)
}

pub fn closes_at() -> Int {
    Expr::leaf(wit::Expr::ClosesAt)
}

/// What has been used of the counter with this index.
pub(crate) fn used(counter: u32) -> Int {
    Expr::leaf(wit::Expr::Counter(counter))
}

/// `then` where the condition holds, `otherwise` where it does not.
#[allow(clippy::type_complexity, reason = "the result depends on all three parts")]
pub fn select<Kind, C, A, B>(
    condition: C,
    then: A,
    otherwise: B,
) -> Expr<Kind, Three<C::Scope, A::Scope, B::Scope>>
where
    C: Operand<Boolean>,
    A: Operand<Kind>,
    B: Operand<Kind>,
    C::Scope: Meet<A::Scope>,
    Both<C::Scope, A::Scope>: Meet<B::Scope>,
{
    let operands = vec![condition.tree().0, then.tree().0, otherwise.tree().0];
    Expr::new(operands, |at| wit::Expr::Select((at[0], at[1], at[2])))
}

macro_rules! binary {
    ($($(#[$doc:meta])* $name:ident: $of:ty => $to:ident $write:ident;)*) => {$(
        $(#[$doc])*
        pub fn $name<O: Operand<$of>>(self, other: O) -> Expr<$to, Both<Scope, O::Scope>>
        where
            Scope: Meet<O::Scope>,
        {
            Expr::new(vec![self.tree, other.tree().0], |at| wit::Expr::$write((at[0], at[1])))
        }
    )*};
}

impl<Scope> Int<Scope> {
    binary! {
        lt: Integer => Boolean Lt;
        le: Integer => Boolean Le;
        equals: Integer => Boolean Eq;
        min: Integer => Integer Min;
        max: Integer => Integer Max;
    }

    pub fn gt<O: Operand<Integer>>(self, other: O) -> Bool<Both<Scope, O::Scope>>
    where
        Scope: Meet<O::Scope>,
    {
        Expr::new(vec![other.tree().0, self.tree], |at| {
            wit::Expr::Lt((at[0], at[1]))
        })
    }

    pub fn ge<O: Operand<Integer>>(self, other: O) -> Bool<Both<Scope, O::Scope>>
    where
        Scope: Meet<O::Scope>,
    {
        Expr::new(vec![other.tree().0, self.tree], |at| {
            wit::Expr::Le((at[0], at[1]))
        })
    }

    /// Rounded towards minus infinity; `by` is at least 1.
    pub fn div_floor(self, by: i64) -> Self {
        Expr::new(vec![self.tree], move |at| wit::Expr::Div((at[0], by)))
    }

    /// Never negative; `by` is at least 1.
    pub fn modulo(self, by: i64) -> Self {
        Expr::new(vec![self.tree], move |at| wit::Expr::Mod((at[0], by)))
    }
}

impl<Scope> Bool<Scope> {
    binary! {
        and: Boolean => Boolean And;
        or: Boolean => Boolean Or;
    }
}

impl<Scope> Text<Scope> {
    binary! {
        equals: Textual => Boolean Eq;
    }

    pub fn one_of<T: Into<String>>(self, texts: impl IntoIterator<Item = T>) -> Bool<Scope> {
        let texts: Vec<String> = texts.into_iter().map(Into::into).collect();
        Expr::new(vec![self.tree], move |at| {
            wit::Expr::OneOf((at[0], texts.clone()))
        })
    }

    /// The number beside this text in a table; `default` where there is none.
    pub fn lookup<T: Into<String>>(
        self,
        entries: impl IntoIterator<Item = (T, i64)>,
        default: i64,
    ) -> Int<Scope> {
        let entries: Vec<(String, i64)> = entries
            .into_iter()
            .map(|(key, value)| (key.into(), value))
            .collect();
        Expr::new(vec![self.tree], move |at| {
            wit::Expr::Lookup(wit::Table {
                of: at[0],
                entries: entries.clone(),
                default,
            })
        })
    }
}

/// What needs a gateway that asks `rule2`.
#[cfg(feature = "rule2")]
impl<Scope> Text<Scope> {
    /// The integer within `bounds` that this text says, as JSON writes one: `5`, not `05` or `5.0`. `missing` where the
    /// text is empty, which is what an attribute reads as that an order lacks; `unreadable` where it says anything else.
    pub fn number(self, bounds: RangeInclusive<i64>, missing: i64, unreadable: i64) -> Int<Scope> {
        Expr::written(vec![self.tree], move |at| {
            Written::Beyond(Beyond::Number {
                of: at[0],
                low: *bounds.start(),
                high: *bounds.end(),
                missing,
                unreadable,
            })
        })
    }

    /// Whether it begins with one of these, byte for byte; none of them may be empty.
    pub fn starts_with<T: Into<String>>(self, texts: impl IntoIterator<Item = T>) -> Bool<Scope> {
        let texts: Vec<String> = texts.into_iter().map(Into::into).collect();
        Expr::written(vec![self.tree], move |at| {
            Written::Beyond(Beyond::StartsWith(at[0], texts.clone()))
        })
    }

    /// Whether it ends with one of these.
    pub fn ends_with<T: Into<String>>(self, texts: impl IntoIterator<Item = T>) -> Bool<Scope> {
        let texts: Vec<String> = texts.into_iter().map(Into::into).collect();
        Expr::written(vec![self.tree], move |at| {
            Written::Beyond(Beyond::EndsWith(at[0], texts.clone()))
        })
    }
}

macro_rules! operator {
    ($($operator:ident $method:ident;)*) => {$(
        impl<Scope: Meet<O::Scope>, O: Operand<Integer>> $operator<O> for Int<Scope> {
            type Output = Int<Both<Scope, O::Scope>>;
            fn $method(self, other: O) -> Self::Output {
                Expr::new(vec![self.tree, other.tree().0], |at| wit::Expr::$operator((at[0], at[1])))
            }
        }
    )*};
}

operator! {
    Add add;
    Sub sub;
    Mul mul;
}

impl<Scope> Not for Bool<Scope> {
    type Output = Self;
    fn not(self) -> Self {
        Expr::new(vec![self.tree], |at| wit::Expr::Not(at[0]))
    }
}

/// Gives trees their indices, operands first. A shared tree is written once.
#[derive(Default)]
pub(crate) struct Arena {
    pub(crate) nodes: Vec<Written>,
    /// Trees by address. They are kept alive beside it, so that no address is used twice.
    known: alloc::collections::BTreeMap<*const Tree, wit::Node>,
    kept: Vec<Rc<Tree>>,
}

impl Arena {
    pub(crate) fn place(&mut self, tree: &Rc<Tree>) -> wit::Node {
        if let Some(node) = self.known.get(&Rc::as_ptr(tree)) {
            return *node;
        }
        let operands: Vec<wit::Node> = tree.operands.iter().map(|operand| self.place(operand)).collect();
        let node = self.nodes.len() as wit::Node;
        self.nodes.push((tree.write)(&operands));
        self.known.insert(Rc::as_ptr(tree), node);
        self.kept.push(tree.clone());
        node
    }
}
