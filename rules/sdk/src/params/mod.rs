//! Parts that parameters of many rules are made of: each has its JSON Schema, and reads what a merchant writes.

mod attribute;
mod count;
mod missing;
mod moment;
mod schema;
mod skus;
mod span;
mod window;

pub use attribute::{AttributeParam, ClaimName, Subject};
pub use count::Count;
pub use missing::Missing;
pub use moment::{Moment, MomentParam};
pub use schema::{ListId, check_value};
pub use skus::{GROUPS_MAX, Scope, SkuGroups, SkuList};
pub use span::Span;
pub use window::WindowParam;
