//! What a key may do: a set of scopes; and roles, which are names of such sets.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// One kind of thing that a key may do. A scope to write does not hold the one to read.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
pub enum Scope {
    /// Look at campaigns, their figures, revisions and modules.
    #[serde(rename = "campaigns:read")]
    CampaignsRead,
    /// Make, change, pause and end campaigns; make revisions, and simulate them.
    #[serde(rename = "campaigns:write")]
    CampaignsWrite,
    /// Put a revision in force, at once or at a time.
    #[serde(rename = "rules:activate")]
    RulesActivate,
    /// Agree to what another person has made: a revision, or a change of a sale that needs two people.
    #[serde(rename = "rules:approve")]
    RulesApprove,
    /// Look at orders, and download them.
    #[serde(rename = "orders:read")]
    OrdersRead,
    /// Have orders paid, cancelled and refunded, one or many.
    #[serde(rename = "orders:write")]
    OrdersWrite,
    /// What a payment system does: look at one order, have it paid, cancelled and refunded.
    #[serde(rename = "payments")]
    Payments,
    /// Look at lists and their members.
    #[serde(rename = "lists:read")]
    ListsRead,
    /// Upload and change lists.
    #[serde(rename = "lists:write")]
    ListsWrite,
    /// Upload and delete modules.
    #[serde(rename = "modules:write")]
    ModulesWrite,
    /// Look after webhooks.
    #[serde(rename = "webhooks")]
    Webhooks,
    /// Export and erase a buyer's data.
    #[serde(rename = "buyers")]
    Buyers,
    /// Look after dead letters, and compare and repair what Redis and the database have of a campaign.
    #[serde(rename = "letters")]
    Letters,
    /// Make, list and revoke keys, and see merchants.
    #[serde(rename = "keys")]
    Keys,
    /// Read the audit trail.
    #[serde(rename = "audit")]
    Audit,
}

impl Scope {
    pub const ALL: [Self; 15] = [
        Self::CampaignsRead,
        Self::CampaignsWrite,
        Self::RulesActivate,
        Self::RulesApprove,
        Self::OrdersRead,
        Self::OrdersWrite,
        Self::Payments,
        Self::ListsRead,
        Self::ListsWrite,
        Self::ModulesWrite,
        Self::Webhooks,
        Self::Buyers,
        Self::Letters,
        Self::Keys,
        Self::Audit,
    ];

    /// As keys, answers and configurations name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CampaignsRead => "campaigns:read",
            Self::CampaignsWrite => "campaigns:write",
            Self::RulesActivate => "rules:activate",
            Self::RulesApprove => "rules:approve",
            Self::OrdersRead => "orders:read",
            Self::OrdersWrite => "orders:write",
            Self::Payments => "payments",
            Self::ListsRead => "lists:read",
            Self::ListsWrite => "lists:write",
            Self::ModulesWrite => "modules:write",
            Self::Webhooks => "webhooks",
            Self::Buyers => "buyers",
            Self::Letters => "letters",
            Self::Keys => "keys",
            Self::Audit => "audit",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }

    /// What it lets one do, as a part of a sentence.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::CampaignsRead => "look at campaigns, their figures, revisions and modules",
            Self::CampaignsWrite => {
                "make, change, pause and end campaigns; make revisions, and simulate them"
            }
            Self::RulesActivate => "put a revision in force, at once or at a time",
            Self::RulesApprove => "approve what another person made, where a campaign needs two",
            Self::OrdersRead => "look at orders, and download them",
            Self::OrdersWrite => "have orders paid, cancelled and refunded, one or many",
            Self::Payments => "look at one order, and have it paid, cancelled and refunded",
            Self::ListsRead => "look at lists and their members",
            Self::ListsWrite => "upload and change lists",
            Self::ModulesWrite => "upload and delete modules",
            Self::Webhooks => "look after webhooks",
            Self::Buyers => "export and erase a buyer's data",
            Self::Letters => {
                "look after dead letters, and compare and repair what Redis and the database have of a campaign"
            }
            Self::Keys => "make, list and revoke keys, and see merchants",
            Self::Audit => "read the audit trail",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of scopes; in JSON a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scopes(BTreeSet<Scope>);

