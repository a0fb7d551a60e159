//! The decision whether an order is taken while landing is behind. Pure.

use std::time::Duration;

use super::{Config, Policy, Shed};

/// Refusing ends when the backlog is below this share of the limit, so that it does not flutter.
const REOPEN_SHARE: f64 = 0.8;
const RETRY_AFTER_MIN_S: f64 = 1.0;
const RETRY_AFTER_MAX_S: f64 = 30.0;

/// What it remembers from order to order.
#[derive(Debug, Default)]
pub(super) struct Valve {
    refusing: bool,
    /// Shares of orders that were to be shed, added up: each time it passes 1, one is.
    debt: f64,
    /// Orders landed per second.
    rate: f64,
}

impl Valve {
    pub(super) fn note_rate(&mut self, rate: f64) {
        self.rate = rate;
    }

    pub(super) fn check(&mut self, config: &Config, backlog: u64) -> Result<(), Shed> {
        let (backlog, limit) = (backlog as f64, config.backlog_max.max(1) as f64);
        let shed = match config.policy {
            Policy::Accept => false,
            Policy::Throttle => {
                let share = ((backlog - limit) / limit).clamp(0.0, 1.0);
                self.debt += share;
                let shed = self.debt >= 1.0;
                self.debt -= f64::from(u8::from(shed));
                shed
            }
            Policy::Refuse => {
                let bound = if self.refusing {
                    limit * REOPEN_SHARE
                } else {
                    limit
                };
                self.refusing = backlog > bound;
                self.refusing
            }
        };
        if !shed {
            return Ok(());
        }
        let over = (backlog - limit * REOPEN_SHARE).max(0.0);
        let seconds = (over / self.rate.max(1.0)).clamp(RETRY_AFTER_MIN_S, RETRY_AFTER_MAX_S);
        Err(Shed {
            retry_after: Duration::from_secs(seconds.ceil() as u64),
            refused: config.policy == Policy::Refuse,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(policy: Policy) -> Config {
        Config {
            policy,
            backlog_max: 1000,
            ..Config::default()
        }
    }

    /// Of a thousand orders at this backlog.
    fn shed(policy: Policy, backlog: u64) -> usize {
        let (config, mut valve) = (config(policy), Valve::default());
        (0..1000)
            .filter(|_| valve.check(&config, backlog).is_err())
            .count()
    }

    #[test]
    fn a_share_is_shed_that_grows_with_the_backlog() {
        let at = |backlog| shed(Policy::Throttle, backlog);
        assert_eq!(
            [0, 1000, 1250, 1500, 2000, 9000].map(at),
            [0, 0, 250, 500, 1000, 1000]
        );
        assert_eq!(shed(Policy::Accept, 1_000_000), 0);
    }

    #[test]
    fn refusing_ends_well_below_the_limit() {
        let (config, mut valve) = (config(Policy::Refuse), Valve::default());
        let mut taken = |backlog| valve.check(&config, backlog).is_ok();
        assert!(taken(1000));
        assert!(!taken(1001));
        assert!(!taken(900));
        assert!(taken(800));
        assert!(taken(900));
    }

    #[test]
    fn a_client_is_told_to_wait_as_long_as_landing_needs() {
        let (config, mut valve) = (config(Policy::Refuse), Valve::default());
        let mut wait = |rate, backlog| {
            valve.note_rate(rate);
            let shed = valve.check(&config, backlog).expect_err("behind");
            assert!(shed.refused);
            shed.retry_after.as_secs()
        };
        assert_eq!(wait(100.0, 1300), 5);
        assert_eq!(wait(10_000.0, 1300), 1);
        assert_eq!(wait(0.0, 1300), 30);
    }
}
