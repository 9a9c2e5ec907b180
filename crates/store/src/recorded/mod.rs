//! For tests: a file system in memory that records every operation, fails on demand, and shows every state that a crash may leave.
//!
//! It promises no more than POSIX does. What was written is on disk once the file was synced, a name once its directory was; before
//! that each write is there, not there, or there in some of its sectors, in any order. After a sync that failed the writes before it
//! may be lost, and a later sync says nothing about them.

mod crash;
mod disk;
mod space;

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

pub use crash::{CrashState, Limits};
pub use disk::Disk;
use disk::{Inode, Op};
use space::Space;

use crate::fs::{File, FileSize, Fs, FsKind, FsLock, LockError};

/// The recording file system. A clone is the same one.
#[derive(Debug, Clone)]
pub struct RecordedFs {
    state: Arc<Mutex<State>>,
}

/// What an operation does instead of working.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It fails with EIO and has no effect.
    Io,
    /// It fails with ENOSPC and has no effect. Syncs, reads and removals are not met by it.
    Full,
    /// A write writes half and the next write fails with EIO; any other operation fails with EIO.
    Short,
}

/// Which operations a fault meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The one of this number.
    At(usize),
    /// That one and all later ones.
    From(usize),
}

#[derive(Debug)]
struct State {
    start: Disk,
    disk: Disk,
    ops: Vec<Op>,
    /// Operations that could fail so far.
    count: usize,
    fault: Option<(When, Fault)>,
    broken: bool,
    space: Space,
    locked: bool,
    kind: FsKind,
}

impl RecordedFs {
    /// An empty disk.
    pub fn new() -> Self {
        Self::from_disk(Disk::default())
    }

    /// Goes on with what a crash has left.
    pub fn from_disk(disk: Disk) -> Self {
        let state = State {
            start: disk.clone(),
            space: Space::default(),
            disk,
            ops: Vec::new(),
            count: 0,
            fault: None,
            broken: false,
            locked: false,
            kind: FsKind::EXT4,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Operations that a fault could have met so far: all but reads.
    pub fn count(&self) -> usize {
        self.state.lock().count
    }

    /// Operations recorded so far. An acknowledgement seen now holds for every crash after this many.
    pub fn recorded(&self) -> usize {
        self.state.lock().ops.len()
    }

    /// Lets operations fail, numbered as [`RecordedFs::count`] counts; `None` heals the disk.
    pub fn set_fault(&self, fault: Option<(When, Fault)>) {
        let mut state = self.state.lock();
        state.fault = fault;
        state.broken = false;
    }

    /// Limits the disk to so many bytes in all, in blocks of 4 KB; `None` for no limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state.lock().space.set_capacity(bytes);
    }

    /// Bytes in use, in blocks of 4 KB.
    pub fn used_bytes(&self) -> u64 {
        self.state.lock().space.used_bytes()
    }

    /// What the file system says it is.
    pub fn set_kind(&self, kind: FsKind) {
        self.state.lock().kind = kind;
    }

    /// What is on the disk if nothing is lost.
    pub fn disk(&self) -> Disk {
        self.state.lock().disk.clone()
    }

    /// Shows the states that a crash may leave after each number of operations in `after`. See [`Limits`] for how many.
    pub fn crash_states(&self, after: std::ops::Range<usize>, limits: &Limits, see: &mut dyn FnMut(CrashState)) {
        let (start, ops) = {
            let state = self.state.lock();
            (state.start.clone(), state.ops.clone())
        };
        crash::states(start, &ops, after, limits, see);
    }
}

impl Default for RecordedFs {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    /// Counts an operation; gives the fault that meets it.
    fn fault(&mut self) -> Option<Fault> {
        let number = self.count;
        self.count += 1;
        let (when, fault) = self.fault?;
        let meets = match when {
            When::At(at) => number == at,
            When::From(from) => number >= from,
        };
        meets.then_some(fault)
    }

    /// Counts an operation that needs space or changes names.
    fn changing(&mut self) -> io::Result<()> {
        match self.fault() {
            Some(Fault::Io | Fault::Short) => Err(eio()),
            Some(Fault::Full) => Err(full()),
            None => Ok(()),
        }
    }

    /// Counts an operation that needs no space.
    fn freeing(&mut self) -> io::Result<()> {
        match self.fault() {
            Some(Fault::Io | Fault::Short) => Err(eio()),
            Some(Fault::Full) | None => Ok(()),
        }
    }

    /// Does an operation and records it.
    fn run(&mut self, op: Op) {
        self.disk.apply(&op);
        self.ops.push(op);
    }