impl Scopes {
    pub fn all() -> Self {
        Scope::ALL.into_iter().collect()
    }

    pub fn has(&self, scope: Scope) -> bool {
        self.0.contains(&scope)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = Scope> + '_ {
        self.0.iter().copied()
    }

    /// Those that `other` has not.
    pub fn beyond(&self, other: &Self) -> Vec<Scope> {
        self.iter().filter(|scope| !other.has(*scope)).collect()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<T: IntoIterator<Item = Scope>>(scopes: T) -> Self {
        Self(scopes.into_iter().collect())
    }
}

/// A name for a set of scopes: what a key gets is the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees sales, and changes nothing.
    Viewer,
    /// Runs sales.
    Operator,
    /// Runs sales, brings modules, and gives keys to others.
    Merchant,
    /// A payment system.
    Payments,
    /// Everything.
    Admin,
}

const VIEWER: &[Scope] = &[Scope::CampaignsRead, Scope::OrdersRead, Scope::ListsRead];
const OPERATOR: &[Scope] = &[
    Scope::CampaignsRead,
    Scope::CampaignsWrite,
    Scope::RulesActivate,
    Scope::RulesApprove,
    Scope::OrdersRead,
    Scope::OrdersWrite,
    Scope::ListsRead,
    Scope::ListsWrite,
    Scope::Webhooks,
];
const MERCHANT: &[Scope] = &[
    Scope::CampaignsRead,
    Scope::CampaignsWrite,
    Scope::RulesActivate,
    Scope::RulesApprove,
    Scope::OrdersRead,
    Scope::OrdersWrite,
    Scope::ListsRead,
    Scope::ListsWrite,
    Scope::ModulesWrite,
    Scope::Webhooks,
    Scope::Keys,
    Scope::Audit,
];

/// Tests and docs/ACCESS.md are made of these.
#[cfg_attr(not(any(test, feature = "testing")), allow(dead_code))]
impl Role {
    pub const ALL: [Self; 5] = [
        Self::Viewer,
        Self::Operator,
        Self::Merchant,
        Self::Payments,
        Self::Admin,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Merchant => "merchant",
            Self::Payments => "payments",
            Self::Admin => "admin",
        }
    }

    pub fn scopes(self) -> Scopes {
        let listed: &[Scope] = match self {
            Self::Viewer => VIEWER,
            Self::Operator => OPERATOR,
            Self::Merchant => MERCHANT,
            Self::Payments => &[Scope::Payments],
            Self::Admin => &Scope::ALL,
        };
        listed.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_has_one_name_everywhere() {
        for scope in Scope::ALL {
            let json = serde_json::to_value(scope).expect("JSON");
            assert_eq!(json, scope.as_str());
            assert_eq!(Scope::named(scope.as_str()), Some(scope));
        }
        assert_eq!(Scope::named("campaigns"), None);
        assert_eq!(Scopes::all().iter().count(), Scope::ALL.len());
        for role in Role::ALL {
            assert_eq!(serde_json::to_value(role).expect("JSON"), role.as_str());
        }
    }

    #[test]
    fn each_role_has_what_the_one_before_has() {
        let [viewer, operator, merchant, _, admin] = Role::ALL.map(Role::scopes);
        assert!(viewer.beyond(&operator).is_empty() && operator.beyond(&merchant).is_empty());
        assert!(merchant.beyond(&admin).is_empty());
        assert_eq!(
            merchant.beyond(&operator),
            [Scope::ModulesWrite, Scope::Keys, Scope::Audit]
        );
        assert_eq!(
            Role::Payments.scopes().iter().collect::<Vec<_>>(),
            [Scope::Payments]
        );
    }
}
