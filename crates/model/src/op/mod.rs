//! The ops, one file each.

pub mod account;
pub mod append;
pub mod copy;
pub mod create;
pub mod delete;
pub mod deliver;
pub mod expunge;
pub mod load;
pub mod login;
pub mod purge;
pub mod recent;
pub mod relocate;
pub mod rename;
pub mod store;
pub mod subscribe;
pub mod undelete;
