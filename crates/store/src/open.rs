//! Opening a store, and making one.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::fs::{Fs, FsLock, LockError};
use crate::index::{Index, IndexError, Mark, Meta};
use crate::layout::{Identity, IdentityError, Layout};
use crate::location::{PackId, Position};
use crate::options::Options;
use crate::pack::log::{self, Log, LogError};
use crate::pack::{Appender, GroupRead, PACK_HEADER, Pin, Singles, Sizes, Unapplied, create_pack};
use crate::tail::{Tail, TailGroup, TailRecord};

/// Why a store was not opened. Nothing in it was changed by the attempt.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{dir}: another process has the store open ({holder}); only one may", dir = .dir.display(), holder = holder(*.pid))]
    Locked { dir: PathBuf, pid: Option<u32> },
    #[error(
        "{dir}: lies on a shared file system ({kind}), where locks and renames are not atomic between machines and a sync may not \
         reach a disk; put the data directory on a local disk, and share mail by adding a node",
        dir = .dir.display()
    )]
    Shared { dir: PathBuf, kind: &'static str },
    #[error("{dir}: has packs or an index, but no file `store` that says whose they are; restore it from a backup", dir = .dir.display())]
    NoIdentity { dir: PathBuf },
    #[error("{path}: is damaged; restore it from a backup", path = .path.display())]
    Damaged { path: PathBuf },
    #[error("{path}: was written by a newer version (format {version})", path = .path.display())]
    Newer { path: PathBuf, version: u32 },
    #[error("{path}: belongs to another store", path = .path.display())]
    Foreign { path: PathBuf },
    #[error("pack {pack} is missing, which the log needs; restore it from a backup")]
    Missing { pack: PackId },
    #[error("pack {pack}: damaged at byte {offset}, with acknowledged changes after it; restore it from a backup")]
    Corrupt { pack: PackId, offset: u64 },
    #[error("{path}: {source}", path = .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Index(#[from] IndexError),
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "its number is not known".to_owned(), |pid| format!("process {pid}"))
}

/// What an opened store is made of.
pub(crate) struct Opened {
    pub lock: Box<dyn FsLock>,
    pub layout: Layout,
    pub identity: Identity,
    pub index: Index,
    pub appender: Appender,
    pub unapplied: Unapplied,
    /// Where the last checkpoint lets the log begin.
    pub mark: Mark,
    pub singles: Arc<Singles>,
    pub tail: Tail,
}

/// Opens the store in `dir`, which is made if it is not there.
pub(crate) fn open(fs: Arc<dyn Fs>, dir: &Path, options: &Options) -> Result<Opened, OpenError> {
    let layout = Layout { fs, root: dir.to_owned() };
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Io { path, source }
    };
    layout.fs.create_dir(dir).map_err(at(dir))?;
    if let Some(kind) = layout.fs.kind(dir).map_err(at(dir))?.shared() {
        return Err(OpenError::Shared { dir: dir.to_owned(), kind });
    }
    let lock = layout.fs.lock(&layout.lock()).map_err(|error| match error {
        LockError::Held { pid } => OpenError::Locked { dir: dir.to_owned(), pid },
        LockError::Io(source) => OpenError::Io { path: layout.lock(), source },
    })?;
    let identity = match layout.read_identity().map_err(at(&layout.identity()))? {
        Some(Ok(identity)) => identity,
        Some(Err(IdentityError::Damaged)) => return Err(OpenError::Damaged { path: layout.identity() }),
        Some(Err(IdentityError::Version(version))) => {
            return Err(OpenError::Newer { path: layout.identity(), version });
        }
        None => make(&layout)?,
    };
    sync_names(&layout).map_err(at(dir))?;
    let (index, meta, mark) = open_index(&layout, &identity, options)?;
    let log = log::read(&layout, &identity, mark, None)?;
    settle_log(&layout, &log).map_err(at(&layout.packs()))?;
    let mut unapplied = Unapplied::new(mark, Arc::default());
    let tail = tail(&index, &log, &mut unapplied)?;
    let singles = Singles::new(layout.clone(), identity, meta.next_single);
    settle_incoming(&layout, &index, &log.groups, &singles)?;
    let end = log.end.position.pack;
    let file = layout.fs.open(&layout.packs().join(end.to_string())).map_err(at(&layout.packs()))?;
    let sizes = Sizes { pack: options.pack_bytes, step: options.reserve_step_bytes };
    let appender = Appender::new(layout.clone(), identity, sizes, file, log.end);
    Ok(Opened { lock, layout, identity, index, appender, unapplied, mark, singles, tail })
}

/// Opens the index as the last checkpoint left it.
pub(crate) fn open_index(
    layout: &Layout,
    identity: &Identity,
    options: &Options,
) -> Result<(Index, Meta, Mark), OpenError> {
    let path = layout.index();
    let file = layout.fs.open(&path).map_err(|source| OpenError::Io { path: path.clone(), source })?;
    let (index, meta, mark) = Index::open(file, options.cache_bytes, options.verify_index)?;
    if meta.uuid != identity.uuid {
        return Err(OpenError::Foreign { path });
    }
    Ok((index, meta, mark))
}

