//! Attacks on the connections of a gateway, one after another, at its default limits, with orders beside them: what each
//! does to the orders' latency and to the memory. The attacker has one address and the buyers another, and each attack a
//! process of its own: what the attacker computes is not to be taken for what the gateway does to the buyers.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rushgate::cli::load::LatencyReport;
use testkit::frames::{self, END_STREAM, hello, ping};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::gate::Gate;
use crate::{Flags, latency, orders};

/// On Linux all of 127.0.0.0/8 is this machine.
const ATTACKER: [u8; 4] = [127, 6, 6, 6];
/// Between two connections of one attacking task.
const AGAIN: Duration = Duration::from_millis(20);
/// How long memory is given to come back.
const BACK_WITHIN: Duration = Duration::from_secs(60);
/// Memory after an attack, as a multiple of what the orders alone would have left.
const BACK_WITHIN_RATIO: f64 = 1.1;
/// Orders beside an attack.
const P99_MS_MAX: f64 = 50.0;
const STREAMS: u32 = 100;
const ORDERS: &str = "/v1/campaigns/load/orders";

#[derive(Clone, Copy)]
enum At {
    Orders,
    Control,
}

/// What a connection does after its first bytes.
#[derive(Clone)]
enum Then {
    /// Waits to be closed.
    Wait,
    /// Answers whatever comes with this.
    Answer(Vec<u8>),
    /// Writes this for as long as it is taken, and reads nothing.
    Write(Vec<u8>),
}

struct Attack {
    name: &'static str,
    at: At,
    connections: usize,
    first: Vec<u8>,
    then: Then,
}

fn heads(fields: &[(&str, &str)], method: &str, path: &str, flags: u8) -> Vec<u8> {
    let many = (0..STREAMS).flat_map(|number| frames::head(2 * number + 1, flags, method, path, fields));
    many.collect()
}

/// Fields that cost a byte or two each to send and a hundred to keep.
fn small_fields() -> Vec<(&'static str, &'static str)> {
    vec![("a", ""); 400]
}

fn attacks() -> Vec<Attack> {
    let attack = |name, at, connections, first: &[u8], then| Attack {
        name,
        at,
        connections,
        first: first.to_vec(),
        then,
    };
    let get = |host: &str, path: &str| format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n").into_bytes();
    let campaign = "/v1/campaigns/load";
    let mut token = small_fields();
    token.extend([
        ("authorization", "Bearer dev:eve"),
        ("content-type", "application/json"),
    ]);
    let strangers = [hello(0), heads(&small_fields(), "POST", ORDERS, 0)].concat();
    let known = [hello(0), heads(&token, "POST", ORDERS, 0)].concat();
    let metrics = [
        hello(0),
        heads(&[("host", "localhost")], "GET", "/metrics", END_STREAM),
    ]
    .concat();
    let slow_body = format!(
        "POST {ORDERS} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer dev:eve\r\ncontent-type: application/json\r\n\
         content-length: 9999\r\n\r\n"
    );
    vec![
        attack("a byte of the h2 preface", At::Orders, 4_200, b"P", Then::Wait),
        attack(
            "half a head",
            At::Orders,
            4_200,
            b"GET / HTTP/1.1\r\nx",
            Then::Wait,
        ),
        attack(
            "h2 that only answers PINGs",
            At::Orders,
            2_000,
            &hello(65_535),
            Then::Answer(ping()),
        ),
        attack(
            "pipelines and never reads",
            At::Orders,
            200,
            b"",
            Then::Write(get("a", campaign).repeat(100)),
        ),
        attack(
            "a body that never comes",
            At::Orders,
            2_000,
            slow_body.as_bytes(),
            Then::Wait,
        ),
        attack(
            "h2 heads without a token",
            At::Orders,
            200,
            &strangers,
            Then::Wait,
        ),
        attack("h2 heads with a token", At::Orders, 200, &known, Then::Wait),
        attack("idle, control plane", At::Control, 4_200, b"", Then::Wait),
        attack(
            "/metrics that nobody takes",
            At::Control,
            200,
            &metrics,
            Then::Wait,
        ),
    ]
}

/// The process of an attack.
struct Assailant(Child);

impl Assailant {
    fn start(number: usize, target: SocketAddr, seconds: u64) -> Result<Self> {
        // In a session of its own, whose share of the processors is the last one: an attacker brings its own.
        let mut command = Command::new("setsid");
        command.arg(std::env::current_exe()?);
        command.args(["--assail", &number.to_string(), "--target", &target.to_string()]);
        command.args(["--attack-seconds", &seconds.to_string()]);
        Ok(Self(command.stdout(Stdio::piped()).spawn()?))
    }

