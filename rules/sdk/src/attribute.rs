//! Attributes of an order: what a rule reads of it, and what counters are keyed by.

use alloc::borrow::ToOwned;
use alloc::string::String;

use crate::bindings::exports::rushgate::policy::types as wit;
use crate::expr::{Bool, Both, Expr, Int, Live, Meet, Operand, PerOrder, Text, Textual, TreeHandle};

/// A text attribute of the order: can be read, and can be part of a counter's key.
#[derive(Clone, Debug)]
pub struct Attribute(pub(crate) wit::Attribute);

impl Attribute {
    pub fn text(&self) -> Text {
        Expr::leaf(wit::Expr::Attribute(self.0.clone()))
    }

    pub fn equals<O: Operand<Textual>>(&self, other: O) -> Bool<Both<PerOrder, O::Scope>>
    where
        PerOrder: Meet<O::Scope>,
    {
        self.text().equals(other)
    }

    pub fn one_of<T: Into<String>>(&self, texts: impl IntoIterator<Item = T>) -> Bool<PerOrder> {
        self.text().one_of(texts)
    }

    /// The number beside this text in a table; `default` where there is none.
    pub fn lookup<T: Into<String>>(
        &self,
        entries: impl IntoIterator<Item = (T, i64)>,
        default: i64,
    ) -> Int<PerOrder> {
        self.text().lookup(entries, default)
    }

    /// Whether an uploaded list contains the value.
    pub fn member_of(&self, audience: &str) -> Bool<Live> {
        Expr::leaf(wit::Expr::Member(wit::Membership {
            audience: audience.to_owned(),
            of: self.0.clone(),
        }))
    }
}

/// `sub` of the verified token.
pub fn user() -> Attribute {
    Attribute(wit::Attribute::User)
}

pub fn sku() -> Attribute {
    Attribute(wit::Attribute::Sku)
}

/// Address of the connection.
pub fn ip() -> Attribute {
    Attribute(wit::Attribute::Ip)
}

/// A claim of the verified token.
pub fn claim(name: &str) -> Attribute {
    Attribute(wit::Attribute::Claim(name.to_owned()))
}

/// Sent by the buyer's program in the body: forgeable.
pub fn client(name: &str) -> Attribute {
    Attribute(wit::Attribute::Client(name.to_owned()))
}

/// Units of this order.
pub fn quantity() -> Int<PerOrder> {
    Expr::leaf(wit::Expr::Attribute(wit::Attribute::Quantity))
}

impl Operand<Textual> for &Attribute {
    type Scope = PerOrder;
    fn tree(self) -> TreeHandle {
        self.text().tree()
    }
}

impl Operand<Textual> for Attribute {
    type Scope = PerOrder;
    fn tree(self) -> TreeHandle {
        self.text().tree()
    }
}
