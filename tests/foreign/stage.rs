//! A server with namespaces over copies of fixtures.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use paquebot_testkit::{Answer, Client, Options, Server};
use tempfile::TempDir;

/// Whatever is waited for has come by then.
const LIMIT: Duration = Duration::from_secs(30);

/// A namespace over a fixture: its prefix, the driver and the fixture.
pub type Served = (&'static str, &'static str, &'static str);

/// Every format that is changed in place.
pub const CHANGED: [Served; 6] = [
    ("mbox/", "mbox", "mbox"),
    ("mmdf/", "mmdf", "mmdf"),
    ("mbx/", "mbx", "mbx"),
    ("mix/", "mix", "mix"),
    ("dovecot/", "maildir", "maildir-dovecot"),
    ("courier/", "maildir", "maildir-courier"),
];

pub struct Stage {
    pub server: Server,
    files: TempDir,
}

impl Stage {
    pub fn new(served: &[Served]) -> Self {
        let files = tempfile::tempdir().unwrap();
        let mut settings = "namespace = [".to_owned();
        for (prefix, driver, fixture) in served {
            let root = unpack(files.path(), fixture);
            write!(settings, "{{ prefix = {prefix:?}, driver = {driver:?}, root = {root:?} }}, ").unwrap();
        }
        settings.push(']');
        let options = Options { settings, ..Options::with_account("alice", "secret") };
        Self { server: Server::start(options).unwrap(), files }
    }

    /// Where a fixture's mailboxes are.
    pub fn root(&self, fixture: &str) -> PathBuf {
        root_in(self.files.path(), fixture)
    }

    pub fn client(&self) -> Client {
        self.server.client("alice").unwrap()
    }
}

pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/formats/fixtures").join(name)
}

fn root_in(files: &Path, fixture: &str) -> PathBuf {
    let files = files.join(fixture);
    match fixture {
        "cyrus" => files,
        name if name.starts_with("maildir") => files.join("Maildir"),
        _ => files.join("mail"),
    }
}

/// Copies a fixture; gives where its mailboxes are.
fn unpack(files: &Path, name: &str) -> PathBuf {
    let target = files.join(name);
    std::fs::create_dir(&target).unwrap();
    let archive = fixture(name).join(format!("{name}.tar"));
    let mut command = if archive.exists() {
        let mut tar = Command::new("tar");
        // Some of the dates are in the future.
        tar.args(["--extract", "--no-same-owner", "--warning=no-timestamp", "--file"]).arg(archive).arg("-C");
        tar
    } else {
        let mut copy = Command::new("cp");
        copy.arg("-R").arg(fixture(name).join("mail"));
        copy
    };
    assert!(command.arg(&target).status().unwrap().success());
    root_in(files, name)
}

/// Sends a command that must succeed.
pub fn ok(client: &mut Client, command: &str) -> Answer {
    client.command(command).unwrap().ok().unwrap_or_else(|error| panic!("{command}: {error}"))
}

/// All that an answer says, as text.
pub fn text(answer: &Answer) -> String {
    let untagged: Vec<String> = answer.untagged.iter().map(ToString::to_string).collect();
    format!("{}\n{}", untagged.join("\n"), answer.tagged)
}

/// What stands after `before` and until a space or bracket.
pub fn word_after(text: &str, before: &str) -> String {
    let at = text.find(before).unwrap_or_else(|| panic!("no {before} in {text}"));
    let rest = &text[at + before.len()..];
    rest.split([' ', ']', ')', '\r', '\n']).next().unwrap().to_owned()
}

/// Asks until it is so.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < LIMIT, "{what} does not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}
