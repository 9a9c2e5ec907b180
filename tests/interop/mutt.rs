//! mutt, with its keys pressed by a script: read, tag, copy, flag, save, delete.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use paquebot_testkit::{process, sha256_hex};

use crate::stage::{LIMIT, PASSWORD, Security, Stage, hashes, same_messages, sample_hashes, search, with_crlf};

struct Mutt<'a> {
    stage: &'a Stage,
    security: Security,
    configuration: PathBuf,
}

impl<'a> Mutt<'a> {
    fn new(stage: &'a Stage, security: Security) -> Result<Mutt<'a>> {
        let (tls, starttls) = match security {
            Security::Plain => ("no", "no"),
            Security::StartTls => ("yes", "yes"),
            Security::Tls => ("yes", "no"),
        };
        let text = format!(
            "set folder = '{url}' spoolfile = '{url}INBOX'\nset imap_user = alice imap_pass = {PASSWORD}\n\
             set ssl_force_tls = {tls} ssl_starttls = {starttls} ssl_ca_certificates_file = '{authority}'\n\
             set record = '' postponed = '' tmpdir = '{folder}' wait_key = no\n\
             set move = no delete = yes quit = yes confirmcreate = no confirmappend = no beep = no mark_old = no\n",
            url = url(stage, security),
            authority = stage.server.authority().display(),
            folder = stage.folder("tmp")?.display(),
        );
        Ok(Mutt { stage, security, configuration: stage.write("muttrc", &text)? })
    }

    /// Opens a mailbox and presses these keys. `script` gives mutt the terminal that it wants.
    fn press(&self, mailbox: &str, keys: &str) -> Result<()> {
        let push = self.stage.write("keys", &format!("push \"{keys}\"\n"))?;
        let mutt = format!(
            "mutt -n -F {} -e 'source {}' -f '{}{mailbox}'",
            self.configuration.display(),
            push.display(),
            url(self.stage, self.security)
        );
        let mut terminal = Command::new("script");
        terminal.args(["--quiet", "--return", "--flush", "--command", &mutt, "/dev/null"]);
        terminal.env("TERM", "vt100").env("HOME", self.stage.server.folder()).env("LC_ALL", "C.UTF-8");
        process::run(&mut terminal, b"", LIMIT)?.success().map(drop)
    }
}

fn url(stage: &Stage, security: Security) -> String {
    let scheme = if security == Security::Tls { "imaps" } else { "imap" };
    format!("{scheme}://localhost:{}/", stage.port(security))
}

fn session(security: Security) -> Result<()> {
    let stage = Stage::with_samples()?;
    let mutt = Mutt::new(&stage, security)?;
    let mut client = stage.client()?;

    // Whole messages come out as they are.
    let out = stage.folder("piped")?;
    let file = out.join("message");
    mutt.press(
        "Projects/Paquebot",
        &format!("<search>~s sketch<enter><pipe-message>cat > {}<enter><exit>", file.display()),
    )?;
    let piped = sha256_hex(&with_crlf(&std::fs::read(&file).context("mutt piped nothing")?));
    ensure!(piped == stage.sample("projects-paquebot/006.eml")?.sha256, "the piped message is another");

    // Tag by a pattern that the server searches for, copy all of them, flag one, delete another.
    mutt.press(
        "INBOX",
        "<tag-pattern>=s queue<enter><tag-prefix><copy-message>=Archive<enter>\
         <search>~s Sankthans<enter><flag-message><search>~s Sunday<enter><delete-message><sync-mailbox><exit>",
    )?;
    let copied = [stage.sample("inbox/001.eml")?.sha256.clone(), stage.sample("inbox/002.eml")?.sha256.clone()];
    same_messages("Archive", hashes(&mut client, "Archive")?, copied)?;
    let mut inbox = sample_hashes(&stage.samples, "INBOX");
    inbox.retain(|hash| Some(hash) != stage.sample("inbox/012.eml").ok().map(|sunday| &sunday.sha256));
    same_messages("INBOX", hashes(&mut client, "INBOX")?, inbox)?;
    ensure!(search(&mut client, "INBOX", "FLAGGED SUBJECT Sankthans")?.len() == 1, "the flag did not arrive");

    // Save moves; a name in Japanese is opened, and one with an ampersand is saved to (a bare space would ask for the next mailbox).
    mutt.press(
        "日本語",
        "<search>~b 味噌<enter><save-message>=Reisen<quote-char> &<quote-char> Fotos<enter><sync-mailbox><exit>",
    )?;
    let recipe = &stage.sample("nihongo/006.eml")?.sha256;
    ensure!(hashes(&mut client, "Reisen & Fotos")?.last() == Some(recipe), "the recipe was not saved");
    ensure!(!hashes(&mut client, "日本語")?.contains(recipe), "the recipe is still where it was");

    // A new mailbox is made by copying into it.
    mutt.press("Sent", "<first-entry><copy-message>=Neu/Ordner<enter><exit>")?;
    same_messages("Neu/Ordner", hashes(&mut client, "Neu/Ordner")?, [stage.sample("sent/001.eml")?.sha256.clone()])?;
    drop(client);
    stage.server.stop()
}

#[test]
fn mutt_reads_files_and_deletes_in_plain_text() -> Result<()> {
    session(Security::Plain)
}

#[test]
fn mutt_reads_files_and_deletes_after_starttls() -> Result<()> {
    session(Security::StartTls)
}

#[test]
fn mutt_reads_files_and_deletes_under_tls() -> Result<()> {
    session(Security::Tls)
}
