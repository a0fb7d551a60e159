//! A list uploaded from its page, by a script that sends the file as it is and shows how much of it was sent. What came of it is a part
//! of the page.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::Console;
use super::acts::faults_of;
use super::api::{Fault, pass_on};
use super::figures::Uploaded;
use super::form::Form;
use super::lists::{path, put};
use super::page;
use super::visitor::Visitor;
use super::words::{fill, grouped};

/// Fields beside the file, as the API names them.
pub(super) const FIELDS: [&str; 3] = ["activate", "column", "kind"];

#[derive(Template)]
#[template(path = "uploaded.html")]
struct UploadedPart {
    /// What was done, and when it takes effect.
    done: Option<(String, String)>,
    href: String,
    id: String,
    faults: Vec<Fault>,
}

pub(super) async fn upload(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(form): Extension<Form>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let words = visitor.look.words;
    let asked = put(&id, &form.filter_query(&FIELDS));
    let uploaded = pass_on::<Uploaded>(&console.inside, &visitor.holder, &asked, request).await;
    let (status, done, faults) = match uploaded {
        Ok(new) => {
            let members = grouped(new.members);
            let with: [(&str, &dyn std::fmt::Display); 3] =
                [("id", &id), ("version", &new.version), ("members", &members)];
            let done = (fill(words.upload_done, &with), new.note);
            (StatusCode::OK, Some(done), Vec::new())
        }
        Err(trouble) => (trouble.status_code(), None, faults_of(&trouble)),
    };
    let part = UploadedPart {
        done,
        href: path(&id),
        id,
        faults,
    };
    page::show_as(status, &part)
}
