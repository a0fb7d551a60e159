//! A deployment of real processes: gateways and landers on free ports, started, killed and started again.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::time::Instant;

use super::authority::Authority;
use super::control::{Control, TOKEN};
use super::services::Urls;

/// A process that is not ready after this will not become it.
const READY_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);
/// Drain limit of a process that was asked to stop.
const STOP_WITHIN: Duration = Duration::from_secs(30);
/// Below the range of outgoing connections, so that a killed process finds its port free again.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// What every process is started with.
#[derive(Clone, Debug)]
pub struct Setup {
    pub rushgate: PathBuf,
    pub urls: Urls,
    /// One log file per process goes here.
    pub logs: PathBuf,
    /// Environment of every process.
    pub env: Vec<(String, String)>,
    /// Configuration file of every process.
    pub config: Option<PathBuf>,
    /// Whose certificates the listeners have; without one they speak plain HTTP.
    pub authority: Option<Authority>,
    /// Gateways take tokens of anybody; otherwise `env` says whose.
    pub dev_auth: bool,
}

impl Setup {
    pub fn new(rushgate: &Path, logs: &str) -> Result<Self> {
        let target = rushgate
            .parent()
            .and_then(Path::parent)
            // Cargo marks its folders, with a tag only where it made them itself: what is removed below is ours.
            .filter(|target| {
                let marks = ["CACHEDIR.TAG", ".rustc_info.json"];
                marks.iter().any(|mark| target.join(mark).exists())
            })
            .context("the binary is in no target folder")?;
        let logs = target.join(logs);
        // A folder that is not there yet is as good as an empty one.
        let _ = fs::remove_dir_all(&logs);
        fs::create_dir_all(&logs)?;
        Ok(Self {
            rushgate: rushgate.to_owned(),
            urls: Urls::from_env()?,
            logs,
            env: Vec::new(),
            config: None,
            authority: Authority::from_env(),
            dev_auth: true,
        })
    }

    fn command(&self, role: &str, log: &Path) -> Result<Command> {
        let log = OpenOptions::new().create(true).append(true).open(log)?;
        let mut command = Command::new(&self.rushgate);
        command
            .arg(role)
            .args(["--kafka-brokers", &self.urls.kafka])
            .args(["--database-url", &self.urls.database])
            .env("RUSHGATE_ADMIN_TOKEN", TOKEN)
            // No balancer stands in front of them.
            .env("RUSHGATE_DRAIN_DELAY_MS", "0")
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(File::try_clone(&log)?)
            .stderr(log);
        if role == "serve" {
            command.args(["--redis-url", &self.urls.redis]);
        }
        if let Some(authority) = &self.authority {
            command.envs(authority.listeners());
        }
        if let Some(config) = &self.config {
            command.arg("--config").arg(config);
        }
        Ok(command)
    }

    /// Any command that takes the connections; its output is the caller's.
    pub fn tool(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.rushgate);
        command
            .args(args)
            .args(["--redis-url", &self.urls.redis])
            .args(["--kafka-brokers", &self.urls.kafka])
            .args(["--database-url", &self.urls.database])
            .stdin(Stdio::null());
        command
    }

    /// Runs `rushgate migrate`.
    pub fn migrate(&self) -> Result<()> {
        let log = self.logs.join("migrate.log");
        let status = self.command("migrate", &log)?.status()?;
        if !status.success() {
            bail!("rushgate migrate failed: {}", tail(&log));
        }
        Ok(())
    }

    /// Starts `serve` number `number` (from 1) and waits until it is ready.
    pub async fn serve(&self, number: usize) -> Result<Member> {
        Member::start(self.clone(), "serve", number).await
    }

    /// The same with settings from the environment.
    pub async fn serve_with(
        &self,
        number: usize,
        settings: &[(&'static str, &'static str)],
    ) -> Result<Member> {
        let mut member = Member::idle(self.clone(), "serve", number)?;
        member.settings = settings.to_vec();
        member.spawn()?;
        member.ready().await?;
        Ok(member)
    }

    pub async fn land(&self, number: usize) -> Result<Member> {
        Member::start(self.clone(), "land", number).await
    }

    /// Starts `serve` number `number` with more environment and does not wait.
    pub fn serve_soon(&self, number: usize, env: &[(String, String)]) -> Result<Member> {
        Member::begin(self.with(env), "serve", number)
    }

    /// The same for `land`.
    pub fn land_soon_with(&self, number: usize, env: &[(String, String)]) -> Result<Member> {
        Member::begin(self.with(env), "land", number)
    }

    fn with(&self, env: &[(String, String)]) -> Self {
        let mut setup = self.clone();
        setup.env.extend_from_slice(env);
        setup
    }

    /// Starts `land` number `number` and does not wait.
    pub fn land_soon(&self, number: usize) -> Result<Member> {
        Member::begin(self.clone(), "land", number)
    }
}

