//! Mailboxes of an ordinary user of this machine, and the real library that works in them: c-client serves nobody as root.

use std::ffi::OsStr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use paquebot_formats::{Access, OpenMailbox, Owner, Root, SessionLockHelper, driver, use_session_lock_helper};
use paquebot_types::{MailboxName, UidValidity};
use serde_json::Value;

/// `nobody`.
const USER: u32 = 65_534;

/// A directory of mailboxes.
pub struct Home {
    pub directory: tempfile::TempDir,
    pub root: Root,
    pub format: &'static str,
}

impl Home {
    pub fn new(format: &'static str) -> Self {
        use_session_lock_helper(SessionLockHelper {
            program: env!("CARGO_BIN_EXE_hold_session_lock").into(),
            arguments: Vec::new(),
        });
        let directory = tempfile::tempdir().unwrap();
        std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let owner = is_root().then_some(Owner { user: USER, group: USER });
        let root = Root { directory: directory.path().into(), owner, ..Root::default() };
        let home = Self { directory, root, format };
        home.give(home.directory.path());
        home
    }

    /// With the mailboxes of a fixture.
    pub fn with_fixture(format: &'static str) -> Self {
        let home = Self::new(format);
        let source = crate::manifest::directory(format).join("mail/.");
        assert!(Command::new("cp").arg("-a").arg(source).arg(home.directory.path()).status().unwrap().success());
        home.give_all();
        home
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn octets(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    pub fn put(&self, name: &str, octets: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), octets).unwrap();
        self.give(&self.path(name));
    }

    pub fn create(&self, name: &str) {
        let of = driver(self.format).unwrap();
        of.create(&self.root, &MailboxName::new(name).unwrap(), UidValidity::new(77).unwrap()).unwrap();
    }

    pub fn open(&self, name: &str, access: Access) -> Box<dyn OpenMailbox> {
        driver(self.format).unwrap().open(&self.root, &MailboxName::new(name).unwrap(), access).unwrap()
    }

    /// Opened for changes, which is to be had.
    pub fn write(&self, name: &str) -> Box<dyn OpenMailbox> {
        let mailbox = self.open(name, Access::Write);
        assert_eq!(mailbox.state().read_only, None);
        mailbox
    }

    fn give(&self, path: &Path) {
        if is_root() {
            chown(path, Some(USER), Some(USER)).unwrap();
        }
    }

    fn give_all(&self) {
        if is_root() {
            let owner = format!("{USER}:{USER}");
            assert!(Command::new("chown").arg("-R").arg(owner).arg(self.directory.path()).status().unwrap().success());
        }
    }

    /// A program, run as the mailboxes' owner in their directory.
    pub fn program(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env("HOME", self.directory.path()).current_dir(self.directory.path());
        if is_root() {
            command.uid(USER).gid(USER);
        }
        command
    }

    /// The real library, told to do something.
    pub fn peer(&self, arguments: &[&str]) -> Command {
        let mut command = self.program(peer());
        command.args(arguments);
        command
    }

    /// What the real library sees of a mailbox, without a word of complaint.
    pub fn dump(&self, name: &str) -> Value {
        let output = self.peer(&["dump", name]).output().unwrap();
        let complains = !matches!(&*output.stderr, b"" | b"note: Mailbox is empty\n");
        assert!(output.status.success() && !complains, "{}", said(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Both see the same.
    pub fn agree(&self, name: &str, ours: &mut dyn OpenMailbox) {
        let dump = self.dump(name);
        assert_eq!(dump["driver"], if self.format == "mbox" { "unix" } else { "mmdf" });
        assert_eq!(dump["uidvalidity"], ours.state().uid_validity.get());
        assert_eq!(dump["uidnext"].as_u64(), ours.state().uid_next.map(|uid| uid.get().into()));
        let theirs: Vec<_> = dump["messages"].as_array().unwrap().iter().map(their_message).collect();
        let shown = crate::fixtures::shown(ours);
        let ours = shown.iter().map(|(uid, flags, keywords, date, size, _)| {
            let flags = flags.iter().filter(|flag| *flag != "\\Recent").cloned().collect::<Vec<_>>();
            (*uid, flags, keywords.clone(), date.clone(), *size)
        });
        assert_eq!(theirs, ours.collect::<Vec<_>>());
    }
}

fn their_message(message: &Value) -> (u32, Vec<String>, Vec<String>, String, u64) {
    let words = |key: &str| {
        let mut words: Vec<String> =
            message[key].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect();
        words.retain(|word| word != "\\Recent");
        words.sort();
        words
    };
    let number = |key: &str| message[key].as_u64().unwrap();
    // The same moment: we write it one way.
    let date = message["internaldate"].as_str().unwrap().replace("-0000", "+0000");
    (u32::try_from(number("uid")).unwrap(), words("flags"), words("keywords"), date, number("octets"))
}

pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|found| std::os::unix::fs::MetadataExt::uid(&found) == 0)
}

pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The program over the real library, compiled once.
fn peer() -> &'static Path {
    static PEER: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = PEER.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let path = directory.path().join("peer");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c_client_peer.c");
        let mut compiler = Command::new("cc");
        compiler.arg("-w").arg("-o").arg(&path).arg(source).args(["-I/usr/include/c-client", "-lc-client"]);
        let compiled = compiler.output().unwrap();
        assert!(compiled.status.success(), "`cargo xtask setup` installs what this needs: {}", said(&compiled));
        (directory, path)
    });
    path
}
