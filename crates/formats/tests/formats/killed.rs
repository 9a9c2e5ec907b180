//! Our process is killed before each of its system calls that change anything; then the format's own program opens what it has left, and so do we.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use paquebot_formats::{
    Access, Expunged, OpenMailbox, Owner, Root, SessionLockHelper, driver, use_session_lock_helper,
};
use paquebot_types::{Flags, MailboxName, UidValidity};

use crate::c_client::Home;
use crate::fixtures::octets;
use crate::maildir::server::{Kind, Session, give_away};
use crate::sharing::append;

/// Calls that change a file or a directory, or wait for the disk. Some machines do not have all of them.
const CALLS: [&str; 17] = [
    "write",
    "pwrite64",
    "writev",
    "pwritev",
    "copy_file_range",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "ftruncate",
    "fallocate",
    "fsync",
    "fdatasync",
    "utimensat",
];
/// The helper process of a killed one ends by itself.
const LIMIT: Duration = Duration::from_secs(30);
const BEFORE: [&str; 3] = ["one", "two", "three"];
const NAMED: [&str; 2] = ["AKeywordThatNeedsRoom", "AnotherThatNeedsMoreRoom"];

/// By UID: text, flags and keywords sorted.
type Messages = BTreeMap<u32, (String, Vec<String>)>;

fn text(subject: &str, lines: usize) -> String {
    format!("Subject: {subject}\r\n\r\n{}", format!("a line of {subject}\r\n").repeat(lines))
}

/// What there is after so many steps of `change_mailbox`.
fn after(steps: usize) -> Messages {
    let mut messages = Messages::new();
    for (uid, subject) in (1..).zip(BEFORE) {
        messages.insert(uid, (text(subject, 100), Vec::new()));
    }
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let flag = |messages: &mut Messages, uid: u32, with: &[&str]| messages.get_mut(&uid).unwrap().1 = words(with);
    for step in 1..=steps {
        match step {
            2 => drop(messages.insert(4, (text("four", 20), Vec::new()))),
            3 => flag(&mut messages, 1, &["\\Flagged", "\\Seen"]),
            4 => flag(&mut messages, 2, &[NAMED[0], NAMED[1], "\\Answered"]),
            5 => messages.retain(|uid, _| ![1, 3].contains(uid)),
            6 => drop(messages.insert(5, (text("five", 30_000), Vec::new()))),
            7 => flag(&mut messages, 5, &["\\Seen"]),
            _ => {}
        }
    }
    messages.values_mut().for_each(|message| message.1.sort());
    messages
}

fn shown(mailbox: &mut dyn OpenMailbox) -> Messages {
    let (known, messages) = (mailbox.state().keywords.clone(), mailbox.messages().to_vec());
    let show = |message: paquebot_formats::Message| {
        let system = Flags::NAMES.iter().filter(|(flag, _)| message.flags.contains(*flag));
        let mut words: Vec<String> = system.map(|(_, name)| (*name).to_owned()).collect();
        words.extend((0..known.len()).filter(|at| message.keywords >> at & 1 == 1).map(|at| known[at].to_string()));
        words.sort();
        let text = String::from_utf8(octets(&mut *mailbox.body(message.uid).unwrap())).unwrap();
        (message.uid.get(), (text, words))
    };
    messages.into_iter().map(show).collect()
}

/// Mailboxes, and a process that changes one until it is killed.
struct Victim<'h> {
    format: &'h str,
    name: &'h str,
    root: Root,
}

