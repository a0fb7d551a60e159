//! The gateways and landers of a run, and somebody who starts again what died, as an orchestrator would.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use hyper::Method;
use serde_json::Value;
use testkit::control::Control;
use testkit::deployment::{Member, Setup};
use tokio::task::JoinHandle;
use tokio::time::Instant;

const LOOK_EVERY: Duration = Duration::from_millis(50);
const READY_WITHIN: Duration = Duration::from_secs(90);
/// A process that ended by itself starts again after this.
const RESTART_AFTER: Duration = Duration::from_millis(500);

/// Names a lander in its group.
pub const INSTANCE: &str = "RUSHGATE_LANDING_INSTANCE";

/// Environment, as of a process.
pub type Env = Vec<(String, String)>;

/// What kind of process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Gateway,
    Lander,
}

struct Slot {
    /// Gone while it is being stopped for good.
    member: Option<Member>,
    /// When what died starts again.
    due: Option<Instant>,
    /// Whether it ended by itself at least once.
    died: u32,
    restart_after: Duration,
    /// Environment of a start that is not armed.
    plain: Env,
}

type Slots = Arc<Mutex<Vec<Slot>>>;

/// The processes. All end when the fleet goes out of scope.
pub struct Fleet {
    setup: Setup,
    slots: Slots,
    watcher: JoinHandle<()>,
}

impl Fleet {
    /// Starts two gateways and two landers and does not wait; `env` is asked for what each gets besides the setup's.
    pub fn begin(setup: &Setup, restart_after: Duration, env: impl Fn(Role, usize) -> Env) -> Result<Self> {
        let mut slots = Vec::new();
        for number in [1, 2] {
            for role in [Role::Gateway, Role::Lander] {
                slots.push(begin(
                    setup,
                    role,
                    number,
                    &Env::new(),
                    &env(role, number),
                    restart_after,
                )?);
            }
        }
        let slots = Arc::new(Mutex::new(slots));
        let watcher = tokio::spawn(watch(slots.clone()));
        Ok(Self {
            setup: setup.clone(),
            slots,
            watcher,
        })
    }

