//! What this machine has to give: descriptors, disk space, and a folder of its own for compiled modules.

use std::path::{Path, PathBuf};

use super::leg::{Leg, Stopped};
use super::report::Finding;
use super::{Descriptors, Patient, Role};
use crate::serving::descriptors::RESERVE;
use crate::wasm;

pub(super) const STEPS: &[&str] = &["descriptors", "cache", "disk"];
const MIB: u64 = 1 << 20;
/// Compiled modules and uploaded lists take up to this.
const DISK_WARN_BELOW: u64 = 1 << 30;
const DISK_FAIL_BELOW: u64 = 64 * MIB;

pub(super) async fn examine(patient: &Patient<'_>, leg: &mut Leg) -> Result<(), Stopped> {
    let buyers = match patient.role {
        Some(Role::Land) => 0,
        _ => patient.config.gateway.connections as u64,
    };
    // As the gateway counts them; the reserve is for what is no connection of a listener.
    let needed = buyers + patient.config.admin.connections as u64 + RESERVE as u64;
    leg.note(patient.descriptors.map(|limit| descriptors(limit, needed)))?;
    if patient.role == Some(Role::Land) {
        return Ok(());
    }
    let folder = patient.config.wasm(None, |name| std::env::var_os(name)).cache_dir;
    leg.note([cache(folder.as_deref())])?;
    let used = folder.into_iter().chain([std::env::temp_dir()]);
    leg.note(used.filter_map(|folder| disk(&folder)).collect::<Vec<_>>())
}

fn descriptors(limit: Descriptors, needed: u64) -> Finding {
    let Descriptors { soft, hard } = limit;
    let told = |limit: Option<u64>| limit.map_or("no".to_owned(), |limit| limit.to_string());
    // A process raises the soft limit to the hard one when it starts.
    if hard.is_none_or(|hard| hard >= needed) {
        return Finding::ok(
            "descriptors",
            format!("{} of {needed} that may be needed", told(hard)),
        );
    }
    let found = format!(
        "{} file descriptors (soft limit {}), and gateway.connections and what else is open may need {needed}",
        told(hard),
        told(soft)
    );
    let todo = format!("LimitNOFILE={needed} in the unit, or lower gateway.connections");
    match hard.is_some_and(|hard| hard <= RESERVE as u64) {
        true => Finding::failed("descriptors", found, todo),
        false => Finding::warning("descriptors", found, todo),
    }
}

fn cache(folder: Option<&Path>) -> Finding {
    let Some(folder) = folder else {
        return Finding::ok("cache", "compiled modules are kept in memory alone");
    };
    let shown = folder.display();
    match wasm::check_folder(folder) {
        Ok(None) => Finding::ok("cache", format!("compiled modules are kept in {shown}")),
        Ok(Some(why)) => Finding::warning(
            "cache",
            format!("compiled modules are not kept in {shown}: {why}"),
            format!("chmod go-w {shown}"),
        ),
        Err(error) => Finding::warning(
            "cache",
            format!("compiled modules cannot be kept in {shown}: {error}"),
            "set wasm.cache_dir to a folder of this user's own",
        ),
    }
}

/// How much room there is; nothing where nobody can say.
fn disk(folder: &Path) -> Option<Finding> {
    // A folder that is not there yet will be made in the nearest one that is.
    let there = folder.ancestors().find(|folder| folder.is_dir())?.to_owned();
    let stat = rustix::fs::statvfs(&there).ok()?;
    Some(room(there, stat.f_bavail.saturating_mul(stat.f_frsize)))
}

fn room(folder: PathBuf, free: u64) -> Finding {
    let found = format!("{} MiB are free in {}", free / MIB, folder.display());
    match free {
        _ if free < DISK_FAIL_BELOW => {
            Finding::failed("disk", found, "make room: modules and lists cannot be uploaded")
        }
        _ if free < DISK_WARN_BELOW => {
            Finding::warning("disk", found, "make room: lists of millions may not fit")
        }
        _ => Finding::ok("disk", format!("more than 1 GiB is free in {}", folder.display())),
    }
}

/// The limit of this process.
pub fn limits() -> Descriptors {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    Descriptors {
        soft: limit.current,
        hard: limit.maximum,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::FindingLevel;

    #[test]
    fn descriptors_have_to_be_enough_for_every_connection() {
        let of = |soft, hard| {
            descriptors(
                Descriptors {
                    soft: Some(soft),
                    hard: Some(hard),
                },
                66_056,
            )
        };
        assert_eq!(of(70_000, 70_000).level, FindingLevel::Ok);
        assert_eq!(
            of(1_024, 1_048_576).level,
            FindingLevel::Ok,
            "it is raised at the start"
        );
        let hard = of(1_024, 4_096);
        assert_eq!(hard.level, FindingLevel::Warning);
        assert!(
            hard.todo
                .expect("something to do")
                .starts_with("LimitNOFILE=66056")
        );
        assert_eq!(of(256, 256).level, FindingLevel::Failed);
        let endless = Descriptors {
            soft: None,
            hard: None,
        };
        assert_eq!(descriptors(endless, 66_056).level, FindingLevel::Ok);
    }

    #[test]
    fn room_is_judged_by_what_has_to_fit() {
        let level = |free| room("/var".into(), free).level;
        assert_eq!(level(2 << 30), FindingLevel::Ok);
        assert_eq!(level(500 * MIB), FindingLevel::Warning);
        assert_eq!(level(MIB), FindingLevel::Failed);
        assert!(disk(Path::new("/no/such/folder")).is_some(), "the root is there");
    }
}
