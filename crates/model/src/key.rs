//! Where each row lies. Numbers are big-endian, so that rows sort as their numbers do; all rows of an account lie together, so that a
//! snapshot, a move or a removal of an account is one range.
//!
//! ```text
//! system shard    L name                      login
//!                 l                           number of the last account
//! every shard     R record-id                 sequence, for the recent window
//!                 r sequence                  record-id, for the recent window
//! account shard   A account 0                 account
//!                 A account B blob            blob: hash, size, summary
//!                 A account D key             delivery: what came of it
//!                 A account M mailbox         mailbox
//!                 A account N name            number of the mailbox with this name
//!                 A account P mailbox page    page of up to 64 messages
//!                 A account S name            subscription
//!                 A account T mailbox modseq  tombstone: what was expunged
//!                 a account                   account that was removed: the numbers that it gave out
//!                 m account                   the account's last move to or from the shard
//! ```

use crate::record::DeliveryKey;
use paquebot_types::{AccountId, BlobId, MailboxId, MailboxName, ModSeq, Sequence};

/// A range of keys, `from <= key < to`.
pub type KeyRange = (Vec<u8>, Vec<u8>);

/// What a row of an account holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountRow {
    Account,
    Blob(BlobId),
    Delivery(DeliveryKey),
    Mailbox(MailboxId),
    Name,
    Page(MailboxId, u32),
    Subscription,
    Tombstone(MailboxId, ModSeq),
}

pub fn login(name: &str) -> Vec<u8> {
    [b"L", name.as_bytes()].concat()
}

pub fn logins() -> KeyRange {
    (b"L".to_vec(), b"M".to_vec())
}

pub fn last_account() -> Vec<u8> {
    b"l".to_vec()
}

pub fn recent_id(id: &[u8; 16]) -> Vec<u8> {
    [b"R".as_slice(), id].concat()
}

pub fn recent_sequence(sequence: Sequence) -> Vec<u8> {
    [b"r".as_slice(), &sequence.0.to_be_bytes()].concat()
}

/// The ids that were applied at `last` or before.
pub fn recent_sequences_to(last: Sequence) -> KeyRange {
    let mut to = recent_sequence(last);
    to.push(0);
    (recent_sequence(Sequence::ZERO), to)
}

pub fn removed_account(account: AccountId) -> Vec<u8> {
    [b"a".as_slice(), &account.get().to_be_bytes()].concat()
}

pub fn account_move(account: AccountId) -> Vec<u8> {
    [b"m".as_slice(), &account.get().to_be_bytes()].concat()
}

/// The moves of all accounts of the shard.
pub fn account_moves() -> KeyRange {
    (b"m".to_vec(), b"n".to_vec())
}

/// The account in the key of a move's row.
pub fn parse_account_move(key: &[u8]) -> Option<AccountId> {
    AccountId::new(u32::from_be_bytes(key.strip_prefix(b"m")?.try_into().ok()?))
}

pub fn accounts() -> KeyRange {
    (b"A".to_vec(), b"B".to_vec())
}

/// Where in the key of an account's row that begins which is not the account's number.
pub const KIND_AT: usize = 5;

/// The key of an account's row, whose part from [`KIND_AT`] on this is.
pub(crate) fn account_row(account: AccountId, rest: &[u8]) -> Vec<u8> {
    [b"A".as_slice(), &account.get().to_be_bytes(), rest].concat()
}

fn prefix(account: AccountId, kind: u8) -> Vec<u8> {
    let mut key = Vec::with_capacity(20);
    key.push(b'A');
    key.extend_from_slice(&account.get().to_be_bytes());
    key.push(kind);
    key
}

fn kind_range(account: AccountId, kind: u8) -> KeyRange {
    (prefix(account, kind), prefix(account, kind + 1))
}

pub fn account(account: AccountId) -> Vec<u8> {
    prefix(account, 0)
}

/// Every row of an account.
pub fn account_rows(account: AccountId) -> KeyRange {
    (prefix(account, 0), prefix(account, u8::MAX))
}

pub fn blob(account: AccountId, blob: BlobId) -> Vec<u8> {
    let mut key = prefix(account, b'B');
    key.extend_from_slice(&blob.get().to_be_bytes());
    key
}

pub fn blobs(account: AccountId) -> KeyRange {
    kind_range(account, b'B')
}

pub fn delivery(account: AccountId, once: DeliveryKey) -> Vec<u8> {
    let mut key = prefix(account, b'D');
    key.extend_from_slice(&once.0);
    key
}

/// The deliveries whose keys are above this one.
pub fn deliveries_after(account: AccountId, once: DeliveryKey) -> KeyRange {
    let mut from = delivery(account, once);
    from.push(0);
    (from, prefix(account, b'D' + 1))
}

pub fn mailbox(account: AccountId, mailbox: MailboxId) -> Vec<u8> {
    let mut key = prefix(account, b'M');
    key.extend_from_slice(&mailbox.get().to_be_bytes());
    key
}

pub fn mailboxes(account: AccountId) -> KeyRange {
    kind_range(account, b'M')
}

pub fn name(account: AccountId, name: &MailboxName) -> Vec<u8> {
    let mut key = prefix(account, b'N');
    key.extend_from_slice(name.as_str().as_bytes());
    key
}

pub fn names(account: AccountId) -> KeyRange {
    kind_range(account, b'N')
}

