//! The console over HTTP, as a browser without scripts uses it: pages are read, forms are filled in and sent.

mod acts;
mod desk;
mod eyes;
mod keys;
mod letters;
mod login;
mod orders;
mod pages;
mod reconcile;
mod rules;
mod streams;
mod things;
