//! This checkout's server.

use std::fs;

use anyhow::Result;

use crate::versus::server::{Kind, Place, STORE};

pub static PAQUEBOT: Kind = Kind {
    name: "Paquebot",
    short: "paquebot",
    packages: &[],
    lmtp: true,
    prefix: "",
    promise: "messages, flags, everything that was answered OK is flushed; one flush serves all who wait",
    configure,
};

/// Its defaults: what is said is where it listens and who may log in.
fn configure(place: &Place) -> Result<String> {
    let Place { imap, imaps, lmtp, paquebot, .. } = place;
    let text = format!(
        "data = \"data\"\n\n[listen]\nimap = [\"127.0.0.1:{imap}\"]\nimaps = [\"127.0.0.1:{imaps}\"]\nlmtp = [\"127.0.0.1:{lmtp}\"]\n\
         admin = []\n\n[tls]\ncertificate = \"tls.crt\"\nkey = \"tls.key\"\n\n[auth]\npasswd_file = \"users\"\n\n\
         # Without it there is a limit of 100 sessions for each account.\n[limits]\nsessions_per_account = 20000\n"
    );
    fs::write(place.folder.join("paquebot.toml"), text)?;
    Ok(format!("exec '{}' serve --config {STORE}/paquebot.toml", paquebot.display()))
}
