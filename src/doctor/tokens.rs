//! How orders prove who they come from: the keys of tokens.

use std::path::Path;
use std::time::SystemTime;

use super::leg::{Leg, Stopped, wrong};
use super::{Patient, files};
use crate::gateway::auth::Auth;

pub(super) const STEPS: &[&str] = &["keys"];

pub(super) async fn examine(patient: &Patient<'_>, leg: &mut Leg) -> Result<(), Stopped> {
    let config = patient.config.auth();
    leg.step("keys", async {
        let made = Auth::new(&config);
        made.map(drop).map_err(|error| {
            wrong(
                error.to_string(),
                "set or mend the key file in [auth]; the gateway's user has to be able to read it",
            )
        })
    })
    .await?;
    if config.insecure_dev_auth {
        leg.warn(
            "keys",
            "orders are taken from anybody under any name (auth.insecure_dev_auth)",
            "take --insecure-dev-auth away where buyers can connect",
        );
    }
    let named = [
        ("auth.jwt_hs256_secret_file", &config.jwt_hs256_secret_file),
        ("auth.jwt_public_key_file", &config.jwt_public_key_file),
    ];
    for (key, path) in named {
        if let Some(path) = path {
            leg.ok("keys", format!("{key}: {}{}", path.display(), age(path)));
        }
    }
    if let Some(path) = &config.jwt_hs256_secret_file {
        leg.note(files::open_to_all("keys", path, "the secret of tokens"))?;
    }
    if !config.insecure_dev_auth && config.audience.is_none() {
        leg.warn(
            "keys",
            "tokens for any audience are taken: those of other services of the same issuer are good here, too",
            "set auth.audience to what the issuer writes into `aud` for this shop",
        );
    }
    Ok(())
}

/// How long ago a file was written.
fn age(path: &Path) -> String {
    let written = std::fs::metadata(path).and_then(|known| known.modified());
    let age = written
        .ok()
        .and_then(|at| SystemTime::now().duration_since(at).ok());
    match age.map(|age| age.as_secs() / (24 * 3600)) {
        None | Some(0) => String::new(),
        Some(1) => ", 1 day old".to_owned(),
        Some(days) => format!(", {days} days old"),
    }
}
