//! The wall clock of a node, moved while it runs; monotonic time goes on as it does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// Where Debian's package `libfaketime` has it.
const LIBRARIES: &[&str] = &[
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
];

#[derive(Debug, Clone)]
pub struct Clock {
    file: PathBuf,
}

impl Clock {
    /// A right one. `file` says by how much it is wrong.
    pub fn right(file: PathBuf) -> Result<Clock> {
        let clock = Clock { file };
        clock.shift(0)?;
        Ok(clock)
    }

    /// It is wrong by so many seconds from now on.
    pub fn shift(&self, seconds: i64) -> Result<()> {
        let fresh = self.file.with_extension("new");
        fs::write(&fresh, format!("{seconds:+}\n"))?;
        fs::rename(fresh, &self.file).context("cannot move the clock")
    }

    /// Gives the command this clock.
    pub fn set(&self, command: &mut Command) -> Result<()> {
        let library = LIBRARIES.iter().find(|library| Path::new(library).exists());
        let library = library.context("there is no libfaketime: `cargo xtask setup` installs it")?;
        command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", &self.file);
        command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        Ok(())
    }
}
