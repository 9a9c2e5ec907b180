//! Perl's Mail::IMAPClient, which many a migration script is built on.

use std::path::Path;

use anyhow::Result;

use crate::stage::{Security, Stage};

fn tour(security: Security) -> Result<()> {
    let stage = Stage::with_samples()?;
    stage.script(Path::new("perl"), "mail_imapclient_tour.pl", security)?;
    stage.server.stop()
}

#[test]
fn mail_imapclient_tours_in_plain_text() -> Result<()> {
    tour(Security::Plain)
}

#[test]
fn mail_imapclient_tours_under_tls() -> Result<()> {
    tour(Security::Tls)
}
