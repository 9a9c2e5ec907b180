//! The one session that may change a mailbox of one file: among ours, and beside other programs.
//!
//! Beside others it is the lock file in `/tmp` that counts, held by a process of its own ([`super::helper`]). Among ours that process stays as it is when a
//! newer session takes the mailbox: the older one loses it in memory.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{self, BufRead as _, BufReader};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use super::file::LockFile;
use super::guard::identity;
use super::helper::{ASKED, HELD, Manner, REFUSED};
use crate::driver::Owner;
use crate::error::FormatError;

/// A process that was told to end is waited for this long.
const ENDING: Duration = Duration::from_secs(5);
/// The helper process makes 15 attempts, a second apart.
const TAKING: Duration = Duration::from_secs(30);

/// How the process is started that holds a session lock: a program that calls [`super::run_session_lock_helper`] with what follows these arguments.
#[derive(Debug, Clone)]
pub struct SessionLockHelper {
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
}

/// The first argument of a program that is started as its own helper process.
pub const SESSION_LOCK_ARGUMENT: &str = "hold-session-lock";

static HELPER: RwLock<Option<SessionLockHelper>> = RwLock::new(None);

/// Says how helper processes are started; until then it is this program with the one argument [`SESSION_LOCK_ARGUMENT`].
pub fn use_session_lock_helper(helper: SessionLockHelper) {
    *HELPER.write().unwrap_or_else(PoisonError::into_inner) = Some(helper);
}

fn command() -> io::Result<Command> {
    let configured = HELPER.read().unwrap_or_else(PoisonError::into_inner).clone();
    let helper = match configured {
        Some(helper) => helper,
        None => {
            let arguments = vec![SESSION_LOCK_ARGUMENT.into()];
            SessionLockHelper { program: std::env::current_exe()?, arguments }
        }
    };
    let mut command = Command::new(helper.program);
    command.args(helper.arguments);
    Ok(command)
}

type Key = (u64, u64);
/// One mailbox's lock, and who of us has it. Locked while it is being taken.
type Slot = Arc<Mutex<Option<Held>>>;

fn slots() -> &'static Mutex<HashMap<Key, Slot>> {
    static SLOTS: OnceLock<Mutex<HashMap<Key, Slot>>> = OnceLock::new();
    SLOTS.get_or_init(Mutex::default)
}

struct Held {
    helper: Helper,
    claim: Arc<Claim>,
}

/// What one session knows of its right.
struct Claim {
    /// Why it is lost.
    lost: Mutex<Option<&'static str>>,
    asked: AtomicBool,
    /// Readable once there is something to know.
    signal: OwnedFd,
}

impl Claim {
    fn new() -> io::Result<Self> {
        let signal = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC)?;
        Ok(Self { lost: Mutex::new(None), asked: AtomicBool::new(false), signal })
    }

    fn lose(&self, why: &'static str) {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
        self.wake();
    }

    fn ask(&self) {
        self.asked.store(true, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        // A counter that is full is readable too.
        let _ = rustix::io::write(&self.signal, &1_u64.to_ne_bytes());
    }
}

/// The right to change a mailbox. Dropped, it is given back.
pub struct Session {
    slot: Slot,
    key: Key,
    claim: Arc<Claim>,
    lock_file: (PathBuf, Key),
}

impl Session {
    /// Takes the right to change the mailbox with this device and inode, from whoever has it. `Ok(Err(_))` says why it cannot be had.
    pub fn take(mailbox: &Path, key: Key, owner: Owner) -> Result<Result<Self, String>, FormatError> {
        Self::begin(mailbox, key, owner, Manner::Ask)
    }

    /// The same if nobody has it.
    pub fn take_at_once(mailbox: &Path, key: Key, owner: Owner) -> Result<Result<Self, String>, FormatError> {
        Self::begin(mailbox, key, owner, Manner::AtOnce)
    }

    fn begin(mailbox: &Path, key: Key, owner: Owner, manner: Manner) -> Result<Result<Self, String>, FormatError> {
        let failed = |source| FormatError::Io { doing: "take the session lock of", path: mailbox.into(), source };
        let slot = Arc::clone(slots().lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default());
        let session = Self::take_slot(&slot, mailbox, key, owner, manner).map_err(failed);
        forget(&slot, key);
        session
    }

    fn take_slot(
        slot: &Slot,
        mailbox: &Path,
        key: Key,
        owner: Owner,
        manner: Manner,
    ) -> io::Result<Result<Self, String>> {
        let mut within = slot.lock().unwrap_or_else(PoisonError::into_inner);
        let claim = Arc::new(Claim::new()?);
        if let Some(held) = within.as_mut().filter(|held| held.helper.holds()) {
            if manner == Manner::AtOnce {
                return Ok(Err("a session has it open".into()));
            }
            std::mem::replace(&mut held.claim, Arc::clone(&claim)).lose("another session took this mailbox");
            held.helper.tell(&claim);
        } else {
            if let Some(gone) = within.take() {
                gone.claim.lose(LOST);
            }
            match Helper::start(mailbox, key, owner, manner, &claim)? {
                Ok(helper) => *within = Some(Held { helper, claim: Arc::clone(&claim) }),
                Err(why) => return Ok(Err(why)),
            }
        }
        let Some(held) = within.as_ref() else { return Ok(Err(LOST.into())) };
        let lock_file = (LockFile::path(key.0, key.1), held.helper.lock_file);
        Ok(Ok(Self { slot: Arc::clone(slot), key, claim, lock_file }))
    }

