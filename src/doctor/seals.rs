//! The keys that seal records, held against those that were used.

use super::leg::{Leg, Stopped};
use super::report::Finding;
use super::{Patient, Role};
use crate::seal::Keyring;
use crate::store::{CutOver, KeyRow, Schema, Store, contradiction};

pub(super) const STEPS: &[&str] = &["keys"];

pub(super) async fn examine(patient: &Patient<'_>, leg: &mut Leg) -> Result<(), Stopped> {
    let used = leg.step("keys", async { Ok(used(patient).await) }).await?;
    let keyring = patient.config.keyring.as_deref();
    let Some((keys, cut_over)) = used else {
        // The database's own leg says why.
        leg.warn(
            "keys",
            format!(
                "{}; the database was not asked whether they are those of the others",
                named(keyring)
            ),
            "mend the database's leg first",
        );
        return Ok(());
    };
    leg.note(judge(keyring, &keys, cut_over.as_ref(), patient.role))
}

/// What was ever used; `None` where the database does not tell.
async fn used(patient: &Patient<'_>) -> Option<(Vec<KeyRow>, Option<CutOver>)> {
    let store = Store::connect(&patient.config.database).await.ok()?;
    let asked = async {
        if store.schema().await.ok()? != Schema::Current {
            return None;
        }
        Some((store.seal_keys().await.ok()?, store.cut_over().await.ok()?))
    };
    let used = asked.await;
    drop(tokio::time::timeout(patient.limit, store.close()).await);
    used
}

fn named(keyring: Option<&Keyring>) -> String {
    let Some(keyring) = keyring else {
        return "seal.keys names no key".to_owned();
    };
    let ids: Vec<&str> = keyring.keys().iter().map(|key| key.id().as_str()).collect();
    format!("key {}", ids.join(", "))
}

fn judge(
    keyring: Option<&Keyring>,
    used: &[KeyRow],
    cut_over: Option<&CutOver>,
    role: Option<Role>,
) -> Vec<Finding> {
    let Some(keyring) = keyring else {
        return vec![match cut_over {
            Some(_) => Finding::failed(
                "keys",
                "records have to carry a seal, and seal.keys names no key",
                "set seal.keys as the other gateways and landers have it",
            ),
            None => Finding::warning(
                "keys",
                "records carry no seal: whoever can write to Kafka can have any order landed",
                "set seal.keys on every gateway and lander: docs/KEYS.md",
            ),
        }];
    };
    let mut findings: Vec<Finding> = keyring
        .keys()
        .iter()
        .filter_map(|key| contradiction(key, used))
        .map(|what| Finding::failed("keys", what, "see `rushgate seal status`"))
        .collect();
    let is_here = |id: &str| keyring.keys().iter().any(|key| key.id().as_str() == id);
    let elsewhere = used
        .iter()
        .filter(|key| key.retired_at.is_none() && !is_here(&key.id));
    if role != Some(Role::Serve) {
        findings.extend(elsewhere.map(|key| {
            Finding::warning(
                "keys",
                format!(
                    "key {} was used and is not among seal.keys: its records wait for a lander that has it",
                    key.id
                ),
                format!(
                    "add it to seal.keys, or `rushgate seal retire {}` where nobody has it any more",
                    key.id
                ),
            )
        }));
    }
    if cut_over.is_none() {
        findings.push(Finding::warning(
            "keys",
            format!("{}; records without a seal are still taken", named(Some(keyring))),
            "once every gateway seals: rushgate seal require",
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(
            "keys",
            format!("{}; records have to carry a seal", named(Some(keyring))),
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::FindingLevel;
    use crate::seal::Key;

    #[test]
    fn keys_are_held_against_those_that_were_used() {
        let key = |id: &str, fill| Key::new(id.parse().expect("an id"), &[fill; 32]).expect("a key");
        let row = |key: &Key, retired_at| KeyRow {
            id: key.id().to_string(),
            check_value: key.check_value().to_owned(),
            first_used_at: 0,
            retired_at,
        };
        let ring = Keyring::new(vec![key("new", 1), key("old", 2)]).expect("keys");
        let cut = CutOver::default();
        let level = |used: &[KeyRow], cut_over: Option<&CutOver>| {
            let findings = judge(Some(&ring), used, cut_over, None);
            findings.iter().map(|finding| finding.level).collect::<Vec<_>>()
        };
        use FindingLevel::{Failed, Ok, Warning};
        assert_eq!(level(&[row(&key("new", 1), None)], Some(&cut)), [Ok]);
        assert_eq!(level(&[], None), [Warning], "no cut-over yet");
        assert_eq!(
            level(&[row(&key("new", 9), None)], Some(&cut)),
            [Failed],
            "another secret"
        );
        assert_eq!(
            level(&[row(&key("old", 2), Some(1))], Some(&cut)),
            [Failed],
            "retired"
        );
        assert_eq!(
            level(&[row(&key("else", 3), None)], Some(&cut)),
            [Warning],
            "used elsewhere"
        );
        assert_eq!(level(&[row(&key("else", 3), Some(1))], Some(&cut)), [Ok]);
        assert_eq!(judge(None, &[], Some(&cut), None)[0].level, Failed);
        assert_eq!(judge(None, &[], None, None)[0].level, Warning);
    }
}