/// The names below `parent`, at any depth.
pub fn names_below(account: AccountId, parent: &MailboxName) -> KeyRange {
    let mut from = name(account, parent);
    let mut to = from.clone();
    from.push(b'/');
    to.push(b'/' + 1);
    (from, to)
}

pub fn page(account: AccountId, mailbox: MailboxId, page: u32) -> Vec<u8> {
    let mut key = prefix(account, b'P');
    key.extend_from_slice(&mailbox.get().to_be_bytes());
    key.extend_from_slice(&page.to_be_bytes());
    key
}

/// The pages numbered `first` to `last`, both included.
pub fn pages(account: AccountId, mailbox: MailboxId, first: u32, last: u32) -> KeyRange {
    let mut to = page(account, mailbox, last);
    to.push(0);
    (page(account, mailbox, first), to)
}

/// Every page of the account.
pub fn all_pages(account: AccountId) -> KeyRange {
    kind_range(account, b'P')
}

pub fn subscription(account: AccountId, name: &MailboxName) -> Vec<u8> {
    let mut key = prefix(account, b'S');
    key.extend_from_slice(name.as_str().as_bytes());
    key
}

pub fn subscriptions(account: AccountId) -> KeyRange {
    kind_range(account, b'S')
}

pub fn tombstone(account: AccountId, mailbox: MailboxId, modseq: ModSeq) -> Vec<u8> {
    let mut key = prefix(account, b'T');
    key.extend_from_slice(&mailbox.get().to_be_bytes());
    key.extend_from_slice(&modseq.0.to_be_bytes());
    key
}

/// Every tombstone of the account.
pub fn tombstones(account: AccountId) -> KeyRange {
    kind_range(account, b'T')
}

/// The tombstones with a modseq above `after`.
pub fn tombstones_after(account: AccountId, mailbox: MailboxId, after: ModSeq) -> KeyRange {
    let mut to = tombstone(account, mailbox, ModSeq(u64::MAX));
    to.push(0);
    (tombstone(account, mailbox, after.next()), to)
}

/// Reads a key of an account; `None` for any other.
pub fn parse_account_row(key: &[u8]) -> Option<(AccountId, AccountRow)> {
    let (account, rest) = key.strip_prefix(b"A")?.split_first_chunk::<4>()?;
    let account = AccountId::new(u32::from_be_bytes(*account))?;
    let (kind, rest) = rest.split_first()?;
    fn mailbox(rest: &[u8]) -> Option<(MailboxId, &[u8])> {
        let (mailbox, rest) = rest.split_first_chunk::<4>()?;
        Some((MailboxId::new(u32::from_be_bytes(*mailbox))?, rest))
    }
    let row = match kind {
        0 if rest.is_empty() => AccountRow::Account,
        b'B' => AccountRow::Blob(BlobId::new(u64::from_be_bytes(rest.try_into().ok()?))?),
        b'D' => AccountRow::Delivery(DeliveryKey(rest.try_into().ok()?)),
        b'M' => AccountRow::Mailbox(MailboxId::new(u32::from_be_bytes(rest.try_into().ok()?))?),
        b'N' => AccountRow::Name,
        b'P' => {
            let (mailbox, page) = mailbox(rest)?;
            AccountRow::Page(mailbox, u32::from_be_bytes(page.try_into().ok()?))
        }
        b'S' => AccountRow::Subscription,
        b'T' => {
            let (mailbox, modseq) = mailbox(rest)?;
            AccountRow::Tombstone(mailbox, ModSeq(u64::from_be_bytes(modseq.try_into().ok()?)))
        }
        _ => return None,
    };
    Some((account, row))
}

/// The name in the key of a [`AccountRow::Name`] or [`AccountRow::Subscription`] row.
pub fn parse_name(key: &[u8]) -> Option<MailboxName> {
    MailboxName::new(std::str::from_utf8(key.get(6..)?).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_go_there_and_back() {
        let (a, m, b) = (AccountId::new(7).unwrap(), MailboxId::new(9).unwrap(), BlobId::new(11).unwrap());
        let inbox = MailboxName::inbox();
        let cases = [
            (account(a), AccountRow::Account),
            (blob(a, b), AccountRow::Blob(b)),
            (delivery(a, DeliveryKey([9; 16])), AccountRow::Delivery(DeliveryKey([9; 16]))),
            (mailbox(a, m), AccountRow::Mailbox(m)),
            (name(a, &inbox), AccountRow::Name),
            (page(a, m, 3), AccountRow::Page(m, 3)),
            (subscription(a, &inbox), AccountRow::Subscription),
            (tombstone(a, m, ModSeq(5)), AccountRow::Tombstone(m, ModSeq(5))),
        ];
        for (key, row) in cases {
            assert_eq!(parse_account_row(&key), Some((a, row)));
            let (from, to) = account_rows(a);
            assert!(from <= key && key < to);
            assert_eq!(account_row(a, &key[KIND_AT..]), key);
        }
        assert_eq!(parse_name(&name(a, &inbox)), Some(inbox));
    }

    #[test]
    fn names_below_are_not_neighbours() {
        let a = AccountId::MIN;
        let n = |text| name(a, &MailboxName::new(text).unwrap());
        let (from, to) = names_below(a, &MailboxName::new("a").unwrap());
        let inside = |key: Vec<u8>| from <= key && key < to;
        assert!(inside(n("a/b")) && inside(n("a/b/c")));
        assert!(!inside(n("a")) && !inside(n("a.b")) && !inside(n("ab")) && !inside(n("a0")));
    }
}
