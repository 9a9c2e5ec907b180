//! The rows of an account that comes from another shard.

use paquebot_types::{AccountId, ShardId};

use crate::draft::{ApplyError, Draft, parse_mailbox_id};
use crate::key::{self, AccountRow};
use crate::load::{LoadDigest, LoadedRow, LoadedTo};
use crate::op::relocate::{is_departing, last_move, put_move};
use crate::outcome::{Outcome, Refusal};
use crate::page::Page;
use crate::row::{Account, AccountMove, Blob, Delivery, Mailbox, MoveStage, Row, Tombstone};

/// Rows of a [`crate::Op::Load`].
pub struct Part<'a> {
    pub after: &'a LoadedTo,
    pub rows: &'a [LoadedRow],
    pub whole: bool,
}

/// Puts the next rows of an account; those that have come already change nothing. The first ones of a later move begin anew: what is there of an
/// earlier one is forgotten. What is left of an account that has gone is removed before it comes back: others may still need its bodies.
pub fn load(
    draft: &mut Draft,
    account: AccountId,
    number: u64,
    from: ShardId,
    part: Part,
) -> Result<Outcome, ApplyError> {
    let refused = |refusal| Ok(Outcome::Refused(refusal));
    let there = last_move(draft, account)?;
    let lives_here = match &there {
        Some(there) => there.is_whole(),
        None => draft.account(account)?.is_some(),
    };
    let begins = there.as_ref().is_none_or(|there| there.number < number);
    let (at, digest) = match there {
        _ if begins && lives_here => return refused(Refusal::AccountExists),
        Some(there) if begins && is_departing(draft, account, &there)? => return refused(Refusal::AccountExists),
        _ if begins => (LoadedTo::START, LoadDigest::default()),
        Some(AccountMove { number: last, stage: MoveStage::Loading { to, digest, .. } }) if last == number => {
            (to, digest)
        }
        _ => return refused(Refusal::OtherMove),
    };
    let Some(end) = end(&part, account) else {
        return refused(Refusal::WrongRows);
    };
    if end <= at {
        return Ok(Outcome::Done);
    }
    if *part.after != at {
        return refused(Refusal::WrongRows);
    }
    // A row that goes on is known as sound once it is whole.
    let first = part.rows.first().filter(|first| first.key == at.key && at.octets != LoadedTo::WHOLE);
    let begun = match first {
        Some(first) => draft.get(&key::account_row(account, &first.key))?.unwrap_or_default(),
        None => Vec::new(),
    };
    let (mut put, mut loaded) = (Vec::new(), digest);
    for (index, row) in part.rows.iter().enumerate() {
        let value = match index {
            0 => [begun.as_slice(), &row.value].concat(),
            _ => row.value.clone(),
        };
        let key = key::account_row(account, &row.key);
        let whole = part.whole || index + 1 < part.rows.len();
        if whole {
            if !is_sound(&key, &value) {
                return refused(Refusal::WrongRows);
            }
            loaded = loaded.extend(&row.key, &value);
        }
        put.push((key, value, whole));
    }
    draft.settle(account);
    if begins {
        draft.forget_account(account)?;
        draft.settle(account);
    }
    for (key, value, whole) in put {
        if let Some((_, AccountRow::Blob(id))) = key::parse_account_row(&key)
            && let Some(blob) = Blob::decode(&value).filter(|_| whole)
        {
            draft.added_blob(account, id, blob.hash);
        }
        draft.put(key, value);
    }
    draft.loaded.insert((account, from));
    put_move(draft, account, number, MoveStage::Loading { from, to: end, digest: loaded });
    Ok(Outcome::Done)
}

/// How far the account has come with these rows; `None` if they are not in order, or none.
fn end(part: &Part, account: AccountId) -> Option<LoadedTo> {
    let Part { after, rows, whole } = part;
    let goes_on = after.octets != LoadedTo::WHOLE;
    let mut last: Option<&[u8]> = None;
    for row in *rows {
        let in_order = match last {
            None if goes_on => row.key == after.key,
            None => row.key > after.key,
            Some(last) => row.key.as_slice() > last,
        };
        key::parse_account_row(&key::account_row(account, &row.key)).filter(|_| in_order)?;
        last = Some(&row.key);
    }
    let last_row = rows.last()?;
    let before = if goes_on && rows.len() == 1 { after.octets } else { 0 };
    let octets = before.checked_add(last_row.value.len() as u64).filter(|octets| *octets < LoadedTo::WHOLE)?;
    Some(LoadedTo { key: last_row.key.clone(), octets: if *whole { LoadedTo::WHOLE } else { octets } })
}

fn is_sound(key: &[u8], value: &[u8]) -> bool {
    let Some((_, row)) = key::parse_account_row(key) else {
        return false;
    };
    match row {
        AccountRow::Account => Account::decode(value).is_some(),
        AccountRow::Blob(_) => Blob::decode(value).is_some(),
        AccountRow::Delivery(_) => Delivery::decode(value).is_some(),
        AccountRow::Mailbox(id) => Mailbox::decode(value).is_some_and(|mailbox| mailbox.id == id),
        AccountRow::Name => parse_mailbox_id(value).is_some() && key::parse_name(key).is_some(),
        AccountRow::Page(..) => Page::decode(value).is_some(),
        AccountRow::Subscription => value.is_empty() && key::parse_name(key).is_some(),
        AccountRow::Tombstone(..) => Tombstone::decode(value).is_some(),
    }
}