    fn inode(&self, path: &Path) -> io::Result<Inode> {
        self.disk.inode(path).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Fs for RecordedFs {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.disk.is_dir(path) {
            return Ok(());
        }
        state.changing()?;
        state.run(Op::CreateDir { path: path.to_owned() });
        Ok(())
    }

    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut state = self.state.lock();
        if state.disk.inode(path).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if path.parent().is_none_or(|parent| !state.disk.is_dir(parent)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.changing()?;
        let inode = state.disk.next_inode();
        state.run(Op::Create { path: path.to_owned(), inode });
        Ok(Arc::new(RecordedFile { state: self.state.clone(), inode }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let inode = self.state.lock().inode(path)?;
        Ok(Arc::new(RecordedFile { state: self.state.clone(), inode }))
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        let inode = state.inode(from)?;
        state.changing()?;
        if let Some(replaced) = state.disk.inode(to) {
            state.space.cut(replaced, 0);
        }
        state.run(Op::Rename { from: from.to_owned(), to: to.to_owned(), inode });
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        let inode = state.inode(path)?;
        state.freeing()?;
        state.space.cut(inode, 0);
        state.run(Op::Remove { path: path.to_owned(), inode });
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let state = self.state.lock();
        if state.disk.is_dir(path) { Ok(state.disk.list(path)) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.freeing()?;
        state.run(Op::SyncDir { path: path.to_owned() });
        Ok(())
    }

    fn kind(&self, _path: &Path) -> io::Result<FsKind> {
        Ok(self.state.lock().kind)
    }

    fn lock(&self, _path: &Path) -> Result<Box<dyn FsLock>, LockError> {
        let mut state = self.state.lock();
        if std::mem::replace(&mut state.locked, true) {
            return Err(LockError::Held { pid: Some(std::process::id()) });
        }
        Ok(Box::new(RecordedLock(self.state.clone())))
    }
}

#[derive(Debug)]
struct RecordedLock(Arc<Mutex<State>>);

impl FsLock for RecordedLock {}

impl Drop for RecordedLock {
    fn drop(&mut self) {
        self.0.lock().locked = false;
    }
}

/// An open file.
#[derive(Debug)]
struct RecordedFile {
    state: Arc<Mutex<State>>,
    inode: Inode,
}

impl RecordedFile {
    fn sync(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        match state.freeing() {
            Ok(()) => {
                state.run(Op::Sync { inode: self.inode });
                Ok(())
            }
            Err(error) => {
                state.run(Op::FailedSync { inode: self.inode });
                Err(error)
            }
        }
    }
}

impl File for RecordedFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().disk.content(self.inode).len() as u64)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.state.lock();
        if matches!(state.fault, Some((When::From(from), Fault::Io)) if state.count > from) {
            return Err(eio());
        }
        let content = state.disk.content(self.inode);
        let from = usize::try_from(offset).map_or(content.len(), |offset| offset.min(content.len()));
        let len = buf.len().min(content.len() - from);
        buf[..len].copy_from_slice(&content[from..from + len]);
        Ok(len)
    }

    fn write_at(&self, slices: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        let mut data = Vec::new();
        slices.iter().for_each(|slice| data.extend_from_slice(slice));
        let mut state = self.state.lock();
        if std::mem::take(&mut state.broken) {
            return Err(eio());
        }
        match state.fault() {
            Some(Fault::Io) => return Err(eio()),
            Some(Fault::Full) => return Err(full()),
            Some(Fault::Short) if data.len() > 1 => {
                state.broken = true;
                data.truncate(data.len() / 2);
            }
            Some(Fault::Short) => return Err(eio()),
            None => {}
        }
        let room = state.space.take(self.inode, offset, data.len() as u64);
        if room == 0 && !data.is_empty() {
            return Err(full());
        }
        data.truncate(usize::try_from(room).unwrap_or(usize::MAX));
        let written = data.len();
        state.run(Op::Write { inode: self.inode, offset, data: data.into() });
        Ok(written)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        let shrinks = len < state.disk.content(self.inode).len() as u64;
        if shrinks {
            state.freeing()?
        } else {
            state.changing()?
        }
        state.space.cut(self.inode, len);
        state.run(Op::SetLen { inode: self.inode, len });
        Ok(())
    }

    fn allocate(&self, offset: u64, len: u64, size: FileSize) -> io::Result<()> {
        let mut state = self.state.lock();
        state.changing()?;
        if !state.space.take_all(self.inode, offset, len) {
            return Err(full());
        }
        let end = offset + len;
        if size == FileSize::Extend && end > state.disk.content(self.inode).len() as u64 {
            state.run(Op::SetLen { inode: self.inode, len: end });
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync()
    }
}

/// The directory that tests put a store in.
pub fn data_dir() -> PathBuf {
    PathBuf::from("/data")
}

fn eio() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error())
}

fn full() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error())
}
