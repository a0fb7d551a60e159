//! What Redis and the database have of a campaign, compared while it sells, and put right.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::Admin;
use super::answer::{Refused, read_json_if_any};
use super::caller::Caller;
use crate::audit::Asker;
use crate::reconcile::{CompareError, Comparison, LostOrders, Reconcile, Summary};
use crate::wire::Problem;
use crate::wire::problem::{CONFLICT, INTERNAL, UNAVAILABLE, UNKNOWN};

/// A comparison that repairs nothing and takes longer is given up: where orders are so many, a command waits for it.
const COMPARE_WITHIN: Duration = Duration::from_secs(120);

/// What the control plane asks of [`Reconcile`].
pub trait Comparing: Send + Sync + 'static {
    /// Repairs for whoever asks for that.
    fn compare<'a>(
        &'a self,
        campaign: &'a str,
        mend: Option<(&'a Asker, LostOrders)>,
    ) -> BoxFuture<'a, Result<Comparison, CompareError>>;
}

impl Comparing for Reconcile {
    fn compare<'a>(
        &'a self,
        campaign: &'a str,
        mend: Option<(&'a Asker, LostOrders)>,
    ) -> BoxFuture<'a, Result<Comparison, CompareError>> {
        let mend = mend.map(|(asker, lost)| (asker.by(), lost));
        self.compare_for(campaign, mend).boxed()
    }
}

/// Comparisons of this gateway, one at a time: each reads all orders of a campaign.
#[derive(Clone)]
pub struct Reconciling {
    stage: Arc<dyn Comparing>,
    turn: Arc<Semaphore>,
}

impl Reconciling {
    pub fn new(stage: Arc<dyn Comparing>) -> Self {
        let turn = Arc::new(Semaphore::new(1));
        Self { stage, turn }
    }
}

/// What becomes of lost orders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Lost {
    /// They are published again, and land.
    #[default]
    SendAgain,
    /// They are revoked, and give back what they hold.
    GiveUp,
}

/// How a campaign is compared.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[schema(as = Reconcile)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Asked {
    /// Puts differences right, and compares again. Without it nothing is changed.
    repair: bool,
    /// Of a repair.
    lost: Lost,
}

impl From<CompareError> for Refused {
    fn from(error: CompareError) -> Self {
        let detail = error.to_string();
        let problem = match error {
            CompareError::UnknownCampaign(_) => Problem::new(&UNKNOWN, detail),
            CompareError::Archived { .. } | CompareError::Busy(_) | CompareError::Restless(_) => {
                Problem::new(&CONFLICT, detail)
            }
            CompareError::Plan(_) | CompareError::Codec(_) | CompareError::Foreign(_) => {
                tracing::error!(detail, "a campaign cannot be compared");
                Problem::new(&INTERNAL, detail)
            }
            _ => Problem::new(&UNAVAILABLE, detail),
        };
        problem.into()
    }
}

/// 200 with the differences; a repair is made to its end, whether or not somebody still waits for the answer.
pub(super) async fn reconcile(
    State(admin): State<Admin>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let Asked { repair, lost } = read_json_if_any(&headers, body).await?;
    let Reconciling { stage, turn } = admin.reconciling;
    let Ok(turn) = turn.try_acquire_owned() else {
        let detail = "this gateway compares a campaign just now: ask again when it has answered";
        return Err(Problem::new(&CONFLICT, detail).into());
    };
    let lost = match lost {
        Lost::SendAgain => LostOrders::SendAgain,
        Lost::GiveUp => LostOrders::GiveUp,
    };
    let asker = Asker::from(caller.by());
    let work = async move {
        let _turn = turn;
        match repair {
            true => Ok(stage.compare(&id, Some((&asker, lost))).await),
            false => tokio::time::timeout(COMPARE_WITHIN, stage.compare(&id, None)).await,
        }
    };
    let compared = match tokio::spawn(work).await {
        Ok(Ok(compared)) => compared?,
        Ok(Err(_)) => {
            let detail = "comparing takes longer than two minutes: use rushgate reconcile";
            return Err(Problem::new(&UNAVAILABLE, detail).into());
        }
        Err(_) => return Err(Problem::new(&INTERNAL, "the comparison broke off").into()),
    };
    Ok(Json(Summary::from(&compared)).into_response())
}
