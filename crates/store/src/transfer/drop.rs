//! A shard that leaves this machine.

use paquebot_types::ShardId;

use super::Turn;
use crate::Store;
use crate::index::{ImportMark, IndexError, Step};

/// Why a shard was not dropped, or not wholly.
#[derive(Debug, thiserror::Error)]
pub enum DropError {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error("shard {shard}: is being taken in or dropped already")]
    Busy { shard: ShardId },
}

impl Store {
    /// Removes all that the index knows of a shard: rows, locations, wanted bodies. It happens in transactions of bounded size, so others
    /// get their turn; from the first on the shard is out of use ([`Store::importing`]), after the last it is unknown, durably. The space
    /// of its bodies is given back by [`Store::reclaim`].
    ///
    /// Nobody may apply records to the shard meanwhile. An interrupted call is made good by another one. A shard that is not here is no error.
    pub fn drop_shard(&self, shard: ShardId) -> Result<(), DropError> {
        let Some(_turn) = Turn::take(self, shard) else { return Err(DropError::Busy { shard }) };
        loop {
            self.inner().make_room_to_remove();
            let removed = self.write(|txn| -> Result<Step, IndexError> {
                let mut step = Step::default();
                // Each time, since a failed index that was opened again may be as it was before the first.
                txn.put_out_of_use(shard, ImportMark::DROPPING)?;
                txn.remove_rows(shard, &mut step)?;
                txn.remove_wanted(shard, &mut step)?;
                txn.remove_locations(shard, &mut step)?;
                if !step.is_full() {
                    txn.put_into_use(shard, None)?;
                }
                Ok(step)
            })?;
            self.inner().index_grew(removed.bytes);
            if !removed.is_full() {
                return Ok(self.checkpoint()?);
            }
        }
    }
}
