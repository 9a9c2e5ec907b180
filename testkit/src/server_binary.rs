//! Where the server's program is.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};

use crate::samples::checkout;

/// The program under test: `PAQUEBOT_BIN`, which `cargo xtask test` sets, the one that cargo has built for the binary's own tests, or else the
/// one that cargo builds beside this test.
pub fn paquebot() -> Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    if let Some(path) = std::env::var_os("PAQUEBOT_BIN").or_else(|| std::env::var_os("CARGO_BIN_EXE_paquebot")) {
        return Ok(path.into());
    }
    BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}"))).clone().map_err(anyhow::Error::msg)
}

fn build() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    // The test lies in target/<profile>/deps/.
    let profile = test.ancestors().nth(2).context("this test lies in no target folder")?;
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(checkout()).args(["build", "--quiet", "--package", "paquebot"]);
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    ensure!(cargo.status().context("cannot start cargo")?.success(), "cargo build --package paquebot failed");
    Ok(profile.join("paquebot"))
}
