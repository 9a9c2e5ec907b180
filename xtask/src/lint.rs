//! `cargo xtask lint`: what a machine can judge of the code.

use anyhow::Result;

use crate::licences;
use crate::process::{self, cargo};

pub fn run() -> Result<()> {
    process::run(cargo().args(["fmt", "--all", "--check"]))?;
    process::run(cargo().args(["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]))?;
    licences::check()
}
