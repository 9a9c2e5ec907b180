//! The binary as its own helper process: it holds the lock of a traditional mailbox, and says so when another program asks for it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use paquebot_formats::{Access, OpenMailbox, Root, SessionLockHelper, driver, use_session_lock_helper};
use paquebot_testkit::process::pid;
use paquebot_types::{MailboxName, UidValidity};
use rustix::process::{Signal, kill_process};

use crate::process::{BINARY, paquebot};

struct Holder {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Holder {
    fn start(mailbox: &Path, manner: &str) -> Self {
        let found = fs::metadata(mailbox).unwrap();
        let numbers =
            [found.dev(), found.ino(), found.uid().into(), found.gid().into()].map(|number| number.to_string());
        let mut command = Command::new(BINARY);
        command.arg("hold-session-lock").args(numbers).arg(manner).arg(mailbox);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lock_file(mailbox: &Path) -> std::path::PathBuf {
    let found = fs::metadata(mailbox).unwrap();
    format!("/tmp/.{:x}.{:x}", found.dev(), found.ino()).into()
}

#[test]
fn it_holds_a_session_lock_until_its_input_ends() {
    let folder = tempfile::tempdir().unwrap();
    let mailbox = folder.path().join("box");
    fs::write(&mailbox, "").unwrap();
    let mut holder = Holder::start(&mailbox, "ask");
    assert!(holder.line().starts_with("held "));
    let lock = lock_file(&mailbox);
    assert_eq!(fs::read_to_string(&lock).unwrap(), holder.child.id().to_string(), "whom to signal");
    let threads = fs::read_dir(format!("/proc/{}/task", holder.child.id())).unwrap().count();
    assert_eq!(threads, 1, "it was decided before anything started a thread");
    let refused = Holder::start(&mailbox, "at-once").line();
    assert_eq!(refused, format!("refused process {} has it open", holder.child.id()));
    kill_process(pid(&holder.child).unwrap(), Signal::USR2).unwrap();
    assert_eq!(holder.line(), "asked");
    drop(holder.child.stdin.take());
    assert!(holder.child.wait().unwrap().success());
    assert!(!lock.exists());
}

#[test]
fn nobody_starts_it_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["hold-session-lock"][..], &["hold-session-lock", "1", "2", "x", "4", "ask", "/nowhere"]] {
        let finished = paquebot(folder.path(), arguments, "");
        assert_eq!(finished.status.code(), Some(1), "{finished}");
        assert!(finished.stderr.contains("started by the server only"), "{finished}");
    }
}

/// The library starts it, and an mbox that is open hears of the program that asks.
#[test]
fn a_mailbox_that_is_open_is_asked_for_through_it() {
    let arguments = vec!["hold-session-lock".into()];
    use_session_lock_helper(SessionLockHelper { program: BINARY.into(), arguments });
    let folder = tempfile::tempdir().unwrap();
    let root = Root { directory: folder.path().into(), ..Root::default() };
    let (mbox, name) = (driver("mbox").unwrap(), MailboxName::new("box").unwrap());
    mbox.create(&root, &name, UidValidity::new(7).unwrap()).unwrap();
    let mut open = mbox.open(&root, &name, Access::Write).unwrap();
    assert_eq!(open.state().read_only, None);
    assert!(!open.asked_to_give_up());
    let path = folder.path().join("box");
    let mut other = Holder::start(&path, "ask");
    wait_for_signal(open.as_ref());
    assert!(open.asked_to_give_up());
    open.give_up().unwrap();
    assert!(open.state().read_only.is_some());
    assert!(other.line().starts_with("held "), "who asked has it now");
}

fn wait_for_signal(open: &dyn OpenMailbox) {
    let signal = open.take_over_signal().unwrap();
    let mut waiting = [rustix::event::PollFd::new(&signal, rustix::event::PollFlags::IN)];
    let limit = rustix::event::Timespec { tv_sec: 20, tv_nsec: 0 };
    assert_eq!(rustix::event::poll(&mut waiting, Some(&limit)).unwrap(), 1, "nobody asked");
}
