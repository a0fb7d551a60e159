//! A campaign with its active revision: what a gateway admits by.

use std::ops::Deref;
use std::sync::Arc;

use super::{Compiled, Precheck, reads_of};
use crate::campaign::{Activation, Restock};
use crate::lua::fence::Fence;
use crate::plan::unfit::Reads;

/// A revision in force: compiled, with the epoch it is active under and its prechecks, ready to be asked. It is read like what
/// was compiled, and hands that on to whoever admits nobody by it.
#[derive(Debug)]
pub struct Active {
    pub compiled: Arc<Compiled>,
    pub activation: Activation,
    /// The units that were added last, where that was the last change of the campaign's stock: a shard gets them with the fence.
    pub restock: Option<Restock>,
    /// What the rules that decide read: the plan, without its shadow, and the prechecks. A shadow rule decides nothing.
    pub decides_by: Reads,
    /// Of the rules that have one, in the order of the revision's rules.
    pub prechecks: Vec<Arc<dyn Precheck>>,
}

impl Active {
    /// `prechecks` are all that the revision's rules have: without them nobody may be admitted under it.
    pub fn new(
        compiled: impl Into<Arc<Compiled>>,
        activation: Activation,
        prechecks: Vec<Arc<dyn Precheck>>,
    ) -> Self {
        let compiled = compiled.into();
        Self {
            decides_by: reads_of(&compiled.family.plan, &prechecks),
            compiled,
            activation,
            restock: None,
            prechecks,
        }
    }

    /// The same, with the units that were added last.
    pub fn restocked(self, restock: Option<Restock>) -> Self {
        Self { restock, ..self }
    }

    /// The fence that has to be in place for this gateway to admit anybody.
    pub fn fence(&self) -> Fence {
        self.compiled.fence(self.activation.epoch)
    }
}

impl Deref for Active {
    type Target = Compiled;

    fn deref(&self) -> &Compiled {
        &self.compiled
    }
}
