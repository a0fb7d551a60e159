//! The addresses that buyers and operators come to.

use std::io;
use std::net::SocketAddr;

use super::leg::{Leg, Stopped, wrong};
use super::net::plain_answer;
use super::{Patient, Role};
use crate::admin::{self, StartError};
use crate::gateway;

pub(super) const STEPS: &[&str] = &["admin", "orders"];
const LIVE: &[u8] = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

pub(super) async fn examine(patient: &Patient<'_>, leg: &mut Leg) -> Result<(), Stopped> {
    let listen = patient.config.admin_listen;
    let config = admin::Config {
        listen,
        token: patient.config.admin_token.clone(),
    };
    let mut runs = false;
    let bound = match admin::bind(&config) {
        Ok(_free) => Ok(format!("{listen} is free")),
        Err(StartError::Bind(error)) if is_taken(&error.cause) => {
            runs = lives(listen).await;
            taken(runs, listen, "--admin-listen")
        }
        Err(StartError::Bind(error)) => Err(wrong(
            error.to_string(),
            "give an address of this machine in admin_listen",
        )),
        Err(error) => Err(wrong(
            error.to_string(),
            "set RUSHGATE_ADMIN_TOKEN, or admin_listen to a loopback address",
        )),
    };
    let found = leg.step("admin", async { bound }).await?;
    leg.ok("admin", found);
    if patient.role == Some(Role::Land) {
        return Ok(());
    }
    let listen = patient.config.listen;
    let bound = match gateway::bind(listen) {
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

fn is_taken(cause: &io::Error) -> bool {
    cause.kind() == io::ErrorKind::AddrInUse
}

/// A rushgate that is running has its ports, and that is well.
fn taken(runs: bool, listen: SocketAddr, flag: &str) -> Result<String, super::leg::Wrong> {
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

/// Whether a rushgate answers there.
async fn lives(listen: SocketAddr) -> bool {
    let answer = plain_answer(listen, LIVE).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    answer.starts_with("HTTP/1.1 200") && answer.trim_end().ends_with("ok")
}
