//! The side index: what foreign formats do not keep, and what is dear to find again.
//!
//! Mod-sequences and what was expunged, sizes that only reading tells, and what the crate `message` knows of each message. It can be thrown away while no server
//! runs: mod-sequences are times, so what is told after that is above what was told before, and clients ask again.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use paquebot_model::{Mailbox, Page, Row, RowChange, Rows, RowsError, Scan, key};
use paquebot_types::{AccountId, BlobId, MailboxId, ModSeq, ShardId};
use redb::{Database, Durability, ReadOnlyTable, ReadableDatabase, TableDefinition};

use crate::error::ServiceError;
use crate::snapshot::MailboxKey;

/// Rows as the model has them, their shard first.
const ROWS: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("rows");
/// Changes after which it is made durable: until then redb cannot use again what they gave up.
const FLUSH_AFTER: u32 = 1000;
/// Memory for the file's pages.
const CACHE: usize = 16 << 20;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// The side index of all foreign mailboxes on this machine.
pub(crate) struct SideIndex {
    db: Database,
    /// When it was opened: mod-sequences that it may have lost are below.
    opened: ModSeq,
    /// Changes since it was made durable last.
    changes: AtomicU32,
}

/// The rows of one shard, as they were at one moment.
pub(crate) struct IndexRows {
    table: ReadOnlyTable<&'static [u8], &'static [u8]>,
    shard: ShardId,
}

/// A mailbox, and its pages by number.
pub(crate) type Known = (Mailbox, Vec<(u32, Page)>);

/// A mod-sequence that none before it reaches, unless the clock went back.
pub(crate) fn modseq_now() -> ModSeq {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
    ModSeq(u64::try_from(since).unwrap_or(0))
}

impl SideIndex {
    /// Opens it, or makes it anew where it is damaged. `None`: in memory.
    pub fn open(path: Option<&Path>) -> Result<Self, ServiceError> {
        let db = match path {
            None => Database::builder().create_with_backend(redb::backends::InMemoryBackend::new()),
            Some(path) => at(path),
        };
        let db = db.map_err(|error| failed(&error))?;
        let made = make(&db);
        made.map_err(|error| ServiceError::Rows(RowsError(error)))?;
        Ok(Self { db, opened: modseq_now(), changes: AtomicU32::new(0) })
    }

    /// See the field.
    pub fn opened(&self) -> ModSeq {
        self.opened
    }

    pub fn rows(&self, shard: ShardId) -> Result<IndexRows, ServiceError> {
        let open = || -> Result<_, Error> { Ok(self.db.begin_read()?.open_table(ROWS)?) };
        Ok(IndexRows { table: open().map_err(RowsError)?, shard })
    }

    /// Changes rows. It is not durable at once: what is lost is found again in the files.
    pub fn change(&self, shard: ShardId, changes: &[RowChange]) -> Result<(), ServiceError> {
        let change = || -> Result<(), Error> {
            let mut txn = self.db.begin_write()?;
            if self.changes.fetch_add(1, Ordering::Relaxed) % FLUSH_AFTER != FLUSH_AFTER - 1 {
                txn.set_durability(Durability::None)?;
            }
            {
                let mut table = txn.open_table(ROWS)?;
                for RowChange { key, value } in changes {
                    let key = with_shard(shard, key);
                    match value {
                        Some(value) => drop(table.insert(&*key, value.as_slice())?),
                        None => drop(table.remove(&*key)?),
                    }
                }
            }
            Ok(txn.commit()?)
        };
        change().map_err(|error| ServiceError::Rows(RowsError(error)))
    }

    /// The changes that remove everything that is known of a mailbox.
    pub fn forgotten(&self, at: MailboxKey) -> Result<Vec<RowChange>, ServiceError> {
        let rows = self.rows(at.shard)?;
        let mut gone = vec![RowChange { key: key::mailbox(at.account, at.mailbox), value: None }];
        let blobs = super::blobs_of(at.mailbox);
        let mut last = key::blob(at.account, *blobs.end());
        last.push(0);
        let ranges = [
            key::pages(at.account, at.mailbox, 0, u32::MAX),
            key::tombstones_after(at.account, at.mailbox, ModSeq::ZERO),
            (key::blob(at.account, *blobs.start()), last),
        ];
        for (from, to) in ranges {
            rows.scan(&from, &to, &mut |key, _| {
                gone.push(RowChange { key: key.to_vec(), value: None });
                Scan::Continue
            })?;
        }
        Ok(gone)
    }
}

