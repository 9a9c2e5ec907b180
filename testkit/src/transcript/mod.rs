//! Conversations as files: what clients send, what must come back, and what must not.
//!
//! The grammar is described in `tests/transcripts/README.md`, for those who write one. [`run`] starts a server for the transcript alone, holds the
//! conversation and stops the server, which must end well.

mod pattern;
mod runner;
mod script;
mod text;

use std::path::Path;

use anyhow::{Context, Result};

/// Holds the conversation of one file. The error names the line, what was expected and what came.
pub fn run(file: &Path) -> Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let script = script::parse(&text).with_context(|| name.clone())?;
    runner::run(&script).with_context(|| name)
}
