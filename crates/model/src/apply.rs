//! Applying a record: the one way in which a shard changes.

use paquebot_types::{AccountId, BlobHash, BlobId, Sequence, ShardId};

use crate::draft::{ApplyError, Draft};
use crate::key;
use crate::op;
use crate::outcome::{Outcome, Refusal};
use crate::record::{Op, Record};
use crate::rows::{RowChange, Rows};

/// How far back, in positions of the log, an id is remembered, and so how far behind a proposer may be.
pub const WINDOW: u64 = 1024;

/// The hash chain over all changes of a shard: equal on every replica that applied the same records.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Chain(pub [u8; 32]);

/// What a record came to.
#[derive(Debug)]
pub struct Applied {
    /// One for each op of the record, in order. Empty when the record had been applied before.
    pub outcomes: Vec<Outcome>,
    /// By ascending key, each key once.
    pub changes: Vec<RowChange>,
    /// A body that came and went within the record is neither here nor among the removed.
    pub blobs_added: Vec<(AccountId, BlobId, BlobHash)>,
    pub blobs_removed: Vec<(AccountId, BlobId)>,
    /// Accounts of which rows came from another shard. Their bodies are also that shard's, under the same numbers, if this machine has it.
    pub loaded: Vec<(AccountId, ShardId)>,
    pub chain: Chain,
}

/// Applies a record that stands at `sequence` of the log.
///
/// A record whose id was applied within the last [`WINDOW`] records changes nothing but the chain, and neither does one proposed before
/// that window: its ops are all refused, on every replica alike.
pub fn apply(rows: &dyn Rows, chain: Chain, sequence: Sequence, record: &Record) -> Result<Applied, ApplyError> {
    let mut draft = Draft::new(rows, record.time_ms);
    let mut outcomes = Vec::with_capacity(record.ops.len());
    if sequence.0.saturating_sub(record.after.0) > WINDOW {
        outcomes.resize(record.ops.len(), Outcome::Refused(Refusal::TooLate));
    } else if draft.get(&key::recent_id(&record.id.0))?.is_none() {
        remember(&mut draft, sequence, record)?;
        for op in &record.ops {
            outcomes.push(apply_op(&mut draft, op)?);
        }
    }
    let blobs_added = std::mem::take(&mut draft.blobs_added);
    let blobs_removed = std::mem::take(&mut draft.blobs_removed);
    let loaded = std::mem::take(&mut draft.loaded).into_iter().collect();
    let changes = draft.into_changes();
    let chain = chain.extend(sequence, record, &changes);
    Ok(Applied { outcomes, changes, blobs_added, blobs_removed, loaded, chain })
}

/// Notes the record's id and forgets those that have left the window: more than one where records came between that were not noted.
fn remember(draft: &mut Draft, sequence: Sequence, record: &Record) -> Result<(), ApplyError> {
    draft.put(key::recent_id(&record.id.0), sequence.0.to_be_bytes().to_vec());
    draft.put(key::recent_sequence(sequence), record.id.0.to_vec());
    let Some(left) = sequence.0.checked_sub(WINDOW) else {
        return Ok(());
    };
    for (key, id) in draft.scan(&key::recent_sequences_to(Sequence(left)))? {
        let Ok(id) = <[u8; 16]>::try_from(id) else {
            return Err(ApplyError::DamagedRow(key));
        };
        draft.delete(key::recent_id(&id));
        draft.delete(key);
    }
    Ok(())
}

fn apply_op(draft: &mut Draft, op: &Op) -> Result<Outcome, ApplyError> {
    if let Some(account) = op.account()
        && !op::relocate::takes_changes(draft, account)?
    {
        return Ok(Outcome::Refused(Refusal::AccountMoving));
    }
    match op {
        Op::AddLogin { name, shard, credentials } => op::login::add(draft, name, *shard, credentials.as_deref()),
        Op::SetCredentials { name, credentials } => op::login::set_credentials(draft, name, credentials.as_deref()),
        Op::RemoveLogin { name } => op::login::remove(draft, name),
        Op::AddAccount { account, name, mailboxes } => op::account::add(draft, *account, name, mailboxes),
        Op::RemoveAccount { account } => op::account::remove(draft, *account),
        Op::Create { account, name, special_use } => op::create::create(draft, *account, name, special_use),
        Op::Delete { account, name } => op::delete::delete(draft, *account, name),
        Op::Rename { account, from, to } => op::rename::rename(draft, *account, from, to),
        Op::Subscribe { account, name } => op::subscribe::subscribe(draft, *account, name),
        Op::Unsubscribe { account, name } => op::subscribe::unsubscribe(draft, *account, name),
        Op::Append { account, mailbox, messages } => op::append::append(draft, *account, *mailbox, messages),
        Op::Store { account, mailbox, uids, change, unchanged_since } => {
            op::store::store(draft, *account, *mailbox, uids, change, *unchanged_since)
        }
        Op::Expunge { account, mailbox, uids } => op::expunge::expunge(draft, *account, *mailbox, uids),
        Op::Copy { account, from, uids, to } => op::copy::copy(draft, *account, *from, uids, *to),
        Op::Move { account, from, uids, to } => op::copy::r#move(draft, *account, *from, uids, *to),
        Op::ClaimRecent { account, mailbox, below } => op::recent::claim(draft, *account, *mailbox, *below),
        Op::Undelete { account, mailbox, since_ms } => op::undelete::undelete(draft, *account, *mailbox, *since_ms),
        Op::UndeleteMailbox { account, mailbox, name } => {
            op::undelete::undelete_mailbox(draft, *account, *mailbox, name)
        }
        Op::Purge { account, before_ms } => op::purge::purge(draft, *account, *before_ms),
        Op::Collect { account, blobs } => op::purge::collect(draft, *account, blobs),
        Op::Mark => Ok(Outcome::Done),
        Op::Deliver { account, mailbox, message, once } => {
            op::deliver::deliver(draft, *account, *mailbox, message, *once)
        }
        Op::Freeze { account, number, to } => op::relocate::freeze(draft, *account, *number, *to),
        Op::Thaw { account, number } => op::relocate::thaw(draft, *account, *number),
        Op::Load { account, number, from, after, rows, whole } => {
            op::load::load(draft, *account, *number, *from, op::load::Part { after, rows, whole: *whole })
        }
        Op::Arrive { account, number, digest } => op::relocate::arrive(draft, *account, *number, *digest),
        Op::Forsake { account, number } => op::relocate::forsake(draft, *account, *number),
        Op::SetShard { name, account, from, to } => op::login::set_shard(draft, name, *account, *from, *to),
        Op::Depart { account, number } => op::relocate::depart(draft, *account, *number),
    }
}

impl Chain {
    fn extend(self, sequence: Sequence, record: &Record, changes: &[RowChange]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0).update(&sequence.0.to_be_bytes()).update(&record.id.0);
        for change in changes {
            // Lengths keep two different lists of changes from having the same bytes; no value has this length.
            let value_bytes = change.value.as_ref().map_or(u64::MAX, |value| value.len() as u64);
            hasher
                .update(&(change.key.len() as u64).to_be_bytes())
                .update(&change.key)
                .update(&value_bytes.to_be_bytes());
            if let Some(value) = &change.value {
                hasher.update(value);
            }
        }
        Self(*hasher.finalize().as_bytes())
    }
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0[..8].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
