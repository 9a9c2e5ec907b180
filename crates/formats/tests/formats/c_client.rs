//! The real c-client beside ours: `tests/c_client_peer.c` over Debian's `libc-client2007e-dev`, and `mailutil`.
//!
//! c-client serves nobody as root and takes names relative to the home directory, so its programs run as an ordinary user, to whom the mailboxes belong.

mod kiss;
mod locks;
mod sessions;
mod the_same;
mod writers;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use paquebot_formats::{Access, Driver, OpenMailbox, Owner, Root, driver};
use paquebot_types::MailboxName;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::fixtures::{self, Shown};

/// Debian's nobody, whom the mailboxes belong to where the tests run as root.
const NOBODY: Owner = Owner { user: 65534, group: 65534 };
/// Whatever the peer is asked for it has done by then.
const LIMIT: Duration = Duration::from_secs(60);
/// What it says when it could not lock a mailbox, and how often it is then asked again.
const UNLOCKED: &str = "Unable to lock";
const TRIES: usize = 100;
/// What it says when it asks another session for a mailbox.
const ASKS: &str = "Trying to get mailbox lock from process";

/// A home with mailboxes, and c-client's programs that use them.
pub struct Home {
    directory: tempfile::TempDir,
}

/// A mailbox as c-client shows it.
#[derive(Debug, Deserialize)]
pub struct Dump {
    pub driver: String,
    pub uidvalidity: u32,
    pub uidnext: u32,
    pub messages: Vec<Dumped>,
    /// The octets, in the order of the messages.
    #[serde(skip)]
    pub octets: Vec<Vec<u8>>,
}

#[derive(Debug, Deserialize)]
pub struct Dumped {
    pub uid: u32,
    pub flags: Vec<String>,
    pub keywords: Vec<String>,
    pub internaldate: String,
    pub rfc822_size: u64,
    pub octets: u64,
}

impl Home {
    /// `None` where c-client is not installed and nobody has asked for all tests to run (`CI`).
    pub fn new() -> Option<Self> {
        let program = program()?;
        let directory = tempfile::tempdir().unwrap();
        let home = Self { directory };
        std::fs::create_dir(home.path()).unwrap();
        // By another process: a descriptor of ours that is open for writing could be inherited, and the program then not be started.
        run(Command::new("install").args(["-m", "755"]).arg(program).arg(home.program()));
        run(Command::new("chmod").arg("755").arg(home.directory.path()));
        home.give_away();
        Some(home)
    }

    /// The directory of the mailboxes.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("home")
    }

    /// The same for a driver.
    pub fn root(&self) -> Root {
        Root { directory: self.path(), inbox: None, owner: is_root().then_some(NOBODY), user: None }
    }

    pub fn open(&self, format: &str, name: &str) -> Box<dyn OpenMailbox> {
        driver_of(format).open(&self.root(), &MailboxName::new(name).unwrap(), Access::Write).unwrap()
    }

    /// What was put here belongs to the user as whom c-client runs.
    pub fn give_away(&self) {
        if is_root() {
            let owner = format!("{}:{}", NOBODY.user, NOBODY.group);
            run(Command::new("chown").args(["-R", &owner]).arg(self.path()));
        }
    }

    /// One of the peer's operations; its complaints, if it did not do it.
    pub fn peer(&self, arguments: &[&str]) -> Result<String, String> {
        self.output(&self.program(), arguments)
    }

    /// Has `mailutil` open the mailbox and count: it is sound, and has so many messages.
    pub fn check(&self, name: &str, messages: usize) {
        let told = self.output(Path::new("mailutil"), &["check", name]).unwrap();
        assert!(
            told.contains(&format!(" {messages} total in {name}")) || told.contains(&format!(" {messages} messages")),
            "{told}"
        );
    }

    /// What c-client shows of a mailbox.
    pub fn dump(&self, name: &str) -> Dump {
        let texts = tempfile::tempdir_in(self.directory.path()).unwrap();
        if is_root() {
            std::os::unix::fs::chown(texts.path(), Some(NOBODY.user), Some(NOBODY.group)).unwrap();
        }
        let told = self.peer(&["dump", name, texts.path().to_str().unwrap()]).unwrap();
        let mut dump: Dump = serde_json::from_str(&told).unwrap_or_else(|error| panic!("{name}: {error}: {told}"));
        let read = |message: &Dumped| std::fs::read(texts.path().join(format!("{}.eml", message.uid))).unwrap();
        dump.octets = dump.messages.iter().map(read).collect();
        dump
    }

    /// A read-write session of c-client's, which does what it is told.
    pub fn session(&self, name: &str) -> Session {
        (0..TRIES).find_map(|_| self.try_session(name)).expect("c-client opens the mailbox")
    }

    /// `None` if it could not lock the mailbox: it gives up when somebody else removes and makes the lock file at the wrong moment, its own kind too.
    fn try_session(&self, name: &str) -> Option<Session> {
        let mut child = self
            .command(&self.program(), &["session", name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, told) = channel();
        let output = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            lines
                .filter(|line| !line.starts_with("note: ") && !line.contains(ASKS))
                .for_each(|line| drop(sender.send(line)));
        });
        let input = child.stdin.take();
        let session = Session { child, input, told };
        let held = session.line();
        if held.contains(UNLOCKED) {
            return None;
        }
        assert!(held.starts_with("held rw "), "{held}");
        Some(session)
    }

    fn program(&self) -> PathBuf {
        self.directory.path().join("peer")
    }

    fn output(&self, program: &Path, arguments: &[&str]) -> Result<String, String> {
        let output = self.command(program, arguments).stdin(Stdio::null()).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        match output.status.success() {
            true => Ok(String::from_utf8(output.stdout).unwrap()),
            false => Err(format!("{arguments:?}: {}: {told}", output.status)),
        }
    }

    fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(if is_root() { Path::new("setpriv") } else { program });
        if is_root() {
            let (user, group) = (format!("--reuid={}", NOBODY.user), format!("--regid={}", NOBODY.group));
            command.args([&user, &group, "--clear-groups"]).arg(program);
        }
        command.args(arguments).current_dir(self.path()).env("HOME", self.path());
        command
    }
}