    /// Waits until every gateway's control plane is there, whether the gateway is ready or not.
    pub async fn answers(&self) -> Result<()> {
        let begun = Instant::now();
        for control in self.controls() {
            let up = async || {
                let asked = control.send(Method::GET, "/admin/v1/campaigns", &Value::Null);
                matches!(asked.await, Ok((200, _)))
            };
            while !up().await {
                if begun.elapsed() > READY_WITHIN {
                    bail!("a gateway does not answer after {READY_WITHIN:?}");
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
        Ok(())
    }

    fn slots(&self) -> MutexGuard<'_, Vec<Slot>> {
        lock(&self.slots)
    }

    /// Reads something of every process of a role.
    fn each<T>(&self, role: Role, read: impl Fn(&Member) -> T) -> Vec<T> {
        let slots = self.slots();
        let members = slots.iter().filter_map(|slot| slot.member.as_ref());
        members.filter(|member| is(member, role)).map(read).collect()
    }

    /// Data planes, as `host:port`.
    pub fn targets(&self) -> Vec<String> {
        self.each(Role::Gateway, |member| member.orders.clone())
    }

    pub fn controls(&self) -> Vec<Control> {
        self.each(Role::Gateway, |member| Control::new(&member.admin))
    }

    /// Process id of number `number` (from 0) of a role.
    pub fn pid(&self, role: Role, number: usize) -> Result<u32> {
        let pids = self.each(role, Member::pid);
        pids.get(number)
            .copied()
            .filter(|pid| *pid > 0)
            .context("no such process runs")
    }

    /// Processes that ended by themselves so far.
    pub fn died(&self) -> u32 {
        self.slots().iter().map(|slot| slot.died).sum()
    }

    /// SIGKILL; it starts again after a moment.
    pub fn kill(&self, role: Role, number: usize, dead_for: Duration) {
        let mut slots = self.slots();
        let of_role = |slot: &&mut Slot| slot.member.as_ref().is_some_and(|member| is(member, role));
        if let Some(slot) = slots.iter_mut().filter(of_role).nth(number) {
            if let Some(member) = &mut slot.member {
                member.kill();
            }
            slot.due = Some(Instant::now() + dead_for);
        }
    }

    /// Adds a lander with more environment, and does not wait.
    pub fn add_lander(&self, number: usize, env: &Env) -> Result<()> {
        let slot = begin(&self.setup, Role::Lander, number, env, &Env::new(), RESTART_AFTER)?;
        self.slots().push(slot);
        Ok(())
    }

    /// Asks the last lander to stop, and forgets it.
    pub async fn remove_lander(&self) -> Result<()> {
        let taken = {
            let mut slots = self.slots();
            let of_role = |slot: &Slot| {
                slot.member
                    .as_ref()
                    .is_some_and(|member| is(member, Role::Lander))
            };
            let last = slots.iter().rposition(of_role).context("no lander runs")?;
            slots.remove(last).member
        };
        match taken {
            Some(member) => member.stop().await,
            None => Ok(()),
        }
    }

    /// Waits until every process is ready; what died is started meanwhile.
    pub async fn ready(&self) -> Result<()> {
        let begun = Instant::now();
        loop {
            let controls: Vec<(String, Control)> = {
                let slots = self.slots();
                let members = slots.iter().filter_map(|slot| slot.member.as_ref());
                members
                    .map(|member| (member.name.clone(), Control::new(&member.admin)))
                    .collect()
            };
            let mut missing = Vec::new();
            for (name, control) in controls {
                if !matches!(
                    tokio::time::timeout(Duration::from_secs(3), control.ready()).await,
                    Ok(true)
                ) {
                    missing.push(name);
                }
            }
            if missing.is_empty() {
                return Ok(());
            }
            if begun.elapsed() > READY_WITHIN {
                bail!(
                    "not ready after {READY_WITHIN:?}: {missing:?}; logs in {}",
                    self.setup.logs.display()
                );
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Asks every process to stop; all must end by themselves.
    pub async fn stop(self) -> Result<()> {
        self.watcher.abort();
        let slots = std::mem::take(&mut *self.slots());
        for member in slots.into_iter().filter_map(|slot| slot.member) {
            member.stop().await?;
        }
        Ok(())
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.watcher.abort();
        self.slots().clear();
    }
}

fn lock(slots: &Slots) -> MutexGuard<'_, Vec<Slot>> {
    slots.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is(member: &Member, role: Role) -> bool {
    member.is_gateway() == (role == Role::Gateway)
}

/// Starts a process; it keeps `own` over restarts, and `armed` it has only now.
fn begin(
    setup: &Setup,
    role: Role,
    number: usize,
    own: &Env,
    armed: &Env,
    restart_after: Duration,
) -> Result<Slot> {
    let mut setup = setup.clone();
    if role == Role::Lander {
        // Without a name it is named after its port, and the run after this one waits for its session to end.
        setup.env.push((INSTANCE.to_owned(), format!("lander-{number}")));
    }
    setup.env.extend_from_slice(own);
    let member = match role {
        Role::Gateway => setup.serve_soon(number, armed)?,
        Role::Lander => setup.land_soon_with(number, armed)?,
    };
    Ok(Slot {
        member: Some(member),
        due: None,
        died: 0,
        restart_after,
        plain: setup.env,
    })
}

/// Starts what ended, without what armed its fail-point.
async fn watch(slots: Slots) {
    loop {
        for slot in lock(&slots).iter_mut() {
            look_after(slot);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn look_after(slot: &mut Slot) {
    let Some(member) = &mut slot.member else { return };
    if slot.due.is_none()
        && let Some(status) = member.ended()
    {
        println!("    {} ended with {status}", member.name);
        member.kill();
        slot.died += 1;
        slot.due = Some(Instant::now() + slot.restart_after);
    }
    if slot.due.is_some_and(|due| due <= Instant::now()) {
        slot.due = None;
        member.set_env(slot.plain.clone());
        if let Err(error) = member.spawn() {
            println!("    {} does not start: {error:#}", member.name);
            slot.due = Some(Instant::now() + slot.restart_after);
        }
    }
}