    /// Why the right is lost; `None` while it is there. To be asked before each change, and under the file's locks.
    pub fn lost(&self) -> Option<&'static str> {
        if let Some(why) = *self.claim.lost.lock().unwrap_or_else(PoisonError::into_inner) {
            return Some(why);
        }
        // Who cleans up /tmp may have removed the file, and then another program has made its own.
        let held = std::fs::symlink_metadata(&self.lock_file.0).is_ok_and(|found| identity(&found) == self.lock_file.1);
        (!held).then_some("its lock file in /tmp was removed")
    }

    /// Whether another program has asked for the mailbox.
    pub fn is_asked(&self) -> bool {
        self.claim.asked.load(Ordering::Acquire)
    }

    /// Readable when it is asked for, or lost.
    pub fn signal(&self) -> BorrowedFd<'_> {
        self.claim.signal.as_fd()
    }
}

const LOST: &str = "the process that held its lock has ended";

impl Drop for Session {
    fn drop(&mut self) {
        let mut within = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        if within.as_ref().is_some_and(|held| Arc::ptr_eq(&held.claim, &self.claim)) {
            // The helper process is told to release it, and has done so after this.
            drop(within.take());
        }
        drop(within);
        forget(&self.slot, self.key);
    }
}

/// Drops the entry of a mailbox that none of us has.
fn forget(slot: &Slot, key: Key) {
    let mut slots = slots().lock().unwrap_or_else(PoisonError::into_inner);
    let is_empty = slot.try_lock().is_ok_and(|within| within.is_none());
    // One is the table's, one the caller's: nobody else is about to take it.
    if is_empty && Arc::strong_count(slot) <= 2 && slots.get(&key).is_some_and(|found| Arc::ptr_eq(found, slot)) {
        slots.remove(&key);
    }
}

/// The process that holds the lock file.
struct Helper {
    input: Option<ChildStdin>,
    /// Disconnected once it has ended.
    ended: Receiver<()>,
    /// Whom it tells.
    claim: Arc<Mutex<Arc<Claim>>>,
    lock_file: Key,
}

impl Helper {
    fn start(
        mailbox: &Path,
        key: Key,
        owner: Owner,
        manner: Manner,
        claim: &Arc<Claim>,
    ) -> io::Result<Result<Self, String>> {
        let numbers = [key.0.to_string(), key.1.to_string(), owner.user.to_string(), owner.group.to_string()];
        let mut command = command()?;
        command.args(numbers).arg(manner.name()).arg(mailbox);
        let mut child = command.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take();
        let output = child.stdout.take().ok_or_else(|| io::Error::other("no pipe"))?;
        let claim = Arc::new(Mutex::new(Arc::clone(claim)));
        let (said, hears) = mpsc::channel();
        let (ending, ended) = mpsc::channel();
        let watched = Arc::clone(&claim);
        std::thread::Builder::new().name("session-lock".into()).spawn(move || {
            watch(child, output, &said, &watched);
            drop(ending);
        })?;
        let mut helper = Self { input, ended, claim, lock_file: (0, 0) };
        let line =
            hears.recv_timeout(TAKING).unwrap_or_else(|_| format!("{REFUSED} the process for its lock does not start"));
        if let Some(numbers) = line.strip_prefix(HELD) {
            let mut numbers = numbers.split_whitespace().map_while(|number| number.parse().ok());
            helper.lock_file = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
            return Ok(Ok(helper));
        }
        Ok(Err(line.strip_prefix(REFUSED).unwrap_or(&line).trim().to_owned()))
    }

    fn holds(&self) -> bool {
        !matches!(self.ended.try_recv(), Err(mpsc::TryRecvError::Disconnected))
    }

    fn tell(&self, claim: &Arc<Claim>) {
        *self.claim.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(claim);
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        drop(self.input.take());
        if self.ended.recv_timeout(ENDING) == Err(RecvTimeoutError::Timeout) {
            tracing::error!("the process that holds a session lock does not end");
        }
    }
}

/// Passes on what the process says, until it ends.
fn watch(mut child: Child, output: ChildStdout, said: &mpsc::Sender<String>, claim: &Mutex<Arc<Claim>>) {
    let current = || Arc::clone(&claim.lock().unwrap_or_else(PoisonError::into_inner));
    for line in BufReader::new(output).lines() {
        match line {
            Ok(line) if line == ASKED => current().ask(),
            // Nobody hears it any more once the lock is had.
            Ok(line) => drop(said.send(line)),
            Err(_) => break,
        }
    }
    let _ = child.wait();
    current().lose(LOST);
}
