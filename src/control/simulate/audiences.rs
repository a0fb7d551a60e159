//! Members of uploaded lists, for worlds that decide about them.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt;

use super::{Control, ControlError};
use crate::attempts::replay::AudienceMembers;
use crate::audience::unpack;
use crate::control::audiences::pages::pages;
use crate::plan::CheckedPlan;
use crate::plan::fold::list_of;

impl Control {
    /// The lists a plan asks for, in the versions its revision pinned, their members folded where it asks them so: of what is
    /// not stored there are no folded copies.
    pub(super) async fn audience_members(&self, plan: &CheckedPlan) -> Result<AudienceMembers, ControlError> {
        let mut audiences = BTreeMap::new();
        for (key, pinned) in &plan.context().audiences {
            let (list, fold) = list_of(key);
            let row = self.pinned_row(list, pinned.version).await?;
            let mut members = BTreeSet::new();
            let mut pages = pages(&self.store, &row);
            while let Some(page) = pages.next().await {
                for packed in page?.1 {
                    members.extend(unpack(&packed).map(|member| {
                        let member = String::from_utf8_lossy(member);
                        fold.as_ref()
                            .map_or_else(|| member.to_string(), |fold| fold.text(&member).into_owned())
                    }));
                }
            }
            audiences.insert(key.clone(), members);
        }
        Ok(audiences)
    }
}
