//! Copying a store while it serves.

use std::collections::BTreeSet;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use paquebot_types::ShardId;

use crate::Store;
use crate::fs::{File, Fs};
use crate::index::{Index, IndexError, ReadTxn};
use crate::layout::Layout;
use crate::location::{PackId, Position};
use crate::offsite::{FarFile, ReadOnly};
use crate::pack::log::{self, LogError};
use crate::store::Inner;

/// Why a backup was not made. What it has written can be removed.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{path}: is not empty; a backup goes into a directory of its own", path = .path.display())]
    NotEmpty { path: PathBuf },
    #[error("{path}: {source}", path = .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error("shard {shard} is being taken in from another node, or dropped; back up once it is whole")]
    NotWhole { shard: ShardId },
    #[error(
        "pack {pack} is no longer on this machine, and where packs are sent is not known here: have the running server make the backup"
    )]
    Elsewhere { pack: PackId },
    #[error("pack {pack} came back from where it was sent with other bytes than were sent")]
    OtherBytes { pack: PackId },
    #[error("the log cannot be read")]
    Log(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What a backup holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backup {
    pub packs: u64,
    pub bytes: u64,
    /// Bodies that are not in the copy, since this machine was still to get them from another. [`crate::ReadTxn::wanted`] of the copy names them.
    pub wanted: u64,
}

impl Store {
    /// Copies the store as it is now into `target`, which is made if it is not there. What is acknowledged before the call is in the
    /// copy, which opens as a store. Bodies that are wanted from elsewhere are wanted in the copy too, and counted: who wants a copy that is
    /// whole by itself has them fetched before. `progress` hears of the bytes of packs that are copied, and of how many there are.
    pub fn backup(&self, target: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<Backup, BackupError> {
        let inner = self.inner();
        // While the snapshot lives no pack is removed that it names, and none from its mark on.
        let snapshot = self.read()?;
        if let Some(shard) = snapshot.importing()?.first() {
            return Err(BackupError::NotWhole { shard: *shard });
        }
        let end = inner.appender.mark();
        let (_, mark) = snapshot.meta()?;
        let log = log::read(&inner.layout, &inner.identity, mark, Some(end)).map_err(|error| match error {
            LogError::Read { pack, source } => BackupError::Io { path: pack.to_string().into(), source },
            error => BackupError::Log(Box::new(error)),
        })?;
        let mut packs = packs_to_copy(self, &snapshot, mark.position.pack, end.position.pack)?;
        // Named by groups that the copy will apply when it is opened.
        let singles = log.groups.iter().flat_map(|group| &group.bodies).map(|(_, location)| location.pack);
        packs.extend(singles.filter(|pack| pack.is_single()));

        let copy = Layout { fs: inner.layout.fs.clone(), root: target.to_owned() };
        make_dirs(&copy)?;
        let (mut files, mut total) = (Vec::new(), 0);
        for pack in packs {
            let file = match inner.layout.open_pack(pack) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && snapshot.sent(pack)?.is_some() => {
                    far(inner, &snapshot, pack)?
                }
                // Of a body that was removed again: the group that named it does not need it.
                Err(error) if error.kind() == io::ErrorKind::NotFound && pack.is_single() => continue,
                file => file.map_err(at(&inner.layout.packs()))?,
            };
            let len = pack_len(&file, pack, end.position).map_err(at(&inner.layout.packs()))?;
            total += len;
            files.push((pack, file, len));
        }
        let mut backup = Backup { packs: files.len() as u64, bytes: 0, wanted: snapshot.wanted_count()? };
        for (pack, file, len) in files {
            let dir = if pack.is_single() { copy.bodies() } else { copy.packs() };
            let path = dir.join(pack.to_string());
            let before = backup.bytes;
            let hash = copy_file(&*copy.fs, &file, &path, len, &mut |done| progress(before + done, total));
            let hash = hash.map_err(at(&path))?;
            // What was fetched is not believed; what is here is copied as it is, and `check` knows what is wrong with it.
            if snapshot.sent(pack)?.is_some_and(|sent| sent.hash != hash) && !inner.is_here(pack) {
                return Err(BackupError::OtherBytes { pack });
            }
            backup.bytes += len;
        }
        let index = copy.fs.create_new(&copy.index()).map_err(at(&copy.index()))?;
        Index::copy(&snapshot, index)?;
        for dir in [copy.packs(), copy.bodies(), copy.root.clone()] {
            copy.fs.sync_dir(&dir).map_err(at(&dir))?;
        }
        // Last, since with it the directory is a store.
        copy.write_identity(&inner.identity).map_err(at(&copy.identity()))?;
        Ok(backup)
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> BackupError + use<> {
    let path = path.to_owned();
    move |source| BackupError::Io { path, source }
}

/// A pack that is elsewhere only.
fn far(inner: &Inner, snapshot: &ReadTxn, pack: PackId) -> Result<Arc<dyn File>, BackupError> {
    match (snapshot.sent(pack)?, inner.offsite.get()) {
        (Some(sent), Some(offsite)) => Ok(Arc::new(ReadOnly(FarFile { offsite: offsite.clone(), pack, sent }))),
        _ => Err(BackupError::Elsewhere { pack }),
    }
}

/// Packs in which something lives, and all that belong to the log's tail.
fn packs_to_copy(
    store: &Store,
    snapshot: &ReadTxn,
    tail: PackId,
    end: PackId,
) -> Result<BTreeSet<PackId>, BackupError> {
    let layout = &store.inner().layout;
    let mut packs = snapshot.named_packs()?;
    for pack in layout.list(&layout.packs()).map_err(at(&layout.packs()))? {
        if (tail..=end).contains(&pack) {
            packs.insert(pack);
        }
    }
    Ok(packs)
}

/// Makes the directories of an empty store.
fn make_dirs(copy: &Layout) -> Result<(), BackupError> {
    let dirs = [copy.root.clone(), copy.packs(), copy.bodies(), copy.incoming()];
    for dir in &dirs {
        copy.fs.create_dir(dir).map_err(at(dir))?;
        let names = copy.fs.list(dir).map_err(at(dir))?;
        let ours = |name: &str| dirs.iter().any(|known| known.file_name().is_some_and(|known| known == name));
        if names.iter().any(|name| !ours(name)) {
            return Err(BackupError::NotEmpty { path: copy.root.clone() });
        }
    }
    Ok(())
}

/// How much of a pack is copied: the open one only up to the last group.
fn pack_len(file: &Arc<dyn File>, pack: PackId, end: Position) -> io::Result<u64> {
    let len = file.len()?;
    Ok(if pack == end.pack { len.min(end.offset) } else { len })
}

fn copy_file(
    fs: &dyn Fs,
    from: &Arc<dyn File>,
    path: &Path,
    len: u64,
    progress: &mut dyn FnMut(u64),
) -> io::Result<[u8; 32]> {
    let to = fs.create_new(path)?;
    let mut buf = vec![0; 1 << 20];
    let mut hasher = blake3::Hasher::new();
    let mut done = 0;
    while done < len {
        let size = usize::try_from(len - done).map_or(buf.len(), |left| left.min(buf.len()));
        from.read_exact_at(&mut buf[..size], done)?;
        to.write_all_at(&mut [IoSlice::new(&buf[..size])], done)?;
        hasher.update(&buf[..size]);
        done += size as u64;
        progress(done);
    }
    to.sync_all()?;
    Ok(*hasher.finalize().as_bytes())
}