impl Dump {
    /// In the words that our own mailboxes are compared in.
    pub fn shown(&self) -> Vec<Shown> {
        let show = |(message, octets): (&Dumped, &Vec<u8>)| {
            assert_eq!((message.octets, message.rfc822_size), (octets.len() as u64, octets.len() as u64));
            let told: Vec<u8> = octets.iter().map(|octet| if *octet == 0 { 0x80 } else { *octet }).collect();
            let hash = Sha256::digest(told).iter().map(|byte| format!("{byte:02x}")).collect();
            let mut keywords = message.keywords.clone();
            keywords.sort();
            let date = message.internaldate.replace("-0000", "+0000");
            (message.uid, message.flags.clone(), keywords, date, message.rfc822_size, hash)
        };
        self.messages.iter().zip(&self.octets).map(show).collect()
    }
}

/// c-client, with a mailbox open.
pub struct Session {
    child: Child,
    input: Option<ChildStdin>,
    told: Receiver<String>,
}

impl Session {
    /// Has it do something (see the peer's source); gives what it was told meanwhile: `exists 3`, `flags 1`, `expunged 2`, `uid 4`.
    pub fn ask(&mut self, words: &[&str]) -> Vec<String> {
        for _ in 0..TRIES {
            let (done, told) = self.try_once(words);
            let unlocked = |line: &String| line.contains(UNLOCKED) || line.contains("Not a MBX-format mailbox");
            if !told.iter().any(unlocked) {
                assert!(done, "{words:?}: {told:?}");
                return told;
            }
        }
        panic!("{words:?}: c-client never got its lock");
    }

    fn try_once(&mut self, words: &[&str]) -> (bool, Vec<String>) {
        let input = self.input.as_mut().unwrap();
        writeln!(input, "{}", words.join("\t")).and_then(|()| input.flush()).unwrap();
        let mut told = Vec::new();
        loop {
            match self.line() {
                line if line == "ok" || line == "failed" => return (line == "ok", told),
                line => told.push(line),
            }
        }
    }

    /// Appends the message in a file; gives its UID.
    pub fn append(&mut self, file: &Path, flags: &str) -> u32 {
        let told = self.ask(&["append", file.to_str().unwrap(), flags, ""]);
        let uid = told.iter().find_map(|line| line.strip_prefix("uid "));
        uid.unwrap_or_else(|| panic!("{told:?}")).parse().unwrap()
    }

    /// Closes the mailbox.
    pub fn quit(mut self) {
        drop(self.input.take());
        let ended = self.child.wait().unwrap();
        assert!(ended.success(), "{ended}: {:?}", self.told.iter().collect::<Vec<_>>());
    }

    /// Ends it without giving it a moment to close anything.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn line(&self) -> String {
        self.told.recv_timeout(LIMIT).expect("the peer says something")
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn driver_of(format: &str) -> &'static dyn Driver {
    driver(format).unwrap()
}

/// What we show, but for `\Recent`, which only the first to look is shown.
pub fn shown(mailbox: &mut dyn OpenMailbox) -> Vec<Shown> {
    without_recent(fixtures::shown(mailbox))
}

pub fn without_recent(mut shown: Vec<Shown>) -> Vec<Shown> {
    shown.iter_mut().for_each(|message| message.1.retain(|flag| flag != "\\Recent"));
    shown
}

/// Numbers that look random and are the same for the same seed.
pub struct Numbers(pub u64);

impl Numbers {
    /// Below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        // xorshift64* (Vigna 2016).
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The peer, compiled once.
fn program() -> Option<&'static Path> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    let compile = || {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c_client_peer.c");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        // Other tests compile it at the same time: each its own, and the last one stays.
        let (program, own) =
            (folder.join("c_client_peer"), folder.join(format!("c_client_peer.{}", std::process::id())));
        let mut compiler = Command::new("cc");
        compiler.arg("-o").arg(&own).arg(source).args(["-w", "-I/usr/include/c-client", "-lc-client"]);
        let compiled = compiler.output().is_ok_and(|output| output.status.success());
        let mailutil = Command::new("mailutil").stdin(Stdio::null()).output().is_ok();
        if compiled && mailutil {
            std::fs::rename(&own, &program).unwrap();
            return Some(program);
        }
        let missing =
            "c-client is not here: install libc-client2007e-dev, uw-mailutils and gcc (`cargo xtask setup` does)";
        assert!(std::env::var_os("CI").is_none(), "{missing}");
        eprintln!("not tried: {missing}");
        None
    };
    PROGRAM.get_or_init(compile).as_deref()
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
