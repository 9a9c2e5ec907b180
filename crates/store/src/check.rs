//! Proving a store: every checksum, every hash, every location and every counter.

mod owners;

use std::collections::BTreeMap;
use std::io;

use paquebot_types::{AccountId, BlobHash, BlobId, ShardId};
use redb::{ReadableTable, ReadableTableMetadata};

use crate::Store;
use crate::index::{
    IndexError, LOCATIONS, OwnerKey, PACKS, PackLive, RESIDENTS, ReadRows, ReadTxn, parse_owner, resident,
};
use crate::location::{Location, PackId};
use crate::pack::{ReadError, Walk, Walked};
use crate::transfer::BlobOf;

/// What a check tells of, and asks the model's part of.
pub trait Checker {
    /// So many bytes of packs are proved, of about so many in all.
    fn progress(&mut self, done_bytes: u64, total_bytes: u64) {
        let _ = (done_bytes, total_bytes);
    }

    /// A body that a location names, as it was proved. An answer is a problem: the model knows another hash or no such blob.
    fn body(&mut self, shard: ShardId, account: AccountId, blob: BlobId, hash: BlobHash, len: u64) -> Option<String> {
        let _ = (shard, account, blob, hash, len);
        None
    }

    /// What the model makes of a row that names a body. Without it nobody looks whether each body that is named is here or wanted.
    fn blob_of(&self) -> Option<BlobOf> {
        None
    }

    /// The rows of a shard. What comes back are problems: invariants of the model that do not hold.
    fn rows(&mut self, shard: ShardId, rows: &ReadRows) -> Vec<String> {
        let _ = (shard, rows);
        Vec::new()
    }
}

/// Checks bytes alone.
impl Checker for () {}

/// What a check has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub packs: u64,
    pub groups: u64,
    pub records: u64,
    pub bodies: u64,
    pub locations: u64,
    pub bytes: u64,
    /// Bodies that are to come from elsewhere. That is no problem of this store.
    pub wanted: u64,
    /// Shards that are being taken in or dropped: only the bytes of their bodies are proved.
    pub importing: Vec<ShardId>,
    /// Packs that are elsewhere and no longer here: what is in them is not proved.
    pub elsewhere: u64,
    pub problems: Vec<Problem>,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("pack {pack}: what lies at byte {offset} fails its checksum")]
    Damaged { pack: PackId, offset: u64 },
    #[error("pack {pack} is missing")]
    Missing { pack: PackId },
    #[error("shard {shard}, account {account}, body {blob}: damaged or not at byte {offset} of pack {pack}", offset = .location.offset, pack = .location.pack)]
    Body { shard: ShardId, account: AccountId, blob: BlobId, location: Location },
    #[error(
        "shard {shard}, account {account}, body {blob}: a row names it, but it is neither here nor wanted from elsewhere"
    )]
    Absent { shard: ShardId, account: AccountId, blob: BlobId },
    #[error("shard {shard}, account {account}, body {blob}: it is kept or wanted, but no row names it")]
    Rowless { shard: ShardId, account: AccountId, blob: BlobId },
    #[error("pack {pack}: {counted:?} are alive, but the index says {stored:?}")]
    Live { pack: PackId, counted: PackLive, stored: PackLive },
    #[error("the index is inconsistent: {0}")]
    Index(&'static str),
    #[error("shard {shard}: {what}")]
    Model { shard: ShardId, what: String },
}

/// Why a check did not end. A problem of the store is no error, but part of the report.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error("cannot read a pack")]
    Io(#[from] io::Error),
    #[error("cannot read a body")]
    Read(#[from] ReadError),
}

impl Store {
    /// Proves the store as it is now, while it serves. Reads all of it, and changes nothing.
    pub fn check(&self, checker: &mut dyn Checker) -> Result<Report, CheckError> {
        let snapshot = self.read()?;
        // Later than the snapshot, so every group that it reflects lies before.
        let end = self.inner().appender.mark().position;
        let mut check =
            Check { store: self, snapshot, checker, report: Report::default(), buf: vec![0; 1 << 20], total: 0 };
        let layout = &self.inner().layout;
        let mut packs = layout.list(&layout.packs())?;
        packs.retain(|pack| *pack <= end.pack && !pack.is_single());
        let named = check.snapshot.named_packs()?;
        check.total = packs.len() as u64 * self.inner().options.pack_bytes;
        for pack in &packs {
            let end = if *pack == end.pack { Some(end.offset) } else { None };
            check.pack(*pack, end)?;
        }
        for pack in named {
            if check.is_elsewhere(pack)? {
                check.report.elsewhere += 1;
                continue;
            }
            if pack.is_single() {
                check.single(pack)?;
            } else if packs.binary_search(&pack).is_err() {
                check.report.problems.push(Problem::Missing { pack });
            }
        }
        check.index()?;
        check.report.wanted = check.snapshot.wanted_count()?;
        check.report.importing = check.snapshot.importing()?;
        for (shard, _) in check.snapshot.shards()? {
            let problems = check.checker.rows(shard, &check.snapshot.rows(shard));
            check.report.problems.extend(problems.into_iter().map(|what| Problem::Model { shard, what }));
            if let Some(blob_of) = check.checker.blob_of() {
                check.owners_of(shard, blob_of)?;
            }
        }
        Ok(check.report)
    }
}

struct Check<'s> {
    store: &'s Store,
    snapshot: ReadTxn,
    checker: &'s mut dyn Checker,
    report: Report,
    buf: Vec<u8>,
    total: u64,
}

