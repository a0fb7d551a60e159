//! A difference between engine and database: what it is, what it means, and what to do about it. Pure.

use std::fmt;

use serde::Serialize;

use crate::lua::places::CountAt;
use crate::order::{OrderEvent, OrderId, shown_sku};
use crate::plan::decision::Placed;

/// What differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// More is sold than there was.
    Oversold,
    /// The engine has more units than are left: it would oversell.
    Overcommitted,
    /// Units that nobody holds and nobody can buy.
    Leaked,
    /// `stock.sold` is not what the confirmed orders say.
    SoldMismatch,
    /// Admitted, and nowhere on the way to the database.
    LostOrder,
    /// Landed, and the engine does not know it.
    UnknownOrder,
    /// The engine counts too little.
    CounterLow,
    /// The engine counts too much.
    CounterHigh,
    /// An entry of the outbox that nobody can relay.
    StuckEntry,
}

impl Kind {
    pub const ALL: [Self; 9] = [
        Self::Oversold,
        Self::Overcommitted,
        Self::Leaked,
        Self::SoldMismatch,
        Self::LostOrder,
        Self::UnknownOrder,
        Self::CounterLow,
        Self::CounterHigh,
        Self::StuckEntry,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Oversold => "oversold",
            Self::Overcommitted => "overcommitted",
            Self::Leaked => "leaked",
            Self::SoldMismatch => "sold-mismatch",
            Self::LostOrder => "lost-order",
            Self::UnknownOrder => "unknown-order",
            Self::CounterLow => "counter-low",
            Self::CounterHigh => "counter-high",
            Self::StuckEntry => "stuck-entry",
        }
    }

    /// Whether a repair may touch it: what is sold twice needs a person.
    pub fn is_repairable(self) -> bool {
        self != Self::Oversold
    }

    /// What it means, and what to do.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Oversold => {
                "more is confirmed than there was; nothing here undoes a sale: add stock or talk to buyers"
            }
            Self::Overcommitted => {
                "the gate would sell what is not there, and landing would revoke it; --repair takes it off"
            }
            Self::Leaked => {
                "nobody holds these units and nobody can buy them; --repair puts them back on sale"
            }
            Self::SoldMismatch => {
                "the database's own guard counts with a wrong number; --repair sets it to what the orders say"
            }
            Self::LostOrder => {
                "its buyer was told that it was admitted; --repair sends it again with what it was charged, with \
                 --release it is given up and gives back what it holds"
            }
            Self::UnknownOrder => {
                "a retry of it would be admitted as another order; --repair puts its record back"
            }
            Self::CounterLow => "this subject could pass its limit; --repair sets the count",
            Self::CounterHigh => "this subject is refused too early; --repair sets the count",
            Self::StuckEntry => {
                "the relay cannot read it; --repair removes it once its orders are in the database"
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Where the two differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    Sku {
        sku: String,
    },
    Order {
        order: OrderId,
        user: String,
        sku: String,
        quantity: u32,
        /// Milliseconds since 1970-01-01 UTC.
        placed_at: i64,
    },
    Entry {
        /// Id in the outbox.
        entry: String,
    },
    Count {
        counter: String,
        subject: String,
        /// Start of the window, milliseconds since 1970-01-01 UTC; absent for the whole campaign and for a
        /// rolling window.
        #[serde(skip_serializing_if = "Option::is_none")]
        window: Option<i64>,
    },
}

impl Place {
    /// An order, by the engine's record of it.
    pub(super) fn of(order: OrderId, placed: &Placed) -> Self {
        Self::Order {
            order,
            user: placed.user.clone(),
            sku: placed.sku.clone(),
            quantity: placed.quantity,
            placed_at: placed.placed_at,
        }
    }
}

/// Keys and values as a person reads them, harmless to a terminal.
fn plain(text: &str) -> String {
    text.escape_debug().to_string()
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sku { sku } => write!(f, "SKU {}", shown_sku(sku)),
            Self::Entry { entry } => write!(f, "outbox entry {entry}"),
            Self::Order {
                order,
                user,
                sku,
                quantity,
                placed_at,
            } => write!(
                f,
                "order {order} of {} ({quantity} × {}, placed {})",
                plain(user),
                shown_sku(sku),
                when(*placed_at)
            ),
            Self::Count {
                counter,
                subject,
                window,
            } => {
                write!(f, "counter {counter} of {}", plain(subject))?;
                match window {
                    Some(start) => write!(f, " since {}", when(*start)),
                    None => Ok(()),
                }
            }
        }
    }
}

