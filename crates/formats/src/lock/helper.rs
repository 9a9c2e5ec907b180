//! The process that holds a mailbox's session lock, and by whose signal another session asks for it.
//!
//! Other programs ask with SIGUSR2 to the process whose number stands in the lock file. A signal does not say which mailbox is meant, and can only be
//! sent to a process of the same user; so each lock that is held has a process of its own, which runs as the mailbox's owner. It says on its output what
//! happens, a line each, and holds the lock for as long as its input is open.

use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::io::{self, BufRead as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{Gid, Pid, Uid};

use super::file::{self, LockFile};
use super::{Flock, Kind};

/// Attempts, a second apart, after the holder was asked.
const ATTEMPTS: u32 = 15;
const PAUSE: Duration = Duration::from_secs(1);

/// What it says, and what follows on the line.
pub(super) const HELD: &str = "held";
pub(super) const REFUSED: &str = "refused";
pub(super) const ASKED: &str = "asked";

/// What a process is told that is to hold a lock: `DEVICE INODE USER GROUP MANNER PATH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// Another session is asked to give it up.
    Ask,
    /// It is had at once or not at all.
    AtOnce,
}

impl Manner {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::AtOnce => "at-once",
        }
    }
}

/// Holds a session lock until the standard input ends: all that the process is there for. `arguments` are those that the library has given it.
///
/// To be called before the process has other threads: it blocks signals and changes its user.
pub fn run_session_lock_helper(arguments: &[OsString]) -> io::Result<()> {
    let [device, inode, user, group, manner, path] = arguments else { return Err(misused()) };
    let signals = block_signals()?;
    become_owner(number(user)?, number(group)?)?;
    let lock_path = LockFile::path(number(device)?, number(inode)?);
    let attempts = if manner == Manner::Ask.name() { ATTEMPTS } else { 1 };
    let file = match take(&lock_path, attempts, Path::new(path))? {
        Ok(file) => file,
        Err(why) => return say(&format!("{REFUSED} {why}")),
    };
    if let Err(error) = rustix::fs::access(Path::new(path), rustix::fs::Access::WRITE_OK) {
        release(file, &lock_path);
        return say(&format!("{REFUSED} its owner may not write to it: {error}"));
    }
    let metadata = file.metadata()?;
    let said = say(&format!("{HELD} {} {}", metadata.dev(), metadata.ino()));
    let ended = said.and_then(|()| wait(&signals));
    release(file, &lock_path);
    ended
}

fn number<T: FromStr>(text: &OsString) -> io::Result<T> {
    text.to_str().and_then(|text| text.parse().ok()).ok_or_else(misused)
}

fn misused() -> io::Error {
    io::Error::other("this is started by the server only")
}

/// SIGUSR2 is read, and what ends other processes is not for this one: it ends with its input, when the server has written what there was to write.
fn block_signals() -> io::Result<SignalFd> {
    let mut all = SigSet::empty();
    for signal in [Signal::SIGUSR2, Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGPIPE] {
        all.add(signal);
    }
    all.thread_block()?;
    let mut asked = SigSet::empty();
    asked.add(Signal::SIGUSR2);
    Ok(SignalFd::with_flags(&asked, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?)
}

fn become_owner(user: u32, group: u32) -> io::Result<()> {
    let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
    if !nix::unistd::geteuid().is_root() || user.is_root() {
        return Ok(());
    }
    nix::unistd::setgroups(&[group])?;
    nix::unistd::setresgid(group, group, group)?;
    nix::unistd::setresuid(user, user, user)?;
    Ok(())
}

/// Takes the lock as c-client does, or gives why it cannot be had.
fn take(path: &Path, attempts: u32, mailbox: &Path) -> io::Result<Result<File, String>> {
    let mut asked = None;
    for attempt in 1..=attempts {
        let file = match file::open(path) {
            Ok(file) => file,
            Err(error) => return Ok(Err(format!("its lock file cannot be had: {error}"))),
        };
        if Flock::attempt(&file, Kind::Exclusive)? {
            if !file::is_current(&file, path)? {
                // The holder has just removed it; this attempt was none.
                continue;
            }
            let _ = file.set_permissions(Permissions::from_mode(0o666));
            let text = std::process::id().to_string();
            file.write_all_at(text.as_bytes(), 0)?;
            file.set_len(text.len() as u64)?;
            file.sync_all()?;
            return Ok(Ok(file));
        }
        let Some(holder) = holder(&file) else {
            return Ok(Err("another program is at work in it".into()));
        };
        if attempts == 1 {
            return Ok(Err(format!("process {holder} has it open")));
        }
        if asked != Some(holder) {
            if !may_ask(holder, &file, mailbox) || kill(holder, Signal::SIGUSR2).is_err() {
                return Ok(Err(format!("process {holder} has it open, and cannot be asked for it")));
            }
            asked = Some(holder);
        }
        if attempt < attempts {
            std::thread::sleep(PAUSE);
        }
    }
    let holder = asked.map_or_else(|| "another program".into(), |holder| format!("process {holder}"));
    Ok(Err(format!("{holder} has it open and does not give it up")))
}

/// Whose number stands in a lock file.
fn holder(file: &File) -> Option<Pid> {
    let mut octets = [0; 16];
    let count = file.read_at(&mut octets, 0).ok()?;
    let digits = octets[..count].iter().take_while(|octet| octet.is_ascii_digit()).count();
    let number: i32 = std::str::from_utf8(&octets[..digits]).ok()?.parse().ok()?;
    (number > 0 && number.unsigned_abs() != std::process::id()).then(|| Pid::from_raw(number))
}

/// Anybody can write any number into a lock file. Who may signal everybody signals only processes of those whose file it is.
fn may_ask(holder: Pid, file: &File, mailbox: &Path) -> bool {
    if !nix::unistd::geteuid().is_root() {
        return true;
    }
    let Ok(process) = std::fs::metadata(format!("/proc/{holder}")) else { return false };
    let owners = [file.metadata(), std::fs::metadata(mailbox)];
    owners.into_iter().flatten().any(|found| found.uid() == process.uid())
}

/// Until the input ends.
fn wait(signals: &SignalFd) -> io::Result<()> {
    let input = io::stdin();
    loop {
        let mut waiting = [watch(input.as_fd()), watch(signals.as_fd())];
        match poll(&mut waiting, PollTimeout::NONE) {
            Err(nix::errno::Errno::EINTR) => continue,
            polled => polled?,
        };
        while signals.read_signal()?.is_some() {
            say(ASKED)?;
        }
        if waiting[0].any().unwrap_or(true) {
            let mut input = input.lock();
            let count = input.fill_buf()?.len();
            if count == 0 {
                return Ok(());
            }
            input.consume(count);
        }
    }
}

fn watch(of: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::new(of, PollFlags::POLLIN)
}

/// In c-client's order: who finds the file gone makes another, and who finds it there can lock it.
fn release(file: File, path: &Path) {
    let ours = matches!(file::is_current(&file, path), Ok(true));
    let _ = Flock::leave(&file);
    drop(file);
    if ours {
        let _ = std::fs::remove_file(path);
    }
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
