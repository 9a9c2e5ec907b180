//! imapflow, the client of many a Node program.

use std::path::Path;

use anyhow::Result;

use crate::stage::{Security, Stage};

fn tour(security: Security) -> Result<()> {
    let stage = Stage::with_samples()?;
    stage.script(Path::new("node"), "imapflow_tour.js", security)?;
    stage.server.stop()
}

#[test]
fn imapflow_tours_in_plain_text() -> Result<()> {
    tour(Security::Plain)
}

#[test]
fn imapflow_tours_after_starttls() -> Result<()> {
    tour(Security::StartTls)
}

#[test]
fn imapflow_tours_under_tls() -> Result<()> {
    tour(Security::Tls)
}
