//! The checks find what they are for: each row here is damaged on purpose.

use paquebot_model::{Account, Mailbox, Page, Row, RowChange, Rows, check_accounts, key};
use paquebot_types::{BlobId, Flags, MailboxId, ModSeq, Uid, UidValidity};

use crate::shard::{ANNA, Shard, name, uids};

/// A damage and how the breach that it makes begins.
type Case<T> = (fn(&mut T), &'static str);

fn shard() -> Shard {
    let mut shard = Shard::with(&["a"]);
    shard.append("INBOX", 3);
    shard.expunge("INBOX", uids(2, 2));
    shard
}

/// What the checks say of a shard after one row was changed.
fn breaches(shard: &mut Shard, key: Vec<u8>, value: Option<Vec<u8>>) -> Vec<String> {
    shard.rows.change(&[RowChange { key, value }]);
    check_accounts(&shard.rows).unwrap().into_iter().map(|breach| breach.what).collect()
}

fn value(shard: &Shard, key: &[u8]) -> Vec<u8> {
    shard.rows.get(key).unwrap().unwrap()
}

#[test]
fn a_wrong_mailbox_row_is_found() {
    let cases: [Case<Mailbox>; 9] = [
        (|mailbox| mailbox.messages += 1, "mailbox 1 says"),
        (|mailbox| mailbox.unseen -= 1, "mailbox 1 says"),
        (|mailbox| mailbox.size += 1, "mailbox 1 says"),
        (|mailbox| mailbox.uid_next = Uid::new(3), "mailbox 1: UID 3 is not below UIDNEXT"),
        (|mailbox| mailbox.highest_modseq = ModSeq(1), "mailbox 1: UID 1 has modseq 2, and the mailbox 1"),
        (|mailbox| mailbox.name = name("b"), "mailbox 1 cannot be found by its name"),
        (|mailbox| mailbox.id = MailboxId::MAX, "mailbox 1 calls itself"),
        (|mailbox| mailbox.uid_validity = UidValidity::MAX, "mailbox 1: UIDVALIDITY 4294967295 is above the last one"),
        (|mailbox| mailbox.deleted_ms = Some(1), "the name \"INBOX\" leads to mailbox 1, which does not bear it"),
    ];
    for (damage, expected) in cases {
        let mut shard = shard();
        let key = key::mailbox(ANNA, shard.id("INBOX"));
        let mut row = Mailbox::decode(&value(&shard, &key)).unwrap();
        damage(&mut row);
        let found = breaches(&mut shard, key, Some(row.encode()));
        assert!(found.iter().any(|breach| breach.starts_with(expected)), "{expected}: {found:?}");
    }
}

#[test]
fn a_wrong_page_is_found() {
    let cases: [Case<Page>; 5] = [
        (|page| page.messages[0].flags = Flags::SEEN, "mailbox 1 says"),
        (|page| page.messages[0].blob = BlobId::MAX, "a message names body 18446744073709551615, which has no row"),
        (|page| page.messages[0].set_keywords(1), "mailbox 1: UID 1 has a keyword without a name"),
        (|page| page.messages[1].uid = Uid::new(64).unwrap(), "mailbox 1: UID 64 is out of its place"),
        (|page| page.messages.clear(), "mailbox 1: page 0 is empty"),
    ];
    for (damage, expected) in cases {
        let mut shard = shard();
        let key = key::page(ANNA, shard.id("INBOX"), 0);
        let mut page = Page::decode(&value(&shard, &key)).unwrap();
        damage(&mut page);
        let found = breaches(&mut shard, key, Some(page.encode()));
        assert!(found.iter().any(|breach| breach.starts_with(expected)), "{expected}: {found:?}");
    }
}

#[test]
fn a_wrong_account_row_is_found() {
    let cases: [Case<Account>; 4] = [
        (|account| account.mailboxes += 1, "the account counts 3 mailboxes and has 2"),
        (|account| account.last_mailbox = 1, "mailbox 2 is above the last one"),
        (|account| account.last_blob = 2, "a body's number is above the last one"),
        (|account| account.last_uid_validity -= 1, "mailbox 2: UIDVALIDITY 1700000001 is above the last one"),
    ];
    for (damage, expected) in cases {
        let mut shard = shard();
        let key = key::account(ANNA);
        let mut row = Account::decode(&value(&shard, &key)).unwrap();
        damage(&mut row);
        assert_eq!(breaches(&mut shard, key, Some(row.encode())), [expected]);
    }
}

#[test]
fn a_row_that_is_missing_or_cannot_be_read_is_found() {
    let inbox = MailboxId::MIN;
    let keys = [
        key::account(ANNA),
        key::mailbox(ANNA, inbox),
        key::name(ANNA, &name("INBOX")),
        key::page(ANNA, inbox, 0),
        key::blob(ANNA, BlobId::new(2).unwrap()),
    ];
    for key in keys {
        let name = key.escape_ascii().to_string();
        assert_ne!(breaches(&mut shard(), key.clone(), None), [""; 0], "{name} is missing");
        let found = breaches(&mut shard(), key, Some(vec![99]));
        assert!(found.contains(&format!("the row {name} cannot be read")), "{name}: {found:?}");
    }
    let tombstone = key::tombstone(ANNA, inbox, ModSeq(90));
    let (mut shard, at) = (shard(), key::tombstone(ANNA, inbox, ModSeq(4)));
    let value = value(&shard, &at);
    assert_eq!(breaches(&mut shard, tombstone, Some(value)), ["a tombstone of mailbox 1 is later than the mailbox"]);
}