fn when(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| format!("{ms} ms"), |at| at.to_string())
}

/// What became of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RepairOutcome {
    /// It is there.
    Found,
    Repaired,
    /// A lost order is on its way again.
    SentAgain,
    /// A lost order is revoked, and gives back what it holds.
    GivenUp,
    /// It changed between comparing and repairing; the next run sees what is left.
    Moved,
    /// Not by itself.
    Refused,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub kind: Kind,
    #[serde(rename = "where")]
    pub place: Place,
    /// What the engine says, in units, orders or counts.
    pub engine: i64,
    /// What it should say after the database.
    pub database: i64,
    pub outcome: RepairOutcome,
    /// All of it in a sentence.
    pub sentence: String,
    /// How to put it right.
    #[serde(skip)]
    pub(super) mend: Mend,
}

/// What a repair compares and sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mend {
    /// Not by itself.
    Never,
    /// Units to be added to the engine's stock.
    Stock {
        reopened: String,
        units: i64,
    },
    Sold,
    /// The order to be sent again. Where it is not `whole`, it has no charges and can only be given up.
    Lost {
        event: Box<OrderEvent>,
        whole: bool,
    },
    /// The orders of an outbox entry, all of them.
    Entry {
        orders: Vec<OrderId>,
    },
    /// The record to be written.
    Order {
        record: String,
    },
    Count {
        at: CountAt,
        there: String,
        to_be: String,
        expires_at: Option<i64>,
        reopened: String,
    },
}

impl Difference {
    pub(super) fn new(kind: Kind, place: Place, engine: i64, database: i64, mend: Mend) -> Self {
        let numbers = match kind {
            Kind::Oversold => format!("{engine} units are sold of {database}"),
            Kind::Overcommitted | Kind::Leaked => {
                format!("the engine has {engine} units left and should have {database}")
            }
            Kind::SoldMismatch => {
                format!("stock.sold is {engine} and the confirmed orders make {database}")
            }
            Kind::LostOrder => {
                "the engine admitted it, and it is in no outbox, no dead letter and not in the database"
                    .to_owned()
            }
            Kind::StuckEntry => format!("{database} of its {engine} orders are in the database"),
            Kind::UnknownOrder => "the database has it and the engine has no record".to_owned(),
            Kind::CounterLow | Kind::CounterHigh => {
                format!("the engine counts {engine} and landed orders make {database}")
            }
        };
        Self {
            sentence: format!("{kind}: {place}: {numbers}; {}", kind.meaning()),
            outcome: RepairOutcome::Found,
            kind,
            place,
            engine,
            database,
            mend,
        }
    }

    /// A lost order that cannot be sent again by itself.
    pub fn needs_operator(&self) -> bool {
        matches!(self.mend, Mend::Lost { whole: false, .. })
    }

    /// Says why it is left alone although its kind could be repaired.
    pub(super) fn refuse(&mut self, why: &str) {
        self.mend = Mend::Never;
        self.sentence += "; not repaired: ";
        self.sentence += why;
    }
}

#[cfg(test)]
impl Difference {
    /// A lost order that was sent again.
    pub(in crate::reconcile) fn sent_again(place: Place) -> Self {
        let mut sent = Self::new(Kind::LostOrder, place, 1, 0, Mend::Never);
        sent.outcome = RepairOutcome::SentAgain;
        sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_explains_itself() {
        let place = Place::Count {
            counter: "n-per-user/orders".into(),
            subject: "ada\n".into(),
            window: None,
        };
        let low = Difference::new(Kind::CounterLow, place, 1, 2, Mend::Never);
        assert_eq!(
            low.sentence,
            "counter-low: counter n-per-user/orders of ada\\n: the engine counts 1 and landed orders make 2; this \
             subject could pass its limit; --repair sets the count"
        );
        let json = serde_json::to_value(&low).expect("JSON");
        assert_eq!(json["kind"], "counter-low");
        assert_eq!(json["where"]["count"]["subject"], "ada\n");
        assert_eq!(json["outcome"], "found");
    }

    #[test]
    fn names_are_those_of_the_json() {
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_value(kind).expect("JSON"), kind.as_str());
        }
        assert!(!Kind::Oversold.is_repairable() && Kind::LostOrder.is_repairable());
    }
}