/// The groups' records that the index has not applied yet. `unapplied` learns of them too.
pub(crate) fn tail(index: &Index, log: &Log, unapplied: &mut Unapplied) -> Result<Tail, IndexError> {
    let snapshot = index.read(Arc::default())?;
    // Whatever comes to be in these does not come from here.
    let importing = snapshot.importing()?;
    let mut tail = Tail { groups: Vec::with_capacity(log.groups.len()), torn: log.torn };
    for group in &log.groups {
        let mut records = Vec::with_capacity(group.records.len());
        for (shard, sequence, bytes) in &group.records {
            if *sequence > snapshot.applied(*shard)?.sequence && !importing.contains(shard) {
                records.push(TailRecord { shard: *shard, sequence: *sequence, bytes: bytes.clone() });
            }
        }
        let waiting: Vec<_> = records.iter().map(|record| (record.shard, record.sequence)).collect();
        unapplied.appended(group.start, group.end, &waiting);
        let pin = if group.bodies.is_empty() { Pin::default() } else { unapplied.pin(group.start) };
        tail.groups.push(TailGroup { records, bodies: group.bodies.clone(), pin });
    }
    Ok(tail)
}

/// Makes an empty store. The file `store` comes last, so an interrupted attempt is simply made again.
fn make(layout: &Layout) -> Result<Identity, OpenError> {
    let at = |path: PathBuf| move |source| OpenError::Io { path, source };
    for dir in [layout.packs(), layout.bodies(), layout.incoming()] {
        layout.fs.create_dir(&dir).map_err(at(dir.clone()))?;
    }
    let first = PackId::FIRST.to_string();
    let packs = layout.list(&layout.packs()).map_err(at(layout.packs()))?;
    let bodies = layout.list(&layout.bodies()).map_err(at(layout.bodies()))?;
    if packs.iter().any(|pack| *pack != PackId::FIRST) || !bodies.is_empty() {
        return Err(OpenError::NoIdentity { dir: layout.root.clone() });
    }
    // Left by an interrupted attempt, if they hold nothing: a pack that is longer has groups in it.
    for path in [layout.packs().join(&first), layout.index()] {
        let len = match layout.fs.open_read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            file => file.and_then(|file| file.len()).map_err(at(path.clone()))?,
        };
        if path != layout.index() && len > PACK_HEADER {
            return Err(OpenError::NoIdentity { dir: layout.root.clone() });
        }
        layout.fs.remove(&path).map_err(at(path.clone()))?;
    }
    let identity = Identity::random().map_err(at(layout.identity()))?;
    create_pack(layout, &identity, PackId::FIRST, 1).map_err(at(layout.packs()))?;
    let file = layout.fs.create_new(&layout.index()).map_err(at(layout.index()))?;
    let mark = Mark { position: Position { pack: PackId::FIRST, offset: PACK_HEADER }, group: 1 };
    Index::create(file, &Meta { uuid: identity.uuid, written: 0, next_single: 1 }, &mark)?;
    layout.fs.sync_dir(&layout.root).map_err(at(layout.root.clone()))?;
    layout.write_identity(&identity).map_err(at(layout.identity()))?;
    Ok(identity)
}

/// Makes the names durable on which everything rests. The process that made them may have been killed before it could.
fn sync_names(layout: &Layout) -> io::Result<()> {
    layout.fs.sync_dir(&layout.packs())?;
    layout.fs.sync_dir(&layout.root)?;
    match layout.root.parent() {
        Some(parent) if parent.as_os_str().is_empty() => layout.fs.sync_dir(Path::new(".")),
        Some(parent) => layout.fs.sync_dir(parent),
        None => Ok(()),
    }
}

/// Makes the log's end sound: cuts off a torn write, and sees to it that the last group is on disk.
fn settle_log(layout: &Layout, log: &Log) -> io::Result<()> {
    if let Some(path) = &log.unmade {
        layout.remove_if_there(path)?;
        layout.fs.sync_dir(&layout.packs())?;
    }
    let Mark { position: end, .. } = log.end;
    let file = layout.fs.open(&layout.packs().join(end.pack.to_string()))?;
    if let Some(torn) = log.torn {
        tracing::warn!(pack = %torn.pack, offset = torn.offset, bytes = torn.bytes, "cutting off a write that was interrupted");
        file.set_len(end.offset)?;
        file.sync_all()?;
    }
    // The process before may have died, or have had an error, between a write and its sync. The kernel may show bytes that are not on
    // the disk and that no sync will write any more; so what was written last is written again.
    file.write_all_at(&mut [io::IoSlice::new(&log.header.to_bytes())], 0)?;
    if let Some(last) = log.groups.last()
        && last.start.position.pack == end.pack
    {
        file.write_all_at(&mut [io::IoSlice::new(&log.last)], last.start.position.offset)?;
    }
    file.sync_all()
}

/// Keeps those packs of single bodies that the index or the log's tail names, and removes the others: nobody was told of them.
fn settle_incoming(
    layout: &Layout,
    index: &Index,
    groups: &[GroupRead],
    singles: &Arc<Singles>,
) -> Result<(), OpenError> {
    for group in groups {
        for (_, location) in group.bodies.iter().filter(|(_, location)| location.pack.is_single()) {
            singles.name(location.pack, group.start.group);
        }
    }
    let dir = layout.incoming();
    let at = |source| OpenError::Io { path: layout.incoming(), source };
    let snapshot = index.read(Arc::default())?;
    for pack in layout.list(&dir).map_err(at)? {
        if singles.is_named(pack) {
            continue;
        }
        if snapshot.pack_lives(pack)? {
            singles.name(pack, 0);
        } else {
            layout.fs.remove(&dir.join(pack.to_string())).map_err(at)?;
        }
    }
    Ok(())
}

impl From<LogError> for OpenError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Missing { pack } => Self::Missing { pack },
            LogError::Corrupt { pack, offset } => Self::Corrupt { pack, offset },
            LogError::Read { pack, source } => Self::Io { path: pack.to_string().into(), source },
        }
    }
}
