//! The binary from outside, as an operator uses it: commands with and without a running server, start, stop, reload, the demo.
#![allow(clippy::unwrap_used)]

mod commands;
mod demo;
mod misuse;
mod process;
mod proxy;
mod root;
mod serve;
mod session_lock;