impl Victim<'_> {
    fn path(&self) -> PathBuf {
        if self.name == "INBOX" { self.root.directory.clone() } else { self.root.directory.join(self.name) }
    }

    fn open(&self) -> Box<dyn OpenMailbox> {
        driver(self.format).unwrap().open(&self.root, &MailboxName::new(self.name).unwrap(), Access::Write).unwrap()
    }

    fn make(&self) {
        let name = MailboxName::new(self.name).unwrap();
        driver(self.format).unwrap().create(&self.root, &name, UidValidity::new(1_000_077).unwrap()).unwrap();
        let mut mailbox = self.open();
        for subject in BEFORE {
            append(&mut *mailbox, &text(subject, 100).replace('\r', ""), Flags::NONE, &[]);
        }
    }

    /// Runs it under strace, which is told what to do; gives how many steps it said it had done, and whether it ended well.
    fn run(&self, strace: &[String]) -> (usize, bool) {
        let owner = self.root.owner.unwrap_or(Owner { user: 0, group: 0 });
        let mut command = Command::new("strace");
        command.args(strace).arg(env!("CARGO_BIN_EXE_change_mailbox")).arg(self.format).arg(&self.root.directory);
        command.arg(self.name).args([owner.user.to_string(), owner.group.to_string()]);
        command.arg(env!("CARGO_BIN_EXE_hold_session_lock"));
        let output = command.stdin(Stdio::null()).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let is_killed = std::os::unix::process::ExitStatusExt::signal(&output.status) == Some(9);
        assert!(output.status.success() || is_killed, "{}: {said}", output.status);
        (output.stdout.iter().filter(|octet| **octet == b'\n').count(), output.status.success())
    }

    /// How often it makes each call, until it has done all.
    fn calls(&self, log: &Path) -> Vec<(&'static str, usize)> {
        let filter = CALLS.map(|call| format!("?{call}")).join(",");
        let arguments = ["-qq", "-o", log.to_str().unwrap(), "-e", &format!("trace={filter}")].map(str::to_owned);
        let (steps, ended) = self.run(&arguments);
        assert!(ended && steps == 7);
        let log = std::fs::read_to_string(log).unwrap();
        let count = |call: &str| log.lines().filter(|line| line.starts_with(&format!("{call}("))).count();
        CALLS.map(|call| (call, count(call))).into_iter().filter(|(_, count)| *count > 0).collect()
    }

    /// Until the helper process of a killed one has let its lock go.
    fn settle(&self) {
        let Ok(found) = std::fs::metadata(self.path()) else { return };
        let lock = PathBuf::from(format!("/tmp/.{:x}.{:x}", found.dev(), found.ino()));
        let began = Instant::now();
        // A file of this name may be a lock of another mailbox that once had this inode.
        let is_held = || {
            let holder = std::fs::read_to_string(&lock).unwrap_or_default();
            holder.parse::<u32>().is_ok_and(|holder| Path::new("/proc").join(holder.to_string()).exists())
        };
        while is_held() && matches!(self.format, "mbox" | "mmdf") {
            assert!(began.elapsed() < LIMIT, "the session lock stays");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Kills it before every call. `whole` makes it anew; `original` has the format's own program open a copy and gives what that shows.
fn die_everywhere(victim: &Victim<'_>, whole: &dyn Fn(), original: &dyn Fn() -> Messages) {
    use_session_lock_helper(SessionLockHelper {
        program: env!("CARGO_BIN_EXE_hold_session_lock").into(),
        arguments: Vec::new(),
    });
    let logs = tempfile::tempdir().unwrap();
    whole();
    let calls = victim.calls(&logs.path().join("log"));
    println!("{}: killed before each of {calls:?}", victim.format);
    for (call, count) in calls {
        for nth in 1..=count {
            let at = format!("{} {call} {nth}", victim.format);
            whole();
            let inject = format!("inject={call}:signal=SIGKILL:when={nth}");
            let (steps, ended) = victim.run(&["-qq", "-e", &format!("trace={call}"), "-e", &inject].map(str::to_owned));
            assert!(!ended, "{at}: it was not killed");
            victim.settle();
            let (before, then) = (after(steps), after(steps + 1));
            // c-client cannot open an mbx file whose messages have moved and whose old end is still there: we finish that first.
            let is_moving = victim.format == "mbx" && victim.root.directory.join(".box.paquebot-rewrite").exists();
            let seen = if is_moving { before.clone() } else { original() };
            for (uid, (text, _)) in before.iter().filter(|(uid, _)| then.contains_key(uid)) {
                assert!(
                    seen.values().any(|(seen, _)| seen == text),
                    "{at}: UID {uid} is lost for the original program"
                );
            }
            let mut mailbox = victim.open();
            assert_eq!(mailbox.state().read_only, None, "{at}");
            mailbox.refresh(Expunged::Leave).unwrap();
            let found = shown(&mut *mailbox);
            // Of a step that was not acknowledged each message has all or nothing.
            for uid in before.keys().chain(then.keys()).chain(found.keys()) {
                let (is, was, would) = (found.get(uid), before.get(uid), then.get(uid));
                let words = is.map(|(text, words)| (text.len(), words));
                assert!(is == was || is == would, "{at}, after {steps} steps: UID {uid} is {words:?}");
            }
            assert_eq!(mailbox.state().uid_validity.get(), 1_000_077, "{at}");
            let next = append(&mut *mailbox, "Subject: next\n\nnext\n", Flags::NONE, &[]);
            assert!(found.keys().all(|uid| *uid < next.get()), "{at}");
            mailbox.refresh(Expunged::Leave).unwrap();
            let found = shown(&mut *mailbox);
            drop(mailbox);
            assert!(original() == found, "{at}: afterwards the original program shows others");
        }
    }
}

fn beside_c_client(format: &str) {
    let Some(home) = Home::new() else { return };
    let victim = Victim { format, name: "box", root: home.root() };
    let whole = || {
        let path = victim.path();
        for entry in std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() { std::fs::remove_dir_all(entry).unwrap() } else { std::fs::remove_file(entry).unwrap() }
        }
        victim.make();
        assert!(path.exists());
    };
    let original = || {
        let copy = home.path().join("copy");
        let _ = std::fs::remove_dir_all(&copy);
        let _ = std::fs::remove_file(&copy);
        let copied = Command::new("cp").arg("-a").arg(victim.path()).arg(&copy).status().unwrap();
        assert!(copied.success());
        let dump = home.dump("copy");
        let show = |(message, octets): (&crate::c_client::Dumped, &Vec<u8>)| {
            let mut words = [message.flags.clone(), message.keywords.clone()].concat();
            words.retain(|word| word != "\\Recent");
            words.sort();
            (message.uid, (String::from_utf8_lossy(octets).into_owned(), words))
        };
        dump.messages.iter().zip(&dump.octets).map(show).collect()
    };
    die_everywhere(&victim, &whole, &original);
}

#[test]
fn an_mbox_outlives_us() {
    beside_c_client("mbox");
}

#[test]
fn an_mmdf_outlives_us() {
    beside_c_client("mmdf");
}

#[test]
fn an_mbx_outlives_us() {
    beside_c_client("mbx");
}

#[test]
fn a_mix_outlives_us() {
    beside_c_client("mix");
}

#[test]
fn a_maildir_outlives_us() {
    let Some(packages) = Kind::Dovecot.packages() else { return };
    let directory = tempfile::tempdir().unwrap();
    let top = directory.path().join("Maildir");
    std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::create_dir(&top).unwrap();
    let victim = Victim { format: "maildir", name: "INBOX", root: Kind::Dovecot.root(&top) };
    let whole = || {
        std::fs::remove_dir_all(&top).unwrap();
        std::fs::create_dir(&top).unwrap();
        give_away(&top);
        victim.make();
    };
    let original = || {
        // On a copy: it takes what is new, and writes.
        let copy = directory.path().join("copy");
        let _ = std::fs::remove_dir_all(&copy);
        assert!(Command::new("cp").arg("-a").arg(&top).arg(&copy).status().unwrap().success());
        let mut session = Session::start(Kind::Dovecot, &packages, &copy);
        session.command("EXAMINE INBOX");
        let messages = session.messages();
        let show =
            |(uid, words, _): (u32, Vec<String>, u64)| (uid, (String::from_utf8(session.body(uid)).unwrap(), words));
        let messages = messages.into_iter().map(show).collect();
        session.end();
        messages
    };
    die_everywhere(&victim, &whole, &original);
}
