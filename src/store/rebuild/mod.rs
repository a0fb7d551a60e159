//! What a rebuild and a comparison read, and what they write about orders that are gone.

pub(super) mod compare;
pub(super) mod fill;
pub(super) mod lost;
pub(super) mod stranded;
