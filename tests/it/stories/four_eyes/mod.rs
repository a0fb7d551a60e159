//! Where two people have to agree: every way round it, tried on real services.

mod altered;
mod changes;
mod house;
mod people;
mod revisions;
mod root;
