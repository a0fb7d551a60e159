//! The wall-clock bound: a thread that raises the engine's epoch while a module runs.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use wasmtime::Engine;

/// How finely time is measured.
const TICK: Duration = Duration::from_millis(5);

#[derive(Default)]
struct State {
    running: usize,
    /// The thread waits for somebody to run. Otherwise it ticks on by itself, and is not woken for every call.
    asleep: bool,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is two plain values that no panic can leave half-written.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ticks while somebody holds a [`Ticking`]; the thread sleeps otherwise and ends with the clock.
pub(super) struct Clock(Arc<Shared>);

impl Clock {
    pub(super) fn start(engine: &Engine) -> std::io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let thread = shared.clone();
        let engine = engine.weak();
        std::thread::Builder::new()
            .name("wasm-clock".into())
            .spawn(move || {
                while thread.tick() {
                    match engine.upgrade() {
                        Some(engine) => engine.increment_epoch(),
                        None => return,
                    }
                }
            })?;
        Ok(Self(shared))
    }

    pub(super) fn run(&self) -> Ticking<'_> {
        let mut state = self.0.lock();
        state.running += 1;
        if state.asleep {
            self.0.changed.notify_all();
        }
        drop(state);
        Ticking(&self.0)
    }

    /// Ticks after which a call has had `time`. The first may come at once, so one more is given.
    pub(super) fn ticks(time: Duration) -> u64 {
        time.as_millis().div_ceil(TICK.as_millis()) as u64 + 1
    }
}

impl Shared {
    /// Waits for the next tick; `false` when the clock is gone.
    fn tick(&self) -> bool {
        let idle = |state: &mut State| state.running == 0 && !state.closed;
        let mut state = self.lock();
        state.asleep = true;
        let mut state = self
            .changed
            .wait_while(state, idle)
            .unwrap_or_else(PoisonError::into_inner);
        state.asleep = false;
        let (state, _) = self
            .changed
            .wait_timeout_while(state, TICK, |state| !state.closed)
            .unwrap_or_else(PoisonError::into_inner);
        !state.closed
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_all();
    }
}

/// Keeps the clock ticking until it is dropped.
pub(super) struct Ticking<'a>(&'a Shared);

impl Drop for Ticking<'_> {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
    }
}
