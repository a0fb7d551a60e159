//! File descriptors: as many as the process may have, and what connections leave for everything else.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// For what is no connection of a listener: services behind, files, and connections that are just closing.
pub const RESERVE: usize = 512;
/// Fewer connections than this are no gateway.
const LEAST: usize = 64;

/// The process may not open enough.
#[derive(Debug, thiserror::Error)]
#[error(
    "this process may open {limit} files (RLIMIT_NOFILE), and {needed} are the least for its connections: raise the hard limit \
     (systemd: LimitNOFILE={suggested}; docker: --ulimit nofile={suggested}; a shell: ulimit -Hn {suggested})"
)]
pub struct TooFew {
    limit: u64,
    needed: usize,
    suggested: usize,
}

/// Raises the soft limit to the hard one, and says what it is then; `None` where there is no limit.
pub fn raise() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return limit.current;
    }
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::debug!(%error, "the limit of open files stays as it is");
            limit.current
        }
    }
}

/// How many of the `wanted` connections fit, beside `others` and the reserve.
pub fn fit(limit: Option<u64>, wanted: usize, others: usize) -> Result<usize, TooFew> {
    let Some(limit) = limit else { return Ok(wanted) };
    let rest = others + RESERVE;
    let fitting = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(rest);
    if fitting < wanted.min(LEAST) {
        return Err(TooFew {
            limit,
            needed: wanted.min(LEAST) + rest,
            suggested: wanted + rest,
        });
    }
    Ok(wanted.min(fitting))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_fit_beside_the_rest_or_the_limit_is_named() {
        for (limit, wanted, fitting) in [
            (None, 16_384, Some(16_384)),
            (Some(1_048_576), 16_384, Some(16_384)),
            (Some(17_152), 16_384, Some(16_384)),
            (Some(17_151), 16_384, Some(16_383)),
            (Some(4_096), 16_384, Some(3_328)),
            (Some(832), 16_384, Some(64)),
            (Some(831), 16_384, None),
            (Some(769), 1, Some(1)),
            (Some(768), 1, None),
        ] {
            let fit = fit(limit, wanted, 256);
            assert_eq!(fit.as_ref().ok().copied(), fitting, "{limit:?} for {wanted}");
            if let Err(error) = fit {
                let error = error.to_string();
                let suggested = format!("LimitNOFILE={}", wanted + 256 + RESERVE);
                assert!(error.contains(&suggested), "{error}");
            }
        }
    }

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let raised = raise();
        let now = getrlimit(Resource::Nofile);
        assert_eq!((raised, now.current), (now.maximum, now.maximum));
    }
}
