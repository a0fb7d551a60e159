//! The table of scenarios: what is broken, when, and what may come of it.

use std::time::Duration;

use crate::cold::Start;
use crate::fleet::Role;

/// What is hurt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Gateway,
    Lander,
    Redis,
    Database,
    /// One of the three, by lot.
    Broker,
}

/// How Redis loses its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    FlushAll,
    Empty,
    TruncatedAof,
    KeysDeleted,
}

/// How the database refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Every connection is killed, again and again.
    GoneAway,
    ReadOnly,
    ConnectionsExhausted,
    /// Somebody holds the row of the stock.
    RowLocked,
    DiskFull,
    /// A trigger refuses the orders of some buyers, with an error that says nothing about why.
    SomeOrders,
}

/// A stretch of network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    Redis,
    Database,
    Brokers,
}

/// What happens on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    Cut,
    OneWay,
    Latency,
    Reset,
}

/// One fault. Times in seconds; moments and victims are drawn from the seed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// What was armed at the start happens by itself.
    Armed,
    Kill(What),
    Freeze(What, f64),
    Memory(Memory),
    /// So many of the three are dead for so long; `None`: until the load has ended.
    BrokersDown(usize, Option<f64>),
    RollingBounce,
    Refusal(Refusal, f64),
    Network(Link, Trouble, f64),
    /// Records that can never land, one in 500.
    Poison,
    /// One to three landers and back.
    Scaling,
    /// A third lander joins.
    Join,
    /// Two landers under one name.
    SameInstance,
    /// Dead letters are replayed by a command that dies at this fail-point, and then by one that does not.
    Replay(&'static str),
    AddPartitions,
    /// Brokers stop and go on in turn for so long, as on a machine that has too much to do.
    Stutter(f64),
    /// Again and again for so long, without anybody dying.
    LeadersMove(f64),
    /// One gateway ends and another begins, for so long.
    NewGateways(f64),
    /// All of them at once, each a moment after the one before.
    Together(&'static [Fault]),
}

/// A fail-point that a process is started with: role, number (from 1; 0: by lot), point, highest hit that is drawn.
pub type Arm = (Role, usize, &'static str, u64);

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub arms: &'static [Arm],
    /// One after the other.
    pub faults: &'static [Fault],
    /// The topics are made anew for the run.
    pub cold: Option<Start>,
    /// The campaign is sold as one from before lanes had partitions: its orders go to all of them.
    pub by_key: bool,
    /// What librdkafka says of its batches is kept: how many were refused is counted.
    pub counts_refused: bool,
    /// Admitted orders may be gone from Redis: some may be revoked, pending ones may vanish.
    pub redis_lost: bool,
    /// Everything goes through the proxies.
    pub proxied: bool,
    /// A shop has orders paid, cancelled and refunded meanwhile, and holds end.
    pub shop: bool,
    /// Among the short runs of `./x test`.
    pub quick: bool,
}

const NOTHING: Scenario = Scenario {
    name: "",
    arms: &[],
    faults: &[Fault::Armed],
    cold: None,
    by_key: false,
    counts_refused: false,
    redis_lost: false,
    proxied: false,
    shop: false,
    quick: false,
};

const fn armed(name: &'static str, arms: &'static [Arm]) -> Scenario {
    Scenario {
        name,
        arms,
        ..NOTHING
    }
}

const fn fault(name: &'static str, faults: &'static [Fault]) -> Scenario {
    Scenario {
        name,
        faults,
        ..NOTHING
    }
}

const fn lossy(name: &'static str, faults: &'static [Fault]) -> Scenario {
    Scenario {
        redis_lost: true,
        ..fault(name, faults)
    }
}

const fn network(name: &'static str, faults: &'static [Fault]) -> Scenario {
    Scenario {
        proxied: true,
        ..fault(name, faults)
    }
}

/// Producers and partitions that do not know each other yet.
const fn cold(name: &'static str, start: Option<Start>, faults: &'static [Fault]) -> Scenario {
    Scenario {
        cold: start,
        by_key: true,
        counts_refused: true,
        ..fault(name, faults)
    }
}

/// With a shop that has orders go on after they landed.
const fn with_shop(scenario: Scenario) -> Scenario {
    Scenario {
        shop: true,
        ..scenario
    }
}

const fn quick(scenario: Scenario) -> Scenario {
    Scenario {
        quick: true,
        ..scenario
    }
}

use Fault::{Armed, BrokersDown, Freeze, Join, Kill, Network, Poison, RollingBounce, SameInstance, Scaling};
use Link::{Brokers, Database, Redis};
use Role::{Gateway, Lander};
use Trouble::{Cut, Latency, OneWay, Reset};

/// Long enough for some orders to go through every retry topic, so that they end among the dead letters.
const REFUSES: Fault = Fault::Refusal(Refusal::SomeOrders, 7.0);

const fn lost(memory: Memory) -> Fault {
    Fault::Memory(memory)
}

/// Every scenario. The names of fail-points are those of `src/failpoint.rs`.
pub const ALL: &[Scenario] = &[
    armed("G1", &[(Gateway, 0, "G1", 200)]),
    armed("G2", &[(Gateway, 0, "G2", 400)]),
    quick(armed("G3", &[(Gateway, 0, "G3", 150)])),
    armed("G4", &[(Gateway, 0, "G4", 150)]),
    armed("G5", &[(Gateway, 0, "G5", 150)]),
    quick(armed("G6", &[(Gateway, 0, "G6", 100)])),
    armed("G7", &[(Gateway, 0, "G7", 100)]),
    // The first gateway leaves something behind; the second dies while it relays it.
    armed("R1", &[(Gateway, 1, "G3", 100), (Gateway, 2, "R1", 1)]),
    armed("R2", &[(Gateway, 1, "G3", 100), (Gateway, 2, "R2", 1)]),
    armed("R3", &[(Gateway, 1, "G3", 100), (Gateway, 2, "R3", 1)]),
    armed("R4", &[(Gateway, 1, "G3", 100), (Gateway, 2, "R4", 1)]),
    armed("C1", &[(Lander, 1, "C1", 40), (Lander, 2, "C1", 40)]),
    armed("C2", &[(Lander, 1, "C2", 40), (Lander, 2, "C2", 40)]),
    quick(armed("C3", &[(Lander, 1, "C3", 40), (Lander, 2, "C3", 40)])),
    Scenario {
        faults: &[Poison, REFUSES],
        ..armed("C4", &[(Lander, 1, "C4", 3), (Lander, 2, "C4", 3)])
    },
    Scenario {
        faults: &[Join],
        ..armed("C5", &[(Lander, 0, "C5", 1)])
    },
    Scenario {
        faults: &[REFUSES],
        ..armed("C6", &[(Lander, 1, "C6", 3), (Lander, 2, "C6", 3)])
    },
    fault("D1", &[REFUSES, Fault::Replay("D1")]),
    fault("D2", &[REFUSES, Fault::Replay("D2")]),
    quick(fault("kill-gateway", &[Kill(What::Gateway)])),
    fault("kill-lander", &[Kill(What::Lander)]),
    lossy("kill-redis", &[Kill(What::Redis)]),
    fault("kill-broker", &[Kill(What::Broker)]),
    fault("kill-database", &[Kill(What::Database)]),
    fault("freeze-gateway", &[Freeze(What::Gateway, 5.0)]),
    // Past its session: it comes back as a zombie.
    fault("zombie-lander", &[Freeze(What::Lander, 12.0)]),
    fault("freeze-redis", &[Freeze(What::Redis, 10.0)]),
    fault("freeze-broker", &[Freeze(What::Broker, 20.0)]),
    fault("freeze-database", &[Freeze(What::Database, 8.0)]),
    quick(lossy("flushall", &[lost(Memory::FlushAll)])),
    lossy("redis-empty", &[lost(Memory::Empty)]),
    lossy("redis-truncated", &[lost(Memory::TruncatedAof)]),
    lossy("redis-keys-deleted", &[lost(Memory::KeysDeleted)]),
    fault("broker-down", &[BrokersDown(1, None)]),
    fault("brokers-down-2", &[BrokersDown(2, Some(10.0))]),
    fault("brokers-down-3", &[BrokersDown(3, Some(8.0))]),
    fault("rolling-bounce", &[RollingBounce]),
    fault("database-gone-away", &[Fault::Refusal(Refusal::GoneAway, 4.0)]),
    fault("database-read-only", &[Fault::Refusal(Refusal::ReadOnly, 6.0)]),
    fault(
        "database-connections",
        &[Fault::Refusal(Refusal::ConnectionsExhausted, 6.0)],
    ),
    fault("database-row-locked", &[Fault::Refusal(Refusal::RowLocked, 8.0)]),
    fault("database-disk-full", &[Fault::Refusal(Refusal::DiskFull, 6.0)]),
    network("redis-cut", &[Network(Redis, Cut, 6.0)]),
    network("redis-one-way", &[Network(Redis, OneWay, 6.0)]),
    network("redis-latency", &[Network(Redis, Latency, 8.0)]),
    network("redis-reset", &[Network(Redis, Reset, 3.0)]),
    network("database-cut", &[Network(Database, Cut, 6.0)]),
    network("database-one-way", &[Network(Database, OneWay, 6.0)]),
    network("database-reset", &[Network(Database, Reset, 3.0)]),
    network("brokers-cut", &[Network(Brokers, Cut, 10.0)]),
    network("brokers-one-way", &[Network(Brokers, OneWay, 10.0)]),
    network("brokers-latency", &[Network(Brokers, Latency, 8.0)]),
    network("brokers-reset", &[Network(Brokers, Reset, 3.0)]),
    fault("poison", &[Poison]),
    fault("some-refused", &[REFUSES]),
    fault(
        "poison-and-refused",
        &[Fault::Together(&[Poison, REFUSES, Kill(What::Lander)])],
    ),
    fault("scaling", &[Scaling]),
    fault("same-instance", &[SameInstance]),
    // What was sent and not acknowledged dies with its gateway.
    fault(
        "brokers-down-and-gateway",
        &[Fault::Together(&[BrokersDown(3, Some(8.0)), Kill(What::Gateway)])],
    ),
    fault(
        "gateway-and-broker",
        &[Kill(What::Gateway), Kill(What::Broker), Kill(What::Gateway)],
    ),
    fault(
        "landers-and-database",
        &[Kill(What::Lander), Kill(What::Database), Kill(What::Lander)],
    ),
    lossy(
        "flushall-and-broker-down",
        &[
            BrokersDown(1, Some(4.0)),
            lost(Memory::FlushAll),
            Kill(What::Gateway),
        ],
    ),
    // The first to die is the one that changes orders for people, then the one that has them expire.
    with_shop(fault("life", &[])),
    with_shop(armed("L1", &[(Gateway, 0, "L1", 60)])),
    with_shop(armed("L1-expiry", &[(Lander, 1, "L1", 2), (Lander, 2, "L1", 2)])),
    with_shop(armed("L2", &[(Gateway, 0, "L2", 60)])),
    with_shop(armed("L2-expiry", &[(Lander, 1, "L2", 2), (Lander, 2, "L2", 2)])),
    quick(with_shop(armed("L3", &[(Gateway, 0, "L3", 6)]))),
    with_shop(armed("E1", &[(Lander, 1, "E1", 20), (Lander, 2, "E1", 20)])),
    with_shop(armed("E2", &[(Lander, 1, "E2", 20), (Lander, 2, "E2", 20)])),
    with_shop(fault("life-kill-gateway", &[Kill(What::Gateway)])),
    with_shop(fault("life-kill-lander", &[Kill(What::Lander)])),
    with_shop(fault("life-kill-database", &[Kill(What::Database)])),
    with_shop(fault("life-brokers-down", &[BrokersDown(3, Some(8.0))])),
    with_shop(lossy("life-flushall", &[lost(Memory::FlushAll)])),
    with_shop(lossy("life-kill-redis", &[Kill(What::Redis)])),
    quick(cold("cold-start", Some(Start::JustMade), &[Armed])),
    cold("cold-topics", Some(Start::JustMade), &[Fault::Stutter(6.0)]),
    cold(
        "cold-partitions",
        None,
        &[Fault::Together(&[Fault::AddPartitions, Fault::NewGateways(3.0)])],
    ),
    cold(
        "cold-leaders",
        None,
        &[Fault::Together(&[
            Fault::LeadersMove(8.0),
            Fault::Stutter(6.0),
            Fault::NewGateways(6.0),
        ])],
    ),
    cold("cold-gateways", None, &[Fault::NewGateways(8.0)]),
];

impl Scenario {
    /// How long an armed process that died stays away: while others relay, the one they relay for must not.
    pub fn restart_after(&self) -> Duration {
        match self.arms.len() {
            0 | 1 => Duration::from_millis(500),
            _ if self.arms.iter().all(|(role, ..)| *role == Role::Lander) => Duration::from_millis(500),
            _ => Duration::from_secs(8),
        }
    }

    /// Whether it is only done when processes died by themselves.
    pub fn must_die(&self) -> bool {
        !self.arms.is_empty()
    }

    /// Whether its fault strikes at a moment, and is not only armed.
    pub fn strikes(&self) -> bool {
        self.faults != [Armed]
    }
}
