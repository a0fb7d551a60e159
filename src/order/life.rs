//! The life of an order: the states it may have, which change may follow which, and what it holds meanwhile.

use serde::{Deserialize, Serialize};

/// Where an order stands.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum OrderState {
    /// Redis admitted it; it is in the outbox.
    Pending,
    /// Kafka acknowledged it.
    Accepted,
    /// It is in the database.
    Confirmed,
    /// Admitted, but refused by the database's own guard, or given up.
    Revoked,
    Paid,
    /// Its buyer or the merchant did not want it any more before it was paid.
    Cancelled,
    /// It was not paid in time.
    Expired,
    /// It was paid, and the buyer got the money back.
    Refunded,
}

/// Every change that a landed order may make, with its number among the changes of the order: what landed made its first.
const CHANGES: [(OrderState, OrderState, u32); 4] = [
    (OrderState::Confirmed, OrderState::Paid, 2),
    (OrderState::Confirmed, OrderState::Cancelled, 2),
    (OrderState::Confirmed, OrderState::Expired, 2),
    (OrderState::Paid, OrderState::Refunded, 3),
];

impl OrderState {
    /// Those that an order in the database may have.
    pub const LANDED: [Self; 6] = [
        Self::Confirmed,
        Self::Paid,
        Self::Cancelled,
        Self::Expired,
        Self::Refunded,
        Self::Revoked,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Accepted => "accepted",
            Self::Confirmed => "confirmed",
            Self::Revoked => "revoked",
            Self::Paid => "paid",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Refunded => "refunded",
        }
    }

    /// A state by its name.
    pub fn of(name: &str) -> Option<Self> {
        let all = [Self::Pending, Self::Accepted].into_iter().chain(Self::LANDED);
        all.into_iter().find(|state| state.as_str() == name)
    }

    /// Whether a landed order may go from here to there.
    pub fn may_become(self, next: Self) -> bool {
        CHANGES.iter().any(|(from, to, _)| (*from, *to) == (self, next))
    }

    /// Whether nothing follows it but a release. What is confirmed stays so where nobody waits for a payment.
    pub fn is_final(self) -> bool {
        self.is_landed() && !CHANGES.iter().any(|(from, ..)| *from == self)
    }

    /// Whether the database has the order.
    pub fn is_landed(self) -> bool {
        Self::LANDED.contains(&self)
    }

    /// The number that the change to this state has among those of its order, from 1; 0 of an order that has not landed.
    pub fn number(self) -> u32 {
        let change = CHANGES.iter().find(|(_, to, _)| *to == self);
        change.map_or(u32::from(self.is_landed()), |(_, _, number)| *number)
    }

    /// Whether the change to this state lets go of what the order holds.
    pub fn releases(self) -> bool {
        matches!(
            self,
            Self::Cancelled | Self::Expired | Self::Refunded | Self::Revoked
        )
    }
}

/// What an order holds: its units of the stock, and its charges on the limits. What it was charged stands in its receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    All,
    Stock,
    Allowance,
    None,
}

impl Holds {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Stock => "stock",
            Self::Allowance => "allowance",
            Self::None => "none",
        }
    }

    pub fn of(name: &str) -> Option<Self> {
        let all = [Self::All, Self::Stock, Self::Allowance, Self::None];
        all.into_iter().find(|holds| holds.as_str() == name)
    }

    pub fn stock(self) -> bool {
        matches!(self, Self::All | Self::Stock)
    }

    pub fn allowance(self) -> bool {
        matches!(self, Self::All | Self::Allowance)
    }

    /// What is left of it after a release.
    pub fn after(self, release: Release) -> Self {
        let stock = self.stock() && !release.stock();
        match (stock, self.allowance() && !release.allowance()) {
            (true, true) => Self::All,
            (true, false) => Self::Stock,
            (false, true) => Self::Allowance,
            (false, false) => Self::None,
        }
    }
}

/// What comes back of an order that ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub enum Release {
    /// Its units are on sale again, and its buyer may buy as many as before.
    #[default]
    #[serde(rename = "stock+allowance")]
    All,
    /// Its units are on sale again; what it used of the limits stays used.
    #[serde(rename = "stock")]
    Stock,
    #[serde(rename = "none")]
    None,
}

impl Release {
    pub const NAMES: &str = "stock+allowance, stock or none";

    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "stock+allowance",
            Self::Stock => "stock",
            Self::None => "none",
        }
    }

    pub fn of(name: &str) -> Option<Self> {
        let all = [Self::All, Self::Stock, Self::None];
        all.into_iter().find(|release| release.as_str() == name)
    }

    pub fn stock(self) -> bool {
        self != Self::None
    }

    pub fn allowance(self) -> bool {
        self == Self::All
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for state in OrderState::LANDED {
            assert_eq!(OrderState::of(state.as_str()), Some(state));
            assert_eq!(
                serde_json::to_value(state).expect("a name"),
                serde_json::json!(state.as_str())
            );
        }
        assert_eq!(OrderState::of("shipped"), None);
        for holds in [Holds::All, Holds::Stock, Holds::Allowance, Holds::None] {
            assert_eq!(Holds::of(holds.as_str()), Some(holds));
        }
        for release in [Release::All, Release::Stock, Release::None] {
            assert_eq!(Release::of(release.as_str()), Some(release));
            assert_eq!(
                serde_json::to_value(release).expect("a name"),
                serde_json::json!(release.as_str())
            );
        }
    }

    #[test]
    fn only_what_is_in_the_table_may_follow() {
        let allowed: Vec<_> = OrderState::LANDED
            .into_iter()
            .flat_map(|from| OrderState::LANDED.map(|to| (from, to)))
            .filter(|(from, to)| from.may_become(*to))
            .map(|(from, to)| format!("{} → {}", from.as_str(), to.as_str()))
            .collect();
        assert_eq!(
            allowed,
            [
                "confirmed → paid",
                "confirmed → cancelled",
                "confirmed → expired",
                "paid → refunded"
            ]
        );
    }

    #[test]
    fn the_changes_of_an_order_are_numbered_without_a_gap() {
        for from in OrderState::LANDED {
            for to in OrderState::LANDED.into_iter().filter(|to| from.may_become(*to)) {
                assert_eq!(to.number(), from.number() + 1);
            }
        }
        assert_eq!(OrderState::Confirmed.number(), 1);
        assert_eq!(OrderState::Revoked.number(), 1);
        assert_eq!(OrderState::Accepted.number(), 0);
        let last: Vec<_> = OrderState::LANDED
            .into_iter()
            .filter(|state| state.is_final())
            .collect();
        use OrderState::{Cancelled, Expired, Refunded, Revoked};
        assert_eq!(last, [Cancelled, Expired, Refunded, Revoked]);
    }

    #[test]
    fn a_release_takes_off_what_it_names() {
        assert_eq!(Holds::All.after(Release::All), Holds::None);
        assert_eq!(Holds::All.after(Release::Stock), Holds::Allowance);
        assert_eq!(Holds::All.after(Release::None), Holds::All);
        assert_eq!(Holds::Stock.after(Release::Stock), Holds::None);
        assert_eq!(Holds::None.after(Release::All), Holds::None);
    }
}
