//! What lies on the recorded disk, and the operations that change it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file, whatever its name.
pub(super) type Inode = u64;

/// Files and directories. A clone shares what does not change.
#[derive(Debug, Clone)]
pub struct Disk {
    files: BTreeMap<Inode, Arc<Vec<u8>>>,
    names: BTreeMap<PathBuf, Inode>,
    dirs: BTreeSet<PathBuf>,
    next: Inode,
}

/// What was done. Failed operations are recorded by what they did nevertheless.
#[derive(Debug, Clone)]
pub(super) enum Op {
    CreateDir { path: PathBuf },
    Create { path: PathBuf, inode: Inode },
    Rename { from: PathBuf, to: PathBuf, inode: Inode },
    Remove { path: PathBuf, inode: Inode },
    SyncDir { path: PathBuf },
    Write { inode: Inode, offset: u64, data: Arc<[u8]> },
    SetLen { inode: Inode, len: u64 },
    Sync { inode: Inode },
    FailedSync { inode: Inode },
}

impl Default for Disk {
    fn default() -> Self {
        let dirs = BTreeSet::from([PathBuf::from("/")]);
        Self { files: BTreeMap::new(), names: BTreeMap::new(), dirs, next: 1 }
    }
}

impl Disk {
    /// The names of all files.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.names.keys().map(PathBuf::as_path)
    }

    /// A file's bytes.
    pub fn read(&self, path: &Path) -> Option<&[u8]> {
        Some(self.content(self.inode(path)?))
    }

    /// Changes a file's bytes behind the store's back.
    pub fn edit(&mut self, path: &Path, edit: impl FnOnce(&mut Vec<u8>)) {
        let inode = self.inode(path).expect("the file is there");
        edit(Arc::make_mut(self.files.get_mut(&inode).expect("a name has a file")));
    }

    /// Removes a file behind the store's back.
    pub fn remove(&mut self, path: &Path) {
        self.names.remove(path);
    }

    pub(super) fn inode(&self, path: &Path) -> Option<Inode> {
        self.names.get(path).copied()
    }

    pub(super) fn next_inode(&self) -> Inode {
        self.next
    }

    pub(super) fn is_dir(&self, path: &Path) -> bool {
        self.dirs.contains(path)
    }

    pub(super) fn list(&self, dir: &Path) -> Vec<String> {
        let here = self.names.keys().filter(|path| path.parent() == Some(dir));
        here.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect()
    }

    pub(super) fn content(&self, inode: Inode) -> &[u8] {
        self.files.get(&inode).map_or(&[], |content| content.as_slice())
    }

    /// Does one operation. Each is also meaningful when some before it was lost.
    pub(super) fn apply(&mut self, op: &Op) {
        match op {
            Op::CreateDir { path } => {
                self.dirs.insert(path.clone());
            }
            Op::Create { path, inode } => {
                self.names.insert(path.clone(), *inode);
                self.files.entry(*inode).or_default();
                self.next = self.next.max(inode + 1);
            }
            Op::Rename { from, to, inode } => {
                if self.names.get(from) == Some(inode) {
                    self.names.remove(from);
                }
                self.names.insert(to.clone(), *inode);
            }
            Op::Remove { path, inode } => {
                if self.names.get(path) == Some(inode) {
                    self.names.remove(path);
                }
            }
            Op::Write { inode, offset, data } => self.write(*inode, *offset, data),
            Op::SetLen { inode, len } => {
                let len = usize::try_from(*len).expect("tests use small files");
                Arc::make_mut(self.files.entry(*inode).or_default()).resize(len, 0);
            }
            Op::SyncDir { .. } | Op::Sync { .. } | Op::FailedSync { .. } => {}
        }
    }

    /// Writes bytes, as a part of a write may.
    pub(super) fn write(&mut self, inode: Inode, offset: u64, data: &[u8]) {
        let content = Arc::make_mut(self.files.entry(inode).or_default());
        let offset = usize::try_from(offset).expect("tests use small files");
        if content.len() < offset + data.len() {
            content.resize(offset + data.len(), 0);
        }
        content[offset..offset + data.len()].copy_from_slice(data);
    }

    /// Drops what no directory leads to, as after a crash.
    pub(super) fn prune(&mut self) {
        let dirs = std::mem::take(&mut self.dirs);
        let is_whole = |path: &Path| path.ancestors().skip(1).all(|dir| dirs.contains(dir));
        self.names.retain(|path, _| is_whole(path));
        self.dirs = dirs.iter().filter(|dir| is_whole(dir)).cloned().collect();
        let named: BTreeSet<Inode> = self.names.values().copied().collect();
        self.files.retain(|inode, _| named.contains(inode));
    }
}

impl Op {
    /// The file whose bytes or length change.
    pub(super) fn file(&self) -> Option<Inode> {
        match self {
            Self::Write { inode, .. } | Self::SetLen { inode, .. } => Some(*inode),
            _ => None,
        }
    }

    /// Whether syncing the directory makes this change of a name durable.
    pub(super) fn is_name_in(&self, dir: &Path) -> bool {
        let within = |path: &Path| path.parent() == Some(dir);
        match self {
            Self::CreateDir { path } | Self::Create { path, .. } | Self::Remove { path, .. } => within(path),
            Self::Rename { from, to, .. } => within(from) || within(to),
            _ => false,
        }
    }
}
