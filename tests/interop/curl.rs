//! curl: URLs for a message, a list, a search; upload by APPEND.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use paquebot_testkit::{process, samples, sha256_hex};

use crate::stage::{LIMIT, PASSWORD, Security, Stage, hashes};

struct Curl<'a> {
    stage: &'a Stage,
    security: Security,
}

impl Curl<'_> {
    /// Runs curl with the URL of a path on the server; what it prints.
    fn get(&self, path: &str, arguments: &[&str]) -> Result<String> {
        let (scheme, host) =
            if self.security == Security::Tls { ("imaps", "localhost") } else { ("imap", "localhost") };
        let url = format!("{scheme}://{host}:{}/{path}", self.stage.port(self.security));
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--ipv4", "--user", &format!("alice:{PASSWORD}"), "--cacert"])
            .arg(self.stage.server.authority());
        if self.security != Security::Plain {
            curl.arg("--ssl-reqd");
        }
        process::run(curl.args(arguments).arg(url), b"", LIMIT)?.success()
    }

    /// The octets of a message, which need not be text.
    fn download(&self, path: &str) -> Result<Vec<u8>> {
        let file = self.stage.folder("curl")?.join("downloaded");
        self.get(path, &["--output", &file.to_string_lossy()])?;
        Ok(std::fs::read(file)?)
    }
}

fn tour(security: Security) -> Result<()> {
    let stage = Stage::with_samples()?;
    let curl = Curl { stage: &stage, security };

    let listed = curl.get("", &[])?;
    ensure!(listed.contains("Projects/Paquebot") && listed.contains("&ZeVnLIqe-"), "LIST: {listed}");

    for (number, message) in stage.samples.of("INBOX").enumerate() {
        let got = curl.download(&format!("INBOX;MAILINDEX={}", number + 1))?;
        ensure!(sha256_hex(&got) == message.sha256, "{}: got {} octets", message.file.display(), got.len());
    }
    let got = curl.download("Reisen%20%26-%20Fotos;UID=1")?;
    ensure!(
        sha256_hex(&got) == stage.sample("reisen-fotos/001.eml")?.sha256,
        "a name with an ampersand: {} octets",
        got.len()
    );
    let text = curl.get("INBOX;MAILINDEX=3;SECTION=TEXT", &[])?;
    ensure!(text.starts_with("Morning. The booking office"), "SECTION=TEXT: {text}");

    let found = curl.get("INBOX?SUBJECT%20queue", &[])?;
    ensure!(found.trim() == "* SEARCH 1 2", "SEARCH: {found:?}");
    let fetched = curl.get("INBOX", &["--request", "FETCH 1:2 (UID FLAGS)"])?;
    ensure!(fetched.matches("FETCH (UID").count() == 2, "FETCH: {fetched}");

    let file = samples::folder().join(Path::new("mail/lists-rust/012.eml"));
    curl.get("Trash", &["--upload-file", &file.to_string_lossy()])?;
    let last = hashes(&mut stage.client()?, "Trash")?.pop();
    ensure!(last.as_ref() == Some(&stage.sample("lists-rust/012.eml")?.sha256), "after APPEND: {last:?}");
    stage.server.stop()
}

#[test]
fn curl_reads_searches_and_appends_in_plain_text() -> Result<()> {
    tour(Security::Plain)
}

#[test]
fn curl_reads_searches_and_appends_after_starttls() -> Result<()> {
    tour(Security::StartTls)
}

#[test]
fn curl_reads_searches_and_appends_under_tls() -> Result<()> {
    tour(Security::Tls)
}
