//! `cargo xtask demo`: the server, with sample mail in it, from a fresh clone.

use anyhow::Result;

use crate::process::{self, cargo};

/// Builds the server in release and runs `paquebot demo` with `arguments` until it ends.
///
/// There is nothing to install before: the one thing that the build needs beside Rust is a C compiler, and Rust itself links with it.
pub fn run(arguments: &[String]) -> Result<()> {
    process::run(cargo().args(["run", "--release", "--package", "paquebot", "--", "demo"]).args(arguments))
}
