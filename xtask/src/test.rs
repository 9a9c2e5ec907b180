//! `cargo xtask test`: everything that is tested, by one command.

use std::path::PathBuf;

use anyhow::Result;

use crate::process::{self, cargo, find, target_folder};
use crate::setup;

/// Runs every test, or those that `arguments` name to the runner.
///
/// The server is built first and its path given to the tests, so that a hundred of them don't each ask cargo for it.
pub fn run(arguments: &[String]) -> Result<()> {
    setup::run()?;
    let server = server()?;

    let mut tests = cargo();
    tests.env("PAQUEBOT_BIN", &server);
    if find("cargo-nextest").is_some() {
        tests.args(["nextest", "run", "--workspace", "--no-fail-fast"]);
    } else {
        tests.args(["test", "--workspace", "--all-targets", "--no-fail-fast"]);
    }
    process::run(tests.args(arguments))?;
    if arguments.is_empty() {
        process::run(cargo().args(["test", "--workspace", "--doc"]))?;
    }
    Ok(())
}

/// Builds the server; where it is then.
pub fn server() -> Result<PathBuf> {
    process::run(cargo().args(["build", "--package", "paquebot"]))?;
    Ok(target_folder()?.join("debug").join("paquebot"))
}
