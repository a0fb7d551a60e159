//! Who attempts what, in which order: follows from the seed alone.

use super::LoadConfig;

/// A twin is sent up to so many jobs after its attempt, so that both are often in flight together.
const TWIN_DISTANCE_MAX: u64 = 64;

/// One request to send: an attempt, or its twin with the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Job {
    /// Number of the attempt; the key follows from it.
    pub(super) attempt: u32,
    /// Number of the buyer.
    pub(super) user: u32,
    /// Its sender gives up after the first request without an answer.
    pub(super) impatient: bool,
}

/// All jobs in the order they are begun.
pub(super) fn jobs(config: &LoadConfig) -> Vec<Job> {
    let mut random = fastrand::Rng::with_seed(config.seed);
    // Of its own, so that the share changes nothing else about a script.
    let mut impatience = fastrand::Rng::with_seed(!config.seed);
    let mut users: Vec<u32> = (0..config.attempts).map(|n| (n % config.users) as u32).collect();
    random.shuffle(&mut users);
    let mut placed: Vec<(u64, Job)> = Vec::with_capacity(users.len());
    for (attempt, user) in users.into_iter().enumerate() {
        let job = Job {
            attempt: attempt as u32,
            user,
            impatient: impatience.f64() < config.impatient,
        };
        // Even places are attempts, odd ones twins.
        let place = attempt as u64 * 2;
        placed.push((place, job));
        if random.f64() < config.twice {
            placed.push((place + 1 + 2 * random.u64(0..TWIN_DISTANCE_MAX), job));
        }
    }
    placed.sort_by_key(|(place, job)| (*place, job.attempt));
    placed.into_iter().map(|(_, job)| job).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    #[test]
    fn every_user_attempts_and_the_share_is_sent_twice() {
        let config = LoadConfig {
            attempts: 10_000,
            users: 6_000,
            twice: 0.2,
            impatient: 0.1,
            ..LoadConfig::default()
        };
        let jobs = jobs(&config);
        let users: HashSet<u32> = jobs.iter().map(|job| job.user).collect();
        assert_eq!(users.len(), 6_000);
        let mut sent: HashMap<u32, u32> = HashMap::new();
        for job in &jobs {
            *sent.entry(job.attempt).or_default() += 1;
        }
        assert_eq!(sent.len(), 10_000);
        let twins = sent.values().filter(|n| **n == 2).count();
        assert!((1_800..2_200).contains(&twins), "{twins}");
        assert!(sent.values().all(|n| *n <= 2));
        let impatient = jobs.iter().filter(|job| job.impatient).count();
        assert!((1_000..1_500).contains(&impatient), "{impatient}");
        assert_eq!(jobs, super::jobs(&config), "the same seed is the same script");
    }
}
