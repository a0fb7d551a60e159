//! The contract of a plane: OpenAPI 3.1, made of operations that are described beside their routes, and of the schemas of the
//! types that are read and written. README.md says how a route is described.

mod about;
mod document;
mod operation;
mod page;
mod problems;
mod schemas;

use serde_json::Value;

pub use about::about;
pub use document::{PathParameters, Plane};
pub use operation::{IF_MATCH, JSON, Operation};
pub use page::{Page, page};

/// A document as it is served: made once.
pub struct Served {
    pub json: String,
    pub page: Page,
}

impl Served {
    pub fn of(document: &Value) -> Self {
        Self {
            json: text(document),
            page: page(document),
        }
    }
}

/// A document as it is served and kept in `docs/openapi`: a member on each line, in the order of their names.
pub fn text(document: &Value) -> String {
    serde_json::to_string_pretty(document).expect("a document is plain data with text keys") + "\n"
}

/// Where each plane serves its document.
pub const PATH: &str = "/openapi.json";
/// And a page of it for people.
pub const PAGE_PATH: &str = "/docs";
