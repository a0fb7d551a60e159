//! Whose things a request is about: who holds a key of one merchant sees what is another's as if it did not exist.

use super::Rules;
use super::answer::Refused;
use super::routes::{Reach, needs};
use crate::access::{Actor, Scope};
use crate::letters::no_letter;
use crate::record::LetterId;
use crate::store::{Owned, Owner};
use crate::wire::problem::{FORBIDDEN, UNKNOWN};
use crate::wire::{Problem, echo};

/// The merchant that something new is of: the key's own, or the one that is named by who sees all.
pub(super) fn own(actor: &Actor, named: Option<String>) -> Result<Option<String>, Problem> {
    match (actor.merchant(), named) {
        (None, named) => Ok(named),
        (Some(own), None) => Ok(Some(own.to_owned())),
        (Some(own), Some(named)) if own == named => Ok(Some(named)),
        (Some(own), Some(_)) => {
            let detail = format!("the key is one of the merchant {own}: leave \"merchant\" out");
            Err(Problem::new(&FORBIDDEN, detail))
        }
    }
}

/// Whether these campaigns may be made to go by a list: they are one's own, and that puts a revision of each in force.
pub(super) async fn may_repin(rules: &dyn Rules, actor: &Actor, campaigns: &[String]) -> Result<(), Refused> {
    if campaigns.is_empty() {
        return Ok(());
    }
    needs(actor, Scope::RulesActivate)?;
    for campaign in campaigns {
        check(rules, actor, Reach::Campaign, campaign).await?;
    }
    Ok(())
}

/// Refuses what is another merchant's; `id` is the one that the path names.
pub(super) async fn check(rules: &dyn Rules, actor: &Actor, reach: Reach, id: &str) -> Result<(), Refused> {
    let Some(own) = actor.merchant() else {
        return Ok(());
    };
    if reach == Reach::Letter {
        return check_letter(rules, own, id).await;
    }
    let of = match reach {
        Reach::Campaign => Owned::Campaign,
        Reach::List | Reach::NewList => Owned::List,
        Reach::Webhook => Owned::Webhook,
        Reach::Module | Reach::OwnModule => Owned::Module,
        Reach::Key => Owned::Key,
        Reach::Merchant if id == own => return Ok(()),
        Reach::Merchant => return Err(no_merchant(id).into()),
        Reach::Own | Reach::All | Reach::Letter => return Ok(()),
    };
    let owner = rules.owner(of, id).await?;
    match (reach, owner) {
        (_, Owner::One(owner)) if owner == own => Ok(()),
        (Reach::Module, Owner::All) => Ok(()),
        // Whose the id is, the list itself says: it may be taken.
        (Reach::NewList, _) => Ok(()),
        (Reach::OwnModule, Owner::All) => {
            let detail =
                "all merchants share this module: it is for the root token, or a key of all merchants";
            Err(Problem::new(&FORBIDDEN, detail).into())
        }
        _ => Err(missing(of, id).into()),
    }
}

fn no_merchant(id: &str) -> Problem {
    Problem::new(&UNKNOWN, format!("no merchant {}", echo(id)))
}

/// A letter that is of no merchant alone is for keys of all merchants.
async fn check_letter(rules: &dyn Rules, own: &str, id: &str) -> Result<(), Refused> {
    let owner = match id.parse::<LetterId>() {
        Ok(id) => rules.letter_owner(&id).await?,
        Err(_) => Owner::Missing,
    };
    match owner {
        Owner::One(owner) if owner == own => Ok(()),
        _ => Err(Problem::new(&UNKNOWN, no_letter(id)).into()),
    }
}

/// The same text whether it is another's or is not there.
fn missing(of: Owned, id: &str) -> Problem {
    let what = match of {
        Owned::Campaign => "campaign",
        Owned::List => "list",
        Owned::Webhook => "webhook",
        Owned::Module => "module",
        Owned::Key => "key",
    };
    Problem::new(&UNKNOWN, format!("no {what} {}", echo(id)))
}
