//! fetchmail: takes the unread mail of two mailboxes away, by STARTTLS too.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use anyhow::{Result, ensure};
use paquebot_testkit::process;

use crate::stage::{LIMIT, PASSWORD, Security, Stage, file_hashes, hashes, same_messages};

fn take_away(security: Security) -> Result<()> {
    let stage = Stage::with_samples()?;
    let target = stage.folder("fetched")?;
    let tls = match security {
        Security::Plain => "sslproto ''".to_owned(),
        Security::StartTls => {
            format!("sslproto 'tls1.2+' sslcertck sslcertfile '{}'", stage.server.authority().display())
        }
        Security::Tls => format!("ssl sslcertck sslcertfile '{}'", stage.server.authority().display()),
    };
    let text = format!(
        "set no bouncemail\nset invisible\n\
         poll localhost service {} protocol IMAP timeout 60\n\
         user 'alice' password '{PASSWORD}' folder 'INBOX','Reisen &- Fotos' fetchall no keep no rewrite no mimedecode no stripcr pass8bits\n\
         {tls} mda \"cat > $(mktemp -p {})\"\n",
        stage.port(security),
        target.display()
    );
    let configuration = stage.write("fetchmailrc", &text)?;
    fs::set_permissions(&configuration, fs::Permissions::from_mode(0o600))?;
    let mut fetchmail = Command::new("fetchmail");
    fetchmail
        .arg("--nodetach")
        .arg("--fetchmailrc")
        .arg(&configuration)
        .arg("--pidfile")
        .arg(stage.server.folder().join("fetchmail.pid"));
    fetchmail.env("HOME", stage.server.folder()).env("LC_ALL", "C.UTF-8");
    process::run(&mut fetchmail, b"", LIMIT)?.success()?;

    let taken = stage.samples.of("INBOX").chain(stage.samples.of("Reisen & Fotos"));
    same_messages("what was fetched", file_hashes(&target)?, taken.map(|message| message.sha256.clone()))?;
    let mut client = stage.client()?;
    for mailbox in ["INBOX", "Reisen & Fotos"] {
        let left = hashes(&mut client, mailbox)?;
        ensure!(left.is_empty(), "{} messages are left in {mailbox}", left.len());
    }
    drop(client);
    stage.server.stop()
}

#[test]
fn fetchmail_takes_mail_away_in_plain_text() -> Result<()> {
    take_away(Security::Plain)
}

#[test]
fn fetchmail_takes_mail_away_after_starttls() -> Result<()> {
    take_away(Security::StartTls)
}

#[test]
fn fetchmail_takes_mail_away_under_tls() -> Result<()> {
    take_away(Security::Tls)
}
