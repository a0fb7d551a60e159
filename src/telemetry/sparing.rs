//! Warnings and errors that a stranger or a loop could repeat without end: of one kind the log has one line a minute, and
//! how many more there were.
//!
//! A kind is a place in the code, and the campaign, topic or module that it speaks of. The first line of a kind comes at
//! once; those that follow within a minute are counted, and when the minute is over one line tells how many they were
//! and what the first of them said.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::hash::{DefaultHasher, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Of one kind a line comes once in this time.
const MINUTE: Duration = Duration::from_secs(60);
/// How often somebody looks whose minute is over.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Kinds remembered; when there are more, those of one place in the code are one.
const KINDS_MAX: usize = 512;
/// Bytes kept of a line that was left out.
const TEXT_BYTES_MAX: usize = 400;
/// Fields that tell apart what one place in the code speaks of: each takes few values, and none that a stranger makes up.
const TELLING: [&str; 9] = [
    "action", "campaign", "detail", "facility", "module", "name", "rule", "target", "topic",
];
/// Lines about lines are never left out, nor what a signal is answered: somebody has asked.
const OWN: &str = module_path!();
const ASKED: &str = "rushgate::app::reload";

type Clock = Box<dyn Fn() -> Instant + Send + Sync>;

/// Passes on what is to be logged.
#[derive(Clone)]
pub(super) struct Sparing(Arc<Lines>);

struct Lines {
    clock: Clock,
    kinds: Mutex<HashMap<Kind, Seen>>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Kind {
    place: Identifier,
    telling: u64,
}

struct Seen {
    /// When the minute is over.
    until: Instant,
    left_out: u64,
    first: String,
    level: Level,
    target: &'static str,
}

/// What was left out of one kind.
#[derive(Debug, PartialEq, Eq)]
struct Summary {
    level: Level,
    target: &'static str,
    left_out: u64,
    first: String,
}

impl Sparing {
    pub(super) fn new() -> Self {
        Self::by(Box::new(Instant::now))
    }

    fn by(clock: Clock) -> Self {
        Self(Arc::new(Lines {
            clock,
            kinds: Mutex::default(),
        }))
    }

    /// Tells of what was left out, from a thread of its own, for as long as the process lives.
    pub(super) fn tell(&self) -> std::io::Result<()> {
        let sparing = self.clone();
        let tell = move || {
            loop {
                std::thread::park_timeout(LOOK_EVERY);
                sparing.summarise();
            }
        };
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(tell)
            .map(drop)
    }

    /// Logs one line for each kind whose minute is over.
    fn summarise(&self) {
        for Summary {
            level,
            target,
            left_out,
            first,
        } in self.0.over()
        {
            const MESSAGE: &str = "more lines of one kind within a minute";
            match level {
                Level::ERROR => tracing::error!(left_out, by = target, first, "{MESSAGE}"),
                _ => tracing::warn!(left_out, by = target, first, "{MESSAGE}"),
            }
        }
    }
}

impl<S: Subscriber> Layer<S> for Sparing {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if *metadata.level() > Level::WARN || [OWN, ASKED].contains(&metadata.target()) {
            return true;
        }
        let mut telling = Telling(DefaultHasher::new());
        event.record(&mut telling);
        let kind = Kind {
            place: metadata.callsite(),
            telling: telling.0.finish(),
        };
        self.0.is_due(kind, event)
    }
}

impl Lines {
    fn is_due(&self, mut kind: Kind, event: &Event<'_>) -> bool {
        let now = (self.clock)();
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        if kinds.len() >= KINDS_MAX && !kinds.contains_key(&kind) {
            kind.telling = 0;
        }
        if let Some(seen) = kinds.get_mut(&kind)
            && (now < seen.until || seen.left_out > 0)
        {
            if seen.left_out == 0 {
                let mut text = Said::default();
                event.record(&mut text);
                seen.first = text.0;
            }
            seen.left_out += 1;
            return false;
        }
        let metadata = event.metadata();
        let seen = Seen {
            until: now + MINUTE,
            left_out: 0,
            first: String::new(),
            level: *metadata.level(),
            target: metadata.target(),
        };
        kinds.insert(kind, seen);
        true
    }