/// One process with the addresses it keeps over restarts; killed when it goes out of scope.
#[derive(Debug)]
pub struct Member {
    setup: Setup,
    role: &'static str,
    pub name: String,
    /// `host:port` of the data plane; unused by landers.
    pub orders: String,
    pub admin: String,
    /// Environment variables of its own.
    settings: Vec<(&'static str, &'static str)>,
    child: Option<Child>,
}

impl Member {
    async fn start(setup: Setup, role: &'static str, number: usize) -> Result<Self> {
        let mut member = Self::begin(setup, role, number)?;
        member.ready().await?;
        Ok(member)
    }

    fn begin(setup: Setup, role: &'static str, number: usize) -> Result<Self> {
        let mut member = Self::idle(setup, role, number)?;
        member.spawn()?;
        Ok(member)
    }

    /// Not started.
    fn idle(setup: Setup, role: &'static str, number: usize) -> Result<Self> {
        Ok(Self {
            setup,
            role,
            name: format!("{role}-{number}"),
            orders: format!("127.0.0.1:{}", free_port()?),
            admin: format!("127.0.0.1:{}", free_port()?),
            settings: Vec::new(),
            child: None,
        })
    }

    fn log(&self) -> PathBuf {
        self.setup.logs.join(format!("{}.log", self.name))
    }

    pub fn spawn(&mut self) -> Result<()> {
        let mut command = self.setup.command(self.role, &self.log())?;
        command.args(["--admin-listen", &self.admin]);
        command.envs(self.settings.iter().copied());
        if self.role == "serve" {
            command.args(["--listen", &self.orders]);
            if self.setup.dev_auth {
                command.arg("--insecure-dev-auth");
            }
        }
        self.child = Some(command.spawn()?);
        Ok(())
    }

    pub fn control(&self) -> Result<Control> {
        Control::over(&self.admin, self.setup.authority.as_ref())
    }

    /// Where buyers send orders: an address, or a URL of https.
    pub fn target(&self) -> String {
        match self.setup.authority {
            Some(_) => format!("https://{}", self.orders),
            None => self.orders.clone(),
        }
    }

    pub async fn ready(&mut self) -> Result<()> {
        let control = self.control()?;
        let begun = Instant::now();
        while !control.ready().await {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().ok()?);
            if let Some(status) = ended {
                bail!("{} ended with {status}: {}", self.name, tail(&self.log()));
            }
            if begun.elapsed() > READY_WITHIN {
                bail!(
                    "{} is not ready after {READY_WITHIN:?}: {}",
                    self.name,
                    tail(&self.log())
                );
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Environment of the next start.
    pub fn set_env(&mut self, env: Vec<(String, String)>) {
        self.setup.env = env;
    }

    /// How the process ended, once it has.
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.as_mut()?.try_wait().ok()?
    }

    pub fn is_gateway(&self) -> bool {
        self.role == "serve"
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// SIGKILL: nothing is finished, flushed or said.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Both fail only for a process that is gone already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGTERM; fails unless the process then ends by itself with exit code 0.
    pub async fn stop(mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        Command::new("kill")
            .args(["-TERM", &child.id().to_string()])
            .status()?;
        let begun = Instant::now();
        loop {
            match child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!(
                    "{} ended with {status} after SIGTERM: {}",
                    self.name,
                    tail(&self.log())
                ),
                None if begun.elapsed() > STOP_WITHIN => {
                    child.kill()?;
                    child.wait()?;
                    bail!("{} still ran {STOP_WITHIN:?} after SIGTERM", self.name);
                }
                None => tokio::time::sleep(POLL).await,
            }
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that is free, and that nobody here was given before: what was given is bound only later.
pub fn free_port() -> Result<u16> {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..1000 {
        let port = fastrand::u16(PORTS);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() && given.insert(port) {
            return Ok(port);
        }
    }
    bail!("no free port in {PORTS:?}")
}

/// The end of a log, for an error message.
pub fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(15);
    format!("{}\n{}", log.display(), lines[from..].join("\n"))
}
