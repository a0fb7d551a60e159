//! Attributes of an order: what a rule reads of it, and what counters are keyed by.

use alloc::borrow::ToOwned;
use alloc::string::String;

use crate::bindings::exports::rushgate::policy::types as wit;
#[cfg(feature = "rule2")]
use crate::bindings::exports::rushgate::policy::types2;
#[cfg(feature = "rule2")]
use crate::expr::{Beyond, Written};
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

/// What the campaign says of an order's SKU: see [`sku_attribute`]. It can be read, and can be part of a counter's key.
#[cfg(feature = "rule2")]
#[derive(Clone, Debug)]
pub struct SkuAttribute(String);

/// What the campaign says of the order's SKU under this name: its colour, its category. The empty text where it says nothing.
/// It needs not be declared, because no buyer can send it. Needs a gateway that asks `rule2`.
#[cfg(feature = "rule2")]
pub fn sku_attribute(name: &str) -> SkuAttribute {
    SkuAttribute(name.to_owned())
}

#[cfg(feature = "rule2")]
impl SkuAttribute {
    pub fn text(&self) -> Text {
        let name = self.0.clone();
        Expr::written(alloc::vec::Vec::new(), move |_| {
            Written::Beyond(Beyond::SkuAttribute(name.clone()))
        })
    }
}

#[cfg(feature = "rule2")]
impl Operand<Textual> for &SkuAttribute {
    type Scope = PerOrder;
    fn tree(self) -> TreeHandle {
        self.text().tree()
    }
}

#[cfg(feature = "rule2")]
impl Operand<Textual> for SkuAttribute {
    type Scope = PerOrder;
    fn tree(self) -> TreeHandle {
        self.text().tree()
    }
}

/// A part of a counter's key: an [`Attribute`], or one of the SKU.
#[cfg(feature = "rule2")]
#[derive(Clone, Debug)]
pub struct Key(pub(crate) types2::Attribute);

#[cfg(feature = "rule2")]
impl From<Attribute> for Key {
    fn from(attribute: Attribute) -> Self {
        Self(types2::Attribute::Plain(attribute.0))
    }
}

#[cfg(feature = "rule2")]
impl From<SkuAttribute> for Key {
    fn from(attribute: SkuAttribute) -> Self {
        Self(types2::Attribute::SkuAttribute(attribute.0))
    }
}
