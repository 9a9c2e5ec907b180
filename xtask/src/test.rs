//! `cargo xtask test`: everything that is tested, by one command.

use anyhow::Result;

use crate::process::{self, cargo, find, output_of, root};
use crate::setup;

/// Runs every test, or those that `arguments` name to the runner.
///
/// The server is built first and its path given to the tests, so that a hundred of them don't each ask cargo for it.
pub fn run(arguments: &[String]) -> Result<()> {
    setup::run()?;
    process::run(cargo().args(["build", "--package", "paquebot"]))?;
    let server = target_folder()?.join("debug").join("paquebot");

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

fn target_folder() -> Result<std::path::PathBuf> {
    let metadata = output_of(cargo().args(["metadata", "--format-version=1", "--no-deps"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    Ok(metadata["target_directory"].as_str().map_or_else(|| root().join("target"), Into::into))
}
