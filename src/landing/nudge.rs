//! Being asked from outside to begin partitions anew that stand still.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::wait::End;
use super::{Landing, State};
use crate::bus::{Anew, BusError};

/// What was asked for: which partitions, and how.
type Asked = (BTreeSet<i32>, Anew);

/// Asks a landing thread, from anywhere.
#[derive(Clone, Debug)]
pub struct Nudger {
    pub(super) nudge: Arc<Nudge>,
    pub(super) state: Arc<State>,
}

impl Nudger {
    /// Has partitions begun anew, those of them that this consumer has: at its next turn.
    pub fn begin_anew(&self, partitions: &BTreeSet<i32>, how: Anew) {
        self.nudge.replace(Some((partitions.clone(), how)));
    }

    pub fn state(&self) -> &State {
        &self.state
    }
}

/// The newest thing asked for; one that was not come to yet is not worth doing after it.
#[derive(Debug, Default)]
pub(super) struct Nudge(Mutex<Option<Asked>>);

impl Nudge {
    fn replace(&self, asked: Option<Asked>) -> Option<Asked> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *slot, asked)
    }
}

impl Landing {
    /// Does what was asked for since the last turn.
    pub(super) fn begin_anew(&mut self) -> Result<(), End> {
        let Some((partitions, how)) = self.nudge.replace(None) else {
            return Ok(());
        };
        match self.consumer.begin_anew(&partitions, how) {
            Ok(true) => {
                self.metrics.begun_anew.inc();
                tracing::warn!(
                    topic = self.config.topic,
                    ?partitions,
                    ?how,
                    "nothing lands of these partitions: begun anew at the database's offsets"
                );
                Ok(())
            }
            Ok(false) => Ok(()),
            Err(BusError::Fatal(error)) => Err(End::Fatal(error)),
            Err(error) => {
                self.state.note_error(error.to_string());
                Ok(())
            }
        }
    }
}
