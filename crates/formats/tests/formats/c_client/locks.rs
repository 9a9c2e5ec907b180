//! Locks that others hold for long, and what dead programs leave of theirs.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use paquebot_formats::{Expunged, FormatError};
use paquebot_types::{Flags, MailboxName, UidValidity};

use super::{Home, driver_of, shown, without_recent};
use crate::sharing::{append, only};

/// For so long another program holds the lock.
const HELD: Duration = Duration::from_secs(2);
const TEXT: &str = "Subject: waited\n\nfor\n";

/// c-client's lock file for an mbx file.
fn lock_file(mailbox: &Path) -> PathBuf {
    let metadata = mailbox.metadata().unwrap();
    format!("/tmp/.{:x}.{:x}", metadata.dev(), metadata.ino()).into()
}

/// What a program locks that changes a mailbox.
fn locked(format: &str, mailbox: &Path) -> PathBuf {
    if format == "mbx" { lock_file(mailbox) } else { mailbox.join(".mixindex") }
}

/// Another program holds a lock (`flock(1)`), from when this returns on.
fn hold(path: &Path) -> Child {
    let mut command = Command::new("flock");
    command.arg("--exclusive").arg(path).args(["sh", "-c", &format!("echo; exec sleep {}", HELD.as_secs())]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut byte = [0];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut byte).unwrap();
    child
}

fn a_lock_is_waited_for(format: &str) {
    let Some(home) = Home::new() else { return };
    driver_of(format).create(&home.root(), &MailboxName::new("box").unwrap(), UidValidity::MIN).unwrap();
    let path = home.path().join("box");
    let mut ours = home.open(format, "box");
    let began = Instant::now();
    let mut other = hold(&locked(format, &path));
    let uid = append(&mut *ours, TEXT, Flags::NONE, &[]);
    assert!(began.elapsed() >= HELD, "it was written under another program's lock");
    assert!(other.wait().unwrap().success());
    let began = Instant::now();
    let mut other = hold(&locked(format, &path));
    ours.store(&[(uid, Flags::SEEN, Vec::new())]).unwrap();
    assert!(began.elapsed() >= HELD, "it was written under another program's lock");
    assert!(other.wait().unwrap().success());
    assert_eq!(without_recent(home.dump("box").shown()), shown(&mut *ours));
    if format == "mbx" {
        let _ = std::fs::remove_file(lock_file(&path));
    }
}

/// A session of c-client's is killed: nobody waits for its locks, and the space that it kept is given back.
fn a_dead_session_holds_nothing(format: &str) {
    let Some(home) = Home::new() else { return };
    driver_of(format).create(&home.root(), &MailboxName::new("box").unwrap(), UidValidity::MIN).unwrap();
    let mut ours = home.open(format, "box");
    let first = append(&mut *ours, TEXT, Flags::NONE, &[]);
    append(&mut *ours, TEXT, Flags::NONE, &[]);
    let theirs = home.session("box");
    ours.expunge(&only(first)).unwrap();
    theirs.kill();
    ours.refresh(Expunged::Leave).unwrap();
    append(&mut *ours, TEXT, Flags::NONE, &[]);
    let dump = home.dump("box");
    assert_eq!(without_recent(dump.shown()), shown(&mut *ours));
    assert_eq!(dump.messages.iter().map(|message| message.uid).collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn an_mbx_lock_is_waited_for() {
    a_lock_is_waited_for("mbx");
}

#[test]
fn a_mix_lock_is_waited_for() {
    a_lock_is_waited_for("mix");
}

#[test]
fn a_dead_mbx_session_holds_nothing() {
    a_dead_session_holds_nothing("mbx");
}

#[test]
fn a_dead_mix_session_holds_nothing() {
    a_dead_session_holds_nothing("mix");
}

/// The lock file of a program that is no more has no lock on it: it is taken as if it were new, by us and by c-client after us.
#[test]
fn a_stale_lock_file_is_taken() {
    let Some(home) = Home::new() else { return };
    driver_of("mbx").create(&home.root(), &MailboxName::new("box").unwrap(), UidValidity::MIN).unwrap();
    let stale = lock_file(&home.path().join("box"));
    // A number that no process has: the kernel gives out none so high.
    std::fs::write(&stale, "4194305").unwrap();
    std::fs::set_permissions(&stale, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let mut ours = home.open("mbx", "box");
    append(&mut *ours, TEXT, Flags::NONE, &[]);
    assert!(!stale.exists(), "whoever has had the lock removes its file");
    std::fs::write(&stale, "4194305").unwrap();
    std::fs::set_permissions(&stale, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let mut theirs = home.session("box");
    theirs.ask(&["flag", "1", "\\Seen"]);
    theirs.quit();
    ours.refresh(Expunged::Leave).unwrap();
    assert_eq!(without_recent(home.dump("box").shown()), shown(&mut *ours));
    let _ = std::fs::remove_file(&stale);
}

/// A link where the lock file would be is somebody's trap: nothing is written to what it names, nor to the mailbox.
#[test]
fn a_link_is_no_lock_file() {
    let Some(home) = Home::new() else { return };
    let (driver, name) = (driver_of("mbx"), MailboxName::new("box").unwrap());
    driver.create(&home.root(), &name, UidValidity::MIN).unwrap();
    let (path, victim) = (home.path().join("box"), home.path().join("victim"));
    std::fs::write(&victim, "as it was").unwrap();
    for make in [std::os::unix::fs::symlink, |from, to| std::fs::hard_link(from, to)] {
        let trap = lock_file(&path);
        make(victim.clone(), trap.clone()).unwrap();
        let before = std::fs::read(&path).unwrap();
        let refused = driver.open(&home.root(), &name, paquebot_formats::Access::Write).map(drop);
        assert!(matches!(refused, Err(FormatError::InUse { .. })), "{refused:?}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
        assert_eq!(std::fs::read(&victim).unwrap(), b"as it was");
        std::fs::remove_file(trap).unwrap();
    }
}
