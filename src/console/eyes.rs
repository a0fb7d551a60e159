//! The button of the second person, where two have to agree to a revision.

use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use axum::response::Response;

use super::Console;
use super::acts::faults_of;
use super::api::{Trouble, ask_once};
use super::figures::Did;
use super::form::Form;
use super::page;
use super::revisions::{numbered, page_of};
use super::sale::{Notice, with_notice};
use super::standing::approval;
use super::visitor::{Reached, Visitor};

const SCOPE_TO_APPROVE: &str = "rules:approve";

/// Approves what the page has shown.
pub(super) async fn approve(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(reached): Extension<Reached>,
    Extension(form): Extension<Form>,
    Path((id, number)): Path<(String, String)>,
) -> Result<Response, Trouble> {
    let number = numbered(&number)?;
    let digest = form.get("digest").unwrap_or_default();
    let asked = approval(&id, number, digest, form.get("note"));
    match ask_once::<Did>(&console.inside, &visitor.holder, &asked).await {
        Ok((done, is_replay)) => {
            let notice = Notice {
                did: done.did,
                is_replay,
            };
            console.looks.forget(&visitor.holder, &id).await;
            with_notice(&console, &visitor, &reached, &id, Some(notice)).await
        }
        Err(trouble) => {
            let (status, faults) = (trouble.status_code(), faults_of(&trouble));
            let mut page = page_of(&console, (&visitor, &reached), (&id, number), &form, faults).await?;
            page.frame.scope = SCOPE_TO_APPROVE;
            Ok(page::show_as(status, &page))
        }
    }
}
