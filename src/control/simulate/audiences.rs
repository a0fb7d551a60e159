//! Members of uploaded lists, for worlds that decide about them.

use std::collections::{BTreeMap, BTreeSet};

use super::{Control, ControlError};
use crate::attempts::replay::AudienceMembers;
use crate::audience::unpack;
use crate::plan::CheckedPlan;

/// Buckets of one read.
const PAGE: u32 = 1024;

impl Control {
    /// The lists a plan asks for, in the versions its revision pinned.
    pub(super) async fn audience_members(&self, plan: &CheckedPlan) -> Result<AudienceMembers, ControlError> {
        let mut audiences = BTreeMap::new();
        for (id, list) in &plan.context().audiences {
            let mut members = BTreeSet::new();
            let mut next = 0;
            while next < list.buckets {
                let page = self.store.audience_buckets(id, list.version, next, PAGE).await?;
                for packed in &page {
                    let ids = unpack(packed).map(|id| String::from_utf8_lossy(id).into_owned());
                    members.extend(ids);
                }
                next += page.len() as u32;
                if page.is_empty() {
                    break;
                }
            }
            audiences.insert(id.clone(), members);
        }
        Ok(audiences)
    }
}
