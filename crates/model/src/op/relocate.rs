//! An account's move to another shard.
//!
//! ```text
//! source   Freeze                                     Depart, until nothing is left
//! target            Load, Load, ... Arrive
//! system                                   SetShard
//! ```
//!
//! Every step can be repeated, and what comes late of an earlier move is refused by its number. The account takes changes in the source before Freeze, in
//! the target after Arrive, and nowhere between. Until SetShard it can go back: Forsake in the target, which makes Arrive impossible, and then Thaw.

use paquebot_types::{AccountId, ShardId};

use crate::draft::{ApplyError, Draft};
use crate::key;
use crate::load::LoadDigest;
use crate::outcome::{Outcome, Refusal};
use crate::row::{AccountMove, MoveStage, Row};

/// Rows removed by one [`depart`], at most.
const DEPARTED_ROWS: usize = 2000;

pub fn last_move(draft: &Draft, account: AccountId) -> Result<Option<AccountMove>, ApplyError> {
    draft.row(key::account_move(account))
}

pub fn put_move(draft: &mut Draft, account: AccountId, number: u64, stage: MoveStage) {
    draft.put(key::account_move(account), AccountMove { number, stage }.encode());
}

/// Whether the account's changes are taken in this shard.
pub fn takes_changes(draft: &Draft, account: AccountId) -> Result<bool, ApplyError> {
    Ok(last_move(draft, account)?.is_none_or(|last| last.takes_changes()))
}

/// Whether rows are left of an account that has gone.
pub fn is_departing(draft: &Draft, account: AccountId, last: &AccountMove) -> Result<bool, ApplyError> {
    let gone = matches!(last.stage, MoveStage::Gone { .. });
    Ok(gone && !draft.scan_some(&key::account_rows(account), 1)?.is_empty())
}

pub fn freeze(draft: &mut Draft, account: AccountId, number: u64, to: ShardId) -> Result<Outcome, ApplyError> {
    let last = last_move(draft, account)?;
    let from = match &last {
        None => None,
        Some(AccountMove { number: last, stage: MoveStage::Frozen { to: other, .. } }) => {
            let same = (*last, *other) == (number, to);
            return Ok(if same { Outcome::Done } else { Outcome::Refused(Refusal::OtherMove) });
        }
        Some(AccountMove { stage: MoveStage::Here { from }, .. }) => *from,
        Some(_) => return Ok(Outcome::Refused(Refusal::NoSuchAccount)),
    };
    if draft.account(account)?.is_none() {
        return Ok(Outcome::Refused(Refusal::NoSuchAccount));
    }
    if number <= last.map_or(0, |last| last.number) {
        return Ok(Outcome::Refused(Refusal::OtherMove));
    }
    let since_ms = draft.time_ms;
    put_move(draft, account, number, MoveStage::Frozen { to, since_ms, from });
    Ok(Outcome::Done)
}

pub fn thaw(draft: &mut Draft, account: AccountId, number: u64) -> Result<Outcome, ApplyError> {
    let Some(last) = last_move(draft, account)?.filter(|last| last.number == number) else {
        return Ok(Outcome::Refused(Refusal::OtherMove));
    };
    match last.stage {
        MoveStage::Frozen { from, .. } => {
            put_move(draft, account, number, MoveStage::Here { from });
            Ok(Outcome::Done)
        }
        MoveStage::Here { .. } => Ok(Outcome::Done),
        _ => Ok(Outcome::Refused(Refusal::OtherMove)),
    }
}

/// The account is here if all its rows are. The numbers that a removed account of this number had given out are among its own.
pub fn arrive(draft: &mut Draft, account: AccountId, number: u64, digest: LoadDigest) -> Result<Outcome, ApplyError> {
    let Some(last) = last_move(draft, account)?.filter(|last| last.number == number) else {
        return Ok(Outcome::Refused(Refusal::OtherMove));
    };
    match last.stage {
        MoveStage::Loading { digest: loaded, .. } if loaded != digest => Ok(Outcome::Refused(Refusal::WrongRows)),
        MoveStage::Loading { from, .. } => {
            draft.delete(key::removed_account(account));
            put_move(draft, account, number, MoveStage::Here { from: Some(from) });
            Ok(Outcome::Done)
        }
        MoveStage::Here { .. } => Ok(Outcome::Done),
        _ => Ok(Outcome::Refused(Refusal::OtherMove)),
    }
}

pub fn forsake(draft: &mut Draft, account: AccountId, number: u64) -> Result<Outcome, ApplyError> {
    match last_move(draft, account)? {
        Some(last) if last.is_whole() => return Ok(Outcome::Refused(Refusal::AccountExists)),
        Some(last) if last.number > number => return Ok(Outcome::Refused(Refusal::OtherMove)),
        Some(AccountMove { number: last, stage: MoveStage::Gone { .. } }) if last == number => {
            return Ok(Outcome::Refused(Refusal::OtherMove));
        }
        Some(last) if is_departing(draft, account, &last)? => return Ok(Outcome::Refused(Refusal::AccountExists)),
        Some(_) => {}
        None if draft.account(account)?.is_some() => return Ok(Outcome::Refused(Refusal::AccountExists)),
        None => {}
    }
    draft.forget_account(account)?;
    put_move(draft, account, number, MoveStage::Forsaken);
    Ok(Outcome::Done)
}

/// Removes the next rows. The move stays noted for ever: a node that has not heard of it must not make the account here again.
pub fn depart(draft: &mut Draft, account: AccountId, number: u64) -> Result<Outcome, ApplyError> {
    let Some(last) = last_move(draft, account)?.filter(|last| last.number == number) else {
        return Ok(Outcome::Refused(Refusal::OtherMove));
    };
    let to = match last.stage {
        MoveStage::Frozen { to, .. } | MoveStage::Gone { to } => to,
        _ => return Ok(Outcome::Refused(Refusal::OtherMove)),
    };
    put_move(draft, account, number, MoveStage::Gone { to });
    draft.settle(account);
    let rows = draft.scan_some(&key::account_rows(account), DEPARTED_ROWS)?;
    let more = rows.len() == DEPARTED_ROWS;
    for (key, _) in rows {
        match key::parse_account_row(&key) {
            Some((_, key::AccountRow::Blob(blob))) => draft.remove_blob(account, blob)?,
            _ => draft.delete(key),
        }
    }
    Ok(Outcome::Departed { more })
}
