//! The addresses that buyers and operators come to, and the certificates they are shown there.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use super::alive::lives;
use super::leg::{Leg, Stopped, Wrong, wrong};
use super::{Patient, Role, certificates};
use crate::admin::{self, StartError};
use crate::serving::tls::{Files, TlsError};
use crate::serving::{self, Tls};

pub(super) const STEPS: &[&str] = &["admin tls", "admin", "orders tls", "orders"];

pub(super) async fn examine(patient: &Patient<'_>, leg: &mut Leg) -> Result<(), Stopped> {
    let (listen, files) = (patient.config.admin_listen, patient.config.admin.tls());
    match &files {
        Some(files) => tls("admin tls", "admin", files, patient, leg).await?,
        None if listen.ip().is_loopback() => {}
        None => leg.warn(
            "admin tls",
            "the control plane speaks plain HTTP: whoever listens in has the token of every operator",
            "set admin.tls_cert_file and admin.tls_key_file, or admin_listen to a loopback address",
        ),
    }
    let token = patient.config.admin_token.as_deref();
    let mut runs = false;
    let bound = match admin::bind(listen, token) {
        Ok(_free) => Ok(format!("{listen} is free")),
        Err(StartError::Bind(error)) if is_taken(&error.cause) => {
            runs = lives(listen, files.as_ref()).await;
            taken(runs, listen, "--admin-listen")
        }
        Err(StartError::Bind(error)) => Err(wrong(
            error.to_string(),
            "give an address of this machine in admin_listen; below 1024 it needs rights",
        )),
        Err(error) => Err(wrong(
            error.to_string(),
            "set admin_token_file or RUSHGATE_ADMIN_TOKEN, or admin_listen to a loopback address",
        )),
    };
    let found = leg.step("admin", async { bound }).await?;
    leg.ok("admin", found);
    if patient.role == Some(Role::Land) {
        return Ok(());
    }
    if let Some(files) = patient.config.gateway.tls() {
        tls("orders tls", "gateway", &files, patient, leg).await?;
    }
    let listen = patient.config.listen;
    let bound = match serving::bind(listen, "--listen") {
        Ok(_free) => Ok(format!("{listen} is free")),
        Err(error) if is_taken(&error.cause) => taken(runs, listen, "--listen"),
        Err(error) => Err(wrong(
            error.to_string(),
            "give an address of this machine in listen; below 1024 it needs rights",
        )),
    };
    let found = leg.step("orders", async { bound }).await?;
    leg.ok("orders", found);
    Ok(())
}

/// Whether a listener's files can be used, and what clients will make of them.
async fn tls(
    step: &'static str,
    section: &str,
    files: &Files,
    patient: &Patient<'_>,
    leg: &mut Leg,
) -> Result<(), Stopped> {
    let loaded = Tls::load(files.clone());
    leg.step(step, async {
        loaded.map_err(|error| wrong(error.to_string(), mend(&error, section, files)))
    })
    .await?;
    let key = format!("{section}.tls_cert_file");
    leg.note(certificates::listener(step, &key, &files.cert, (patient.clock)()))
}

/// What to do about a file that cannot be used.
fn mend(error: &TlsError, section: &str, files: &Files) -> String {
    let key = |path: &Path| match path {
        path if path == files.cert => format!("{section}.tls_cert_file"),
        path if path == files.key => format!("{section}.tls_key_file"),
        _ => format!("{section}.tls_client_ca_file"),
    };
    match error {
        TlsError::Unreadable { path, .. } => format!(
            "mend the path in {}, or let the user that rushgate runs as read it",
            key(path)
        ),
        TlsError::NoPem { path, .. } if *path == files.key => format!(
            "give an unencrypted key in PEM in {section}.tls_key_file: openssl pkey -in OLD -out {}",
            path.display()
        ),
        TlsError::NoPem { path, .. } => format!(
            "give certificates in PEM in {}: openssl x509 -in OLD -out {}",
            key(path),
            path.display()
        ),
        TlsError::Apart { .. } => format!(
            "put the key into {section}.tls_key_file that the certificate was made for, and the listener's own certificate first \
             into {section}.tls_cert_file"
        ),
        TlsError::Unusable { path, .. } => format!("have it made anew: {}", key(path)),
    }
}

fn is_taken(cause: &io::Error) -> bool {
    cause.kind() == io::ErrorKind::AddrInUse
}

/// A rushgate that is running has its ports, and that is well.
fn taken(runs: bool, listen: SocketAddr, flag: &str) -> Result<String, Wrong> {
    match runs {
        true => Ok(format!("{listen} is taken, by the rushgate that runs here")),
        false => Err(wrong(
            format!("{listen} is taken by another process"),
            format!(
                "end it (ss -ltnp 'sport = :{}'), or give another {flag}",
                listen.port()
            ),
        )),
    }
}
