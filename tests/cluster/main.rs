//! Three nodes and three etcds, and what happens to machines.
//!
//! - [`torture`]: clients work on all nodes while a seeded [`nemesis`] kills, freezes, empties, cuts off and misleads machines; then every promise
//!   is checked, as `tests/crash` does for one server.
//! - [`membership`], [`quorum`], [`healing`], [`growing`], [`bad_input`]: single points, each by name.
//! - [`figures`]: how long clients wait when a node dies, and what a delivery costs.

mod bad_input;
mod figures;
mod growing;
mod healing;
mod membership;
mod nemesis;
mod quorum;
mod support;
mod torture;
