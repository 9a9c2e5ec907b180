//! What broke other mail servers, thrown at this one. Each test attacks a server of its own while a well-behaved session beside it keeps
//! asking: the process lives, its memory stays within a bound, and the neighbour is answered.
#![allow(clippy::unwrap_used)]

mod attack;

mod compression;
mod connections;
mod delivery;
mod identity;
mod names;
mod peak;
mod syntax;
mod volume;