    /// What was left out of the kinds whose minute is over; of these another minute begins, the others are forgotten.
    fn over(&self) -> Vec<Summary> {
        let now = (self.clock)();
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        kinds.retain(|_, seen| now < seen.until || seen.left_out > 0);
        let mut over: Vec<Summary> = kinds
            .values_mut()
            .filter(|seen| now >= seen.until)
            .map(|seen| {
                seen.until = now + MINUTE;
                Summary {
                    level: seen.level,
                    target: seen.target,
                    left_out: std::mem::take(&mut seen.left_out),
                    first: std::mem::take(&mut seen.first),
                }
            })
            .collect();
        over.sort_by(|one, other| (one.target, &one.first).cmp(&(other.target, &other.first)));
        over
    }
}

struct Telling(DefaultHasher);

impl Visit for Telling {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if TELLING.contains(&field.name()) {
            self.0.write(format!("{}={value:?}", field.name()).as_bytes());
        }
    }
}

/// A line as text: the message, then the fields.
#[derive(Default)]
struct Said(String);

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = &mut self.0;
        // Writing into a String cannot fail.
        let _ = match field.name() {
            "message" if text.is_empty() => write!(text, "{value:?}"),
            name => write!(text, " {name}={value:?}"),
        };
        if let Some((cut, _)) = text.char_indices().find(|(at, _)| *at >= TEXT_BYTES_MAX) {
            text.truncate(cut);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// Keeps what was logged.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<String>>>);

    impl<S: Subscriber> Layer<S> for Kept {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let mut said = Said::default();
            event.record(&mut said);
            let line = format!("{} {}", event.metadata().level(), said.0);
            self.0.lock().expect("no panic").push(line);
        }
    }

    impl Kept {
        fn take(&self) -> Vec<String> {
            std::mem::take(&mut self.0.lock().expect("no panic"))
        }
    }

    /// A log of which the test owns the clock, in seconds.
    fn log() -> (Sparing, Arc<AtomicU64>, Kept, tracing::subscriber::DefaultGuard) {
        let (begun, second) = (Instant::now(), Arc::new(AtomicU64::new(0)));
        let now = second.clone();
        let sparing = Sparing::by(Box::new(move || {
            begun + Duration::from_secs(now.load(Ordering::Relaxed))
        }));
        let kept = Kept::default();
        let subscriber = tracing_subscriber::registry()
            .with(kept.clone())
            .with(sparing.clone());
        let guard = tracing::subscriber::set_default(subscriber);
        (sparing, second, kept, guard)
    }

    fn flood(campaign: &str, times: u64) {
        for entry in 0..times {
            tracing::error!(campaign, entry, "cannot be relayed");
        }
    }

    #[test]
    fn a_flood_is_one_line_a_minute_with_a_count() {
        let (sparing, second, kept, _guard) = log();
        for at in 0..120 {
            second.store(at, Ordering::Relaxed);
            sparing.summarise();
            flood("spring", 2);
        }
        second.store(120, Ordering::Relaxed);
        sparing.summarise();
        let summary = |left_out: u64, first: u64| {
            format!(
                "ERROR more lines of one kind within a minute left_out={left_out} by=\"{OWN}::tests\" \
                 first=\"cannot be relayed campaign=\\\"spring\\\" entry={first}\""
            )
        };
        let expected = [
            "ERROR cannot be relayed campaign=\"spring\" entry=0".to_owned(),
            summary(119, 1),
            summary(120, 0),
        ];
        assert_eq!(kept.take(), expected);
        // It is over: after a silent minute the next line comes at once.
        second.store(180, Ordering::Relaxed);
        sparing.summarise();
        assert_eq!(kept.take(), Vec::<String>::new());
        flood("spring", 1);
        assert_eq!(kept.take().len(), 1);
    }

    #[test]
    fn what_one_place_says_of_several_campaigns_is_not_one_kind() {
        let (_sparing, _, kept, _guard) = log();
        flood("spring", 3);
        flood("autumn", 3);
        tracing::warn!(campaign = "spring", "another place");
        for n in 0..3 {
            tracing::info!(n, "news are not spared");
        }
        assert_eq!(kept.take().len(), 6);
    }

    #[test]
    fn kinds_are_bounded() {
        let (sparing, second, kept, _guard) = log();
        for n in 0..10 * KINDS_MAX {
            flood(&format!("campaign-{n}"), 1);
        }
        assert_eq!(kept.take().len(), KINDS_MAX + 1);
        second.store(60, Ordering::Relaxed);
        sparing.summarise();
        let told = kept.take();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].contains(&format!("left_out={}", 9 * KINDS_MAX - 1)),
            "{told:?}"
        );
        assert_eq!(sparing.0.kinds.lock().expect("no panic").len(), 1);
    }
}
