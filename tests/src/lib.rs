//! What several of these tests have in common: clients that record what they ask and hear, and who reads the record for broken promises.
//!
//! - [`history`]: what clients asked and what they were told, in real time.
//! - [`worker`] and [`names`]: clients that do a bit of everything, by [`session`]s of which everything is recorded.
//! - [`stage`]: all of them at work, and whoever breaks the servers meanwhile.
//! - [`check`]: reads a history and says which promises it breaks, and by which answers.
//!
//! It knows the server by what it says alone, one server or many: `tests/crash` kills one, `tests/cluster` does worse to three.

#[cfg(test)]
mod broken;
pub mod check;
pub mod history;
pub mod lmtp;
pub mod message;
pub mod names;
pub mod random;
pub mod session;
pub mod stage;
pub mod wire;
pub mod worker;