impl IndexRows {
    /// What is known of a mailbox; `None` if nothing, or what cannot be read any more.
    pub fn mailbox(&self, account: AccountId, id: MailboxId) -> Result<Option<Known>, RowsError> {
        let Some(mailbox) = self.get(&key::mailbox(account, id))?.as_deref().and_then(Mailbox::decode) else {
            return Ok(None);
        };
        let (from, to) = key::pages(account, id, 0, u32::MAX);
        let (mut pages, mut is_whole) = (Vec::new(), true);
        self.scan(&from, &to, &mut |key, value| match (key::parse_account_row(key), Page::decode(value)) {
            (Some((_, key::AccountRow::Page(_, number))), Some(page)) => {
                pages.push((number, page));
                Scan::Continue
            }
            _ => {
                is_whole = false;
                Scan::Stop
            }
        })?;
        Ok(is_whole.then_some((mailbox, pages)))
    }

    /// Whether there is a row of this body.
    pub fn has_blob(&self, account: AccountId, blob: BlobId) -> Result<bool, RowsError> {
        Ok(self.get_with(&key::blob(account, blob), |_| ())?.is_some())
    }

    /// Shows the value of a row without copying it; `None` if there is no such row.
    pub fn get_with<T>(&self, key: &[u8], see: impl FnOnce(&[u8]) -> T) -> Result<Option<T>, RowsError> {
        let value = self.table.get(&*with_shard(self.shard, key)).map_err(|error| RowsError(Box::new(error)))?;
        Ok(value.map(|value| see(value.value())))
    }
}

impl Rows for IndexRows {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, RowsError> {
        self.get_with(key, <[u8]>::to_vec)
    }

    fn scan(&self, from: &[u8], to: &[u8], see: &mut dyn FnMut(&[u8], &[u8]) -> Scan) -> Result<(), RowsError> {
        if from >= to {
            return Ok(());
        }
        let (from, to) = (with_shard(self.shard, from), with_shard(self.shard, to));
        let mut scan = || -> Result<(), redb::StorageError> {
            for row in self.table.range(&*from..&*to)? {
                let (key, value) = row?;
                if see(key.value().get(2..).unwrap_or_default(), value.value()) == Scan::Stop {
                    break;
                }
            }
            Ok(())
        };
        scan().map_err(|error| RowsError(Box::new(error)))
    }
}

fn with_shard(shard: ShardId, key: &[u8]) -> Vec<u8> {
    [&shard.0.to_be_bytes(), key].concat()
}

fn failed(error: &redb::DatabaseError) -> ServiceError {
    ServiceError::Rows(RowsError(format!("the side index of the foreign mailboxes cannot be used: {error}").into()))
}

/// Opens the file, or makes another in its place if it cannot be read: nothing is lost with it.
fn at(path: &Path) -> Result<Database, redb::DatabaseError> {
    let open = || {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE);
        // redb believes pages, and panics over some that are damaged.
        let open = std::panic::AssertUnwindSafe(|| builder.create(path));
        std::panic::catch_unwind(open).unwrap_or_else(|_| {
            Err(redb::DatabaseError::Storage(redb::StorageError::Corrupted("its pages make no sense".into())))
        })
    };
    match open() {
        Err(redb::DatabaseError::Storage(redb::StorageError::Io(error)))
            if error.kind() != std::io::ErrorKind::InvalidData =>
        {
            Err(redb::DatabaseError::Storage(redb::StorageError::Io(error)))
        }
        Err(error @ redb::DatabaseError::DatabaseAlreadyOpen) => Err(error),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "the side index cannot be read: it is made anew");
            std::fs::remove_file(path).map_err(redb::StorageError::from)?;
            open()
        }
        opened => opened,
    }
}

fn make(db: &Database) -> Result<(), Error> {
    let txn = db.begin_write()?;
    txn.open_table(ROWS)?;
    Ok(txn.commit()?)
}
