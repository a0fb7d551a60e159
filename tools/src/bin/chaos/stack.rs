//! The services of a run: `scripts/stack.sh` does to them what is asked, the proxies stand before them.

use std::collections::BTreeMap;
use std::env;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use testkit::services::Urls;
use tokio::time::Instant;

use crate::proxy::Proxy;

const SCRIPT: &str = "scripts/stack.sh";
/// A service that does not come back within this will not.
const BACK_WITHIN: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(100);
const ENDED_POLL: Duration = Duration::from_millis(10);

/// One of the services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    Redis,
    Database,
    /// From 1.
    Broker(usize),
}

impl Service {
    pub fn name(self) -> String {
        match self {
            Self::Redis => "redis".to_owned(),
            Self::Database => "mariadb".to_owned(),
            Self::Broker(number) => format!("kafka-{number}"),
        }
    }
}

/// The stack with a proxy before each of its services.
pub struct Stack {
    /// Past the proxies.
    pub urls: Urls,
    /// Through them.
    pub proxied: Urls,
    pub redis: Proxy,
    pub database: Proxy,
    pub brokers: Vec<Proxy>,
}

impl Stack {
    /// The stack whose variables are in the environment.
    pub async fn open() -> Result<Self> {
        let urls = Urls::from_env()?;
        let ports = |name: &str| -> Result<Vec<u16>> {
            let text =
                env::var(name).with_context(|| format!("{name} is not set: the stack is not --proxied"))?;
            text.split_whitespace().map(|port| Ok(port.parse()?)).collect()
        };
        let redis = Proxy::start(0, port_in(&urls.redis)?).await?;
        let database = Proxy::start(0, port_in(&urls.database)?).await?;
        let mut brokers = Vec::new();
        for (listen, to) in ports("RUSHGATE_STACK_PROXIES")?
            .into_iter()
            .zip(ports("RUSHGATE_STACK_PROXIED")?)
        {
            brokers.push(Proxy::start(listen, to).await?);
        }
        let through = |url: &str, proxy: &Proxy| -> Result<String> {
            Ok(url.replacen(&format!(":{}/", port_in(url)?), &format!(":{}/", proxy.port), 1))
        };
        let list = brokers
            .iter()
            .map(|proxy| format!("127.0.0.1:{}", proxy.port))
            .collect::<Vec<_>>();
        let proxied = Urls {
            redis: through(&urls.redis, &redis)?,
            kafka: list.join(","),
            database: through(&urls.database, &database)?,
        };
        Ok(Self {
            urls,
            proxied,
            redis,
            database,
            brokers,
        })
    }

    /// SIGKILL.
    pub async fn kill(&self, service: Service) -> Result<()> {
        script(&["kill", &service.name()]).await.map(drop)
    }

    pub async fn freeze(&self, service: Service) -> Result<()> {
        script(&["freeze", &service.name()]).await.map(drop)
    }

    pub async fn thaw(&self, service: Service) -> Result<()> {
        script(&["thaw", &service.name()]).await.map(drop)
    }

    /// Starts it, if it does not run, and does not wait.
    pub async fn start(&self, service: Service) -> Result<()> {
        script(&["start", &service.name()]).await.map(drop)
    }

    /// Removes the data of a service that does not run.
    pub async fn wipe(&self, service: Service) -> Result<()> {
        script(&["wipe", &service.name()]).await.map(drop)
    }

    /// Runs a statement as MariaDB's root.
    pub async fn sql(&self, statement: &str) -> Result<String> {
        script(&["sql", statement]).await
    }

    /// Lets everything pass.
    pub fn heal_network(&self) {
        let all = [&self.redis, &self.database].into_iter().chain(&self.brokers);
        all.for_each(|proxy| proxy.set(crate::proxy::Mode::Pass));
    }

    /// Starts whatever does not run, and waits until everything answers.
    pub async fn mend(&self) -> Result<()> {
        let services = (1..=self.brokers.len()).map(Service::Broker);
        for service in services.chain([Service::Redis, Service::Database]) {
            self.start(service).await?;
        }
        let begun = Instant::now();
        while script(&["status"]).await.is_err() {
            if begun.elapsed() > BACK_WITHIN {
                bail!("the stack is not whole {BACK_WITHIN:?} after the fault: scripts/stack.sh status");
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Versions of the services, for the record.
    pub async fn versions(&self) -> BTreeMap<String, String> {
        let said = |program: &'static str, args: &'static [&'static str]| async move {
            let said = run(Command::new(program).args(args)).await.unwrap_or_default();
            said.lines().next().unwrap_or_default().to_owned()
        };
        let mut versions = BTreeMap::new();
        versions.insert("redis".to_owned(), said("redis-server", &["--version"]).await);
        versions.insert("mariadb".to_owned(), said("mariadbd", &["--version"]).await);
        let pom = std::fs::read_to_string("scripts/kafka/pom.xml").unwrap_or_default();
        let kafka = pom.lines().skip_while(|line| !line.contains("kafka_2.13"));
        let version = kafka
            .into_iter()
            .find_map(|line| line.trim().strip_prefix("<version>"));
        let version = version
            .and_then(|rest| rest.split('<').next())
            .unwrap_or("unknown");
        versions.insert("kafka".to_owned(), version.to_owned());
        versions
    }
}

/// `…127.0.0.1:1234/…` → 1234
fn port_in(url: &str) -> Result<u16> {
    let (_, rest) = url
        .rsplit_once(':')
        .with_context(|| format!("no port in {url}"))?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().with_context(|| format!("no port in {url}"))
}

async fn script(args: &[&str]) -> Result<String> {
    run(Command::new("bash").arg(SCRIPT).args(args)).await
}

/// What a program printed; an error with what it complained of where it failed. It is killed when nobody waits for it
/// any more.
pub async fn run(command: &mut Command) -> Result<String> {
    struct Running(Child);
    impl Drop for Running {
        fn drop(&mut self) {
            // Both fail only for a process that is gone already.
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
    let what = format!("{command:?}");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut running = Running(command.spawn().with_context(|| what.clone())?);
    let (out, err) = (running.0.stdout.take(), running.0.stderr.take());
    let out = tokio::task::spawn_blocking(move || text(out));
    let err = tokio::task::spawn_blocking(move || text(err));
    let status = loop {
        match running.0.try_wait()? {
            Some(status) => break status,
            None => tokio::time::sleep(ENDED_POLL).await,
        }
    };
    if !status.success() {
        bail!("{what}: {}", err.await??.trim());
    }
    Ok(out.await??)
}

fn text(stream: Option<impl Read>) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        stream.read_to_end(&mut bytes)?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
