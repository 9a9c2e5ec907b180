//! Python's own imaplib, and IMAPClient.

use std::path::Path;

use anyhow::Result;
use paquebot_testkit::samples::checkout;

use crate::stage::{Security, Stage};

fn tour(script: &str, security: Security) -> Result<()> {
    let stage = Stage::with_samples()?;
    let python = checkout().join(".xtask/python/bin/python");
    let python = if script.starts_with("imaplib") { Path::new("python3") } else { &python };
    stage.script(python, script, security)?;
    stage.server.stop()
}

#[test]
fn imaplib_tours_in_plain_text() -> Result<()> {
    tour("imaplib_tour.py", Security::Plain)
}

#[test]
fn imaplib_tours_after_starttls() -> Result<()> {
    tour("imaplib_tour.py", Security::StartTls)
}

#[test]
fn imaplib_tours_under_tls() -> Result<()> {
    tour("imaplib_tour.py", Security::Tls)
}

#[test]
fn imapclient_tours_in_plain_text() -> Result<()> {
    tour("imapclient_tour.py", Security::Plain)
}

#[test]
fn imapclient_tours_under_tls() -> Result<()> {
    tour("imapclient_tour.py", Security::Tls)
}
