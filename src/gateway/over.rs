//! What is answered of a sale that is over when the engine has nothing to say: the campaign is archived, or its
//! state is lost. A retry is the same order all the same, and the database knows it.

use std::borrow::Cow;
use std::time::Duration;

use super::answer::{self, Answer, OrderAnswer};
use super::show::{no_lookup, unknown};
use super::{Gateway, Orders};
use crate::admission::{AdmissionError, Refusal};
use crate::order::{Attempt, LandedOrder, OrderId, may_be_same_body};
use crate::store::{StoreError, StoreResult};
use crate::wire::Problem;
use crate::wire::problem::GATE_CLOSED;

const NOT_KNOWN_YET: &str = "the sale is over; whether there is an order under this Idempotency-Key is known when the \
                             campaign's state is restored";
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl<O: Orders> Gateway<O> {
    /// An attempt with an `Idempotency-Key`: its order where it has one. Where it has none, the sale is over, unless the
    /// order may be on its way to the database.
    pub(super) async fn answer_over(
        &self,
        campaign: &str,
        attempt: &Attempt,
        archived: bool,
    ) -> Result<Answer, Problem> {
        let kept = self.kept(campaign, attempt.order).await.map_err(not_looked_up);
        let answered = match kept {
            Ok(Some(row)) if !is_same(&row, attempt) => Err(answer::refusal(&Refusal::key_reused())),
            Ok(Some(row)) => {
                self.metrics.decision("replayed", Cow::Borrowed(""));
                return Ok(replayed(campaign, &row));
            }
            Ok(None) if archived => Err(answer::admission_error(&AdmissionError::Over { archived })),
            Ok(None) => Err(Problem::new(&GATE_CLOSED, NOT_KNOWN_YET).retry_after(RETRY_AFTER)),
            Err(problem) => Err(problem),
        };
        if let Err(problem) = &answered {
            let outcome = if problem.status() == 503 {
                "failed"
            } else {
                "rejected"
            };
            self.metrics.decision(outcome, problem.reason_code().clone());
        }
        answered
    }

    /// An order of an archived campaign that has not landed.
    pub(super) async fn stranded(
        &self,
        campaign: &str,
        order: OrderId,
        user: &str,
    ) -> Result<LandedOrder, Problem> {
        match self
            .orders
            .stranded(campaign, order)
            .await
            .map_err(not_looked_up)?
        {
            Some(row) if row.attempt.user == user => Ok(row),
            _ => Err(unknown()),
        }
    }

    /// An order as the database has it: landed, or among the dead letters.
    async fn kept(&self, campaign: &str, order: OrderId) -> StoreResult<Option<LandedOrder>> {
        match self.orders.landed(campaign, order).await? {
            Some(row) => Ok(Some(row)),
            None => self.orders.stranded(campaign, order).await,
        }
    }
}

/// Whether a row is the order that this attempt, under the same id, is a retry of.
fn is_same(row: &LandedOrder, attempt: &Attempt) -> bool {
    row.attempt.user == attempt.user
        && row.fingerprint == attempt.fingerprint()
        && may_be_same_body(row.attempt.body(), attempt.body())
}

fn not_looked_up(error: StoreError) -> Problem {
    tracing::warn!(%error, "an order of a sale that is over could not be looked up");
    no_lookup()
}

fn replayed(campaign: &str, row: &LandedOrder) -> Answer {
    answer::accepted(&OrderAnswer::landed(campaign, row), true)
}