    /// Waits for its end: how many connections it made.
    async fn end(mut self) -> Result<usize> {
        let mut output = self.0.stdout.take().context("piped")?;
        let read = move || std::io::read_to_string(&mut output);
        let opened = tokio::task::spawn_blocking(read).await??;
        opened.trim().parse().context("the attack ended without a count")
    }
}

impl Drop for Assailant {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the process of an attack does.
pub async fn assail_alone(number: usize, target: SocketAddr, time: Duration) -> Result<()> {
    rushgate::serving::descriptors::raise();
    // Where the kernel does not group by session there is no such file, and nothing to do.
    let _ = std::fs::write("/proc/self/autogroup", "19");
    let attack = attacks().into_iter().nth(number).context("no such attack")?;
    let end = Instant::now() + time;
    let mut tasks = JoinSet::new();
    for _ in 0..attack.connections {
        tasks.spawn(assail(target, attack.first.clone(), attack.then.clone(), end));
    }
    println!("{}", tasks.join_all().await.into_iter().sum::<usize>());
    Ok(())
}

/// Runs each attack for `seconds`.
pub async fn run(gate: &Gate, flags: &Flags) -> Result<()> {
    rushgate::serving::descriptors::raise();
    let time = Duration::from_secs(flags.attack_seconds);
    let mut wrong = Vec::new();
    // The orders themselves take memory, in a gateway that keeps them.
    let before = gate.resident_mib()?;
    latency("no attack", &orders(gate, flags.rate, time, "doors").await?);
    let by_orders = gate.resident_mib()? - before;
    println!(
        "{:<32} memory {before:.0} MiB before, {by_orders:.0} more by the orders",
        ""
    );
    let attacks = attacks().into_iter().enumerate();
    for (number, attack) in attacks.filter(|(_, attack)| attack.name.contains(&flags.attack)) {
        let target: SocketAddr = match attack.at {
            At::Orders => gate.orders.parse()?,
            At::Control => gate.admin.parse()?,
        };
        let before = gate.resident_mib()? + by_orders;
        let assailant = Assailant::start(number, target, flags.attack_seconds)?;
        let beside = orders(gate, flags.rate, time, &format!("doors-{number}")).await?;
        let during = gate.resident_mib()?;
        let opened = assailant.end().await?;
        let after = settled(gate, before).await?;
        latency(attack.name, &beside);
        println!(
            "{:<32} {opened:>7} connections  memory {before:.0} MiB without, {during:.0} during, {after:.0} after: {:.2}",
            "",
            after / before
        );
        judge(&attack, &beside, after / before, &mut wrong);
    }
    ensure!(wrong.is_empty(), "not as promised:\n{}", wrong.join("\n"));
    Ok(())
}

fn judge(attack: &Attack, beside: &LatencyReport, ratio: f64, wrong: &mut Vec<String>) {
    if beside.p99_ms > P99_MS_MAX {
        wrong.push(format!("{}: p99 {:.1} ms", attack.name, beside.p99_ms));
    }
    if ratio > BACK_WITHIN_RATIO {
        wrong.push(format!("{}: memory × {ratio:.2}", attack.name));
    }
}

/// Memory once it is back where it was, or after the time that it has for that.
async fn settled(gate: &Gate, before: f64) -> Result<f64> {
    let end = Instant::now() + BACK_WITHIN;
    loop {
        let now = gate.resident_mib()?;
        if now <= before * BACK_WITHIN_RATIO || Instant::now() > end {
            return Ok(now);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// One connection after another until `end`; how many there were.
async fn assail(target: SocketAddr, first: Vec<u8>, then: Then, end: Instant) -> usize {
    let mut opened = 0;
    let assailing = async {
        loop {
            if let Ok(mut stream) = connect(target).await {
                opened += 1;
                // Being refused and being closed is what is to be expected.
                let _ = stream.write_all(&first).await;
                let _ = go_on(&mut stream, &then).await;
            }
            tokio::time::sleep(AGAIN).await;
        }
    };
    // It has no end of its own.
    let _ = tokio::time::timeout_at(end, assailing).await;
    opened
}

async fn connect(target: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((ATTACKER, 0).into())?;
    socket.connect(target).await
}

async fn go_on(stream: &mut TcpStream, then: &Then) -> std::io::Result<()> {
    let mut read = [0; 4096];
    match then {
        Then::Write(bytes) => loop {
            stream.write_all(bytes).await?;
        },
        Then::Wait => while stream.read(&mut read).await? > 0 {},
        Then::Answer(bytes) => {
            while stream.read(&mut read).await? > 0 {
                stream.write_all(bytes).await?;
                // As often as a client would that is polite about it.
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
    Ok(())
}
