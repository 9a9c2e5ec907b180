//! Whether each body that a row names is here or wanted, and each body that is here or wanted has a row.

use std::cmp::Ordering;

use paquebot_types::{BlobHash, ShardId};

use super::{Check, Problem};
use crate::index::{Enough, IndexError, LOCATIONS, OwnerKey, WANTED, owner, owners_of, parse_owner};
use crate::transfer::BlobOf;

/// A table's owners in order, beside which rows are followed.
struct Cursor<I> {
    rows: I,
    next: Option<(OwnerKey, Option<BlobHash>)>,
}

impl<I: Iterator<Item = Result<(OwnerKey, Option<BlobHash>), IndexError>>> Cursor<I> {
    fn new(mut rows: I) -> Result<Self, IndexError> {
        let next = rows.next().transpose()?;
        Ok(Self { rows, next })
    }

    /// Goes on to `owner`, and past it if it is there. Owners before it have no row: `rowless` hears of them.
    fn reach(
        &mut self,
        owner: Option<&OwnerKey>,
        rowless: &mut dyn FnMut(&OwnerKey),
    ) -> Result<Option<Option<BlobHash>>, IndexError> {
        while let Some((next, hash)) = self.next {
            let order = owner.map_or(Ordering::Less, |owner| next.cmp(owner));
            if order == Ordering::Greater {
                return Ok(None);
            }
            self.next = self.rows.next().transpose()?;
            if order == Ordering::Equal {
                return Ok(Some(hash));
            }
            rowless(&next);
        }
        Ok(None)
    }
}

impl Check<'_> {
    /// One shard's bodies: its rows, its locations and its wants are in the same order.
    pub(super) fn owners_of(&mut self, shard: ShardId, blob_of: BlobOf) -> Result<(), IndexError> {
        let (first, last) = owners_of(shard);
        let (locations, wanted) =
            (self.snapshot.redb().open_table(LOCATIONS)?, self.snapshot.redb().open_table(WANTED)?);
        let mut here =
            Cursor::new(locations.range::<&OwnerKey>(&first..=&last)?.map(|row| Ok((*row?.0.value(), None))))?;
        let mut wanted = Cursor::new(wanted.range::<&OwnerKey>(&first..=&last)?.map(|row| {
            let (owner, hash) = row?;
            Ok((*owner.value(), Some(BlobHash(*hash.value()))))
        }))?;
        let mut problems = Vec::new();
        let mut failed = None;
        self.snapshot.rows_after(shard, None, |key, value| {
            let Some((account, blob, hash)) = blob_of(key, value) else { return Enough::No };
            let owner = owner(shard, account, blob);
            let mut rowless = |owner: &OwnerKey| problems.extend(rowless(owner));
            let found = here.reach(Some(&owner), &mut rowless).and_then(|here| {
                let wanted = wanted.reach(Some(&owner), &mut rowless)?;
                Ok((here.is_some(), wanted.flatten()))
            });
            match found {
                Ok((true, None)) => {}
                Ok((false, Some(wanted))) if wanted == hash => {}
                Ok((false, None)) => problems.push(Problem::Absent { shard, account, blob }),
                Ok((false, Some(_))) => problems.push(Problem::Index("a wanted body has another hash than its row")),
                Ok((true, Some(_))) => problems.push(Problem::Index("a body is wanted that has a location")),
                Err(error) => {
                    failed = Some(error);
                    return Enough::Yes;
                }
            }
            Enough::No
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        let mut rowless = |owner: &OwnerKey| problems.extend(rowless(owner));
        here.reach(None, &mut rowless)?;
        wanted.reach(None, &mut rowless)?;
        self.report.problems.append(&mut problems);
        Ok(())
    }
}

fn rowless(owner: &OwnerKey) -> Option<Problem> {
    // An impossible owner is told of by whoever follows the packs.
    let (shard, account, blob) = parse_owner(owner)?;
    Some(Problem::Rowless { shard, account, blob })
}