impl Check<'_> {
    /// Every entry of a pack of the log, up to its end or to `end`, and every location that names a body in it.
    fn pack(&mut self, pack: PackId, end: Option<u64>) -> Result<(), CheckError> {
        let inner = self.store.inner();
        let residents = self.snapshot.residents(pack)?;
        let file = match inner.layout.open_pack(pack) {
            // Removed since it was listed; the snapshot would keep it if it named a body there.
            Err(error) if error.kind() == io::ErrorKind::NotFound && residents.is_empty() => return Ok(()),
            // Evicted since.
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.is_elsewhere(pack)? => {
                return Ok(());
            }
            result => result?,
        };
        self.report.packs += 1;
        let mut bodies = BTreeMap::new();
        let mut walk = Walk::new(file, inner.identity.seal(pack), &inner.identity.uuid, pack, end)?;
        while let Some(walked) = walk.next(&mut self.buf)? {
            match walked {
                Walked::Group => self.report.groups += 1,
                Walked::Record => self.report.records += 1,
                Walked::Body { offset, len, hash } => {
                    self.report.bodies += 1;
                    bodies.insert(offset, (len, hash));
                }
                Walked::Damaged { offset } => self.report.problems.push(Problem::Damaged { pack, offset }),
            }
            let done = self.report.bytes + walk.offset();
            self.checker.progress(done, self.total.max(done));
        }
        self.report.bytes += walk.offset();
        let mut counted = PackLive::default();
        for (offset, owners) in residents {
            counted.bodies += 1;
            let found = bodies.get(&offset).copied();
            counted.bytes += self.owners(pack, offset, &owners, found)?;
        }
        let stored = self.snapshot.pack_live(pack)?;
        if counted != stored {
            self.report.problems.push(Problem::Live { pack, counted, stored });
        }
        Ok(())
    }

    /// Whether a pack is elsewhere and has no file here.
    fn is_elsewhere(&self, pack: PackId) -> Result<bool, CheckError> {
        if self.snapshot.sent(pack)?.is_none() {
            return Ok(false);
        }
        match self.store.inner().layout.open_pack(pack) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            result => Ok(result.map(|_| false)?),
        }
    }

    /// A body in a pack of its own.
    fn single(&mut self, pack: PackId) -> Result<(), CheckError> {
        self.report.packs += 1;
        for (offset, owners) in self.snapshot.residents(pack)? {
            let len = owners.first().map(|owner| self.snapshot.owner_location(owner)).transpose()?.flatten();
            let found = match len {
                Some(location) => self.prove(location)?,
                None => None,
            };
            self.report.bytes += found.map_or(0, |(len, _)| len);
            self.report.bodies += u64::from(found.is_some());
            self.owners(pack, offset, &owners, found)?;
        }
        self.checker.progress(self.report.bytes, self.total.max(self.report.bytes));
        Ok(())
    }

    /// The body at a location, if it is good.
    fn prove(&mut self, location: Location) -> Result<Option<(u64, BlobHash)>, CheckError> {
        let file = self.store.body_file(location);
        match file.and_then(|file| file.verify(&mut self.buf).map(|()| (file.len(), file.hash()))) {
            Ok(found) => Ok(Some(found)),
            Err(ReadError::Corrupt { .. } | ReadError::Gone { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The owners of one place, where a body was found or not. Gives the length that they say.
    fn owners(
        &mut self,
        pack: PackId,
        offset: u64,
        owners: &[OwnerKey],
        found: Option<(u64, BlobHash)>,
    ) -> Result<u64, CheckError> {
        let mut said = 0;
        for owner in owners {
            let Some((shard, account, blob)) = parse_owner(owner) else {
                self.report.problems.push(Problem::Index("a location has an impossible owner"));
                continue;
            };
            let location = self.snapshot.owner_location(owner)?;
            let Some(location) = location.filter(|at| at.pack == pack && at.offset == offset) else {
                self.report.problems.push(Problem::Index("a pack counts a body that has no location there"));
                continue;
            };
            said = location.len;
            self.report.locations += 1;
            match found.filter(|(len, _)| *len == location.len) {
                Some((len, hash)) => {
                    let problem = self.checker.body(shard, account, blob, hash, len);
                    self.report.problems.extend(problem.map(|what| Problem::Model { shard, what }));
                }
                None => self.report.problems.push(Problem::Body { shard, account, blob, location }),
            }
        }
        Ok(said)
    }

    /// Locations and residents are the same set; packs of the log are counted only if they live.
    fn index(&mut self) -> Result<(), IndexError> {
        let txn = self.snapshot.redb();
        let residents = txn.open_table(RESIDENTS)?;
        let locations = txn.open_table(LOCATIONS)?;
        let mut problems = Vec::new();
        if residents.len()? != locations.len()? {
            problems.push("locations and their packs' lists differ in number");
        }
        for row in locations.iter()? {
            let (owner, location) = row?;
            let location = Location::from_bytes(location.value());
            if residents.get(&resident(location.pack, location.offset, owner.value()))?.is_none() {
                problems.push("a location is missing in its pack's list");
            }
        }
        for row in txn.open_table(PACKS)?.range(..PackId::single(0).0)? {
            if !self.snapshot.pack_lives(PackId(row?.0.value()))? {
                problems.push("a pack is counted that has no body");
            }
        }
        self.report.problems.extend(problems.into_iter().map(Problem::Index));
        Ok(())
    }
}
