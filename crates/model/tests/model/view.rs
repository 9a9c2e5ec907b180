//! What rows say, in the reference's words.

use paquebot_model::key::{self, AccountRow};
use paquebot_model::{
    Account, AccountMove, Blob, Delivery, Login, Mailbox, MemoryRows, MoveStage, Page, Row, Tombstone, keywords_of,
};
use paquebot_types::{AccountId, MailboxId};

use crate::reference;

/// Reads every row; panics at one that it does not understand.
pub fn view(rows: &MemoryRows) -> reference::Shard {
    let mut shard = reference::Shard::default();
    for (key, value) in rows.iter() {
        match key.first() {
            Some(b'L') => {
                let Login { name, account, shard: place, credentials, removed, .. } = Login::decode(value).unwrap();
                shard.logins.insert(name, reference::Login { account, shard: place, credentials, removed });
            }
            Some(b'l') => shard.last_account = u32::from_be_bytes(value.try_into().unwrap()),
            Some(b'R' | b'r') => {}
            Some(b'm') => {
                let AccountMove { number, stage } = AccountMove::decode(value).unwrap();
                let to = match stage {
                    MoveStage::Here { .. } | MoveStage::Forsaken => None,
                    MoveStage::Frozen { to, .. } | MoveStage::Gone { to } => Some(to),
                    MoveStage::Loading { from, .. } => panic!("the account is on its way from {from}"),
                };
                shard.moves.insert(key::parse_account_move(key).unwrap(), (number, to));
            }
            Some(b'a') => {
                let account = AccountId::new(u32::from_be_bytes(key[1..].try_into().unwrap())).unwrap();
                shard.given_out.insert(account, numbers(&Account::decode(value).unwrap()));
            }
            _ => see_account_row(&mut shard, key, value),
        }
    }
    shard
}

fn numbers(account: &Account) -> reference::Numbers {
    reference::Numbers {
        mailbox: account.last_mailbox,
        blob: account.last_blob,
        uid_validity: account.last_uid_validity,
    }
}

fn see_account_row(shard: &mut reference::Shard, key: &[u8], value: &[u8]) {
    let (id, row) = key::parse_account_row(key).unwrap();
    if row == AccountRow::Account {
        let row = Account::decode(value).unwrap();
        let account = reference::Account {
            name: row.name.clone(),
            numbers: numbers(&row),
            mailboxes: Default::default(),
            subscriptions: Default::default(),
            blobs: Default::default(),
            deliveries: Default::default(),
        };
        shard.accounts.insert(id, account);
        return;
    }
    let account = shard.accounts.get_mut(&id).expect("the account's row comes first");
    match row {
        AccountRow::Account => {}
        AccountRow::Blob(blob) => drop(account.blobs.insert(blob, Blob::decode(value).unwrap().hash)),
        AccountRow::Delivery(once) => {
            let Delivery { time_ms, uid_validity, uid, modseq } = Delivery::decode(value).unwrap();
            let delivery = reference::Delivery { time_ms, uid_validity, uid: uid.get(), modseq: modseq.0 };
            account.deliveries.insert(once, delivery);
        }
        AccountRow::Mailbox(id) => drop(account.mailboxes.insert(id, mailbox(Mailbox::decode(value).unwrap()))),
        AccountRow::Name => {
            let id = MailboxId::new(u32::from_be_bytes(value.try_into().unwrap())).unwrap();
            assert_eq!(account.named(&key::parse_name(key).unwrap()), Some(id));
        }
        AccountRow::Page(id, _) => {
            let mailbox = account.mailboxes.get_mut(&id).unwrap();
            let messages = messages(mailbox, value);
            mailbox.messages.extend(messages);
        }
        AccountRow::Subscription => drop(account.subscriptions.insert(key::parse_name(key).unwrap())),
        AccountRow::Tombstone(id, modseq) => {
            let mailbox = account.mailboxes.get_mut(&id).unwrap();
            let Tombstone { time_ms, uids, messages: pages } = Tombstone::decode(value).unwrap();
            let messages = pages.iter().flat_map(|page| messages(mailbox, page)).collect();
            mailbox.expunged.insert(modseq.0, reference::Expunged { time_ms, uids, messages });
        }
    }
}

fn mailbox(row: Mailbox) -> reference::Mailbox {
    reference::Mailbox {
        name: row.name,
        uid_validity: row.uid_validity,
        uid_next: row.uid_next.unwrap().get(),
        modseq: row.highest_modseq.0,
        recent_from: row.recent_from,
        special_use: row.special_use,
        keywords: row.keywords.iter().map(|keyword| keyword.as_str().into()).collect(),
        deleted_ms: row.deleted_ms,
        messages: vec![],
        expunged: Default::default(),
    }
}

fn messages(mailbox: &reference::Mailbox, page: &[u8]) -> Vec<reference::Message> {
    let names: Vec<_> = mailbox.keywords.iter().map(|name| paquebot_types::Keyword::new(name).unwrap()).collect();
    let message = |message: &paquebot_model::Message| reference::Message {
        uid: message.uid.get(),
        modseq: message.modseq.0,
        flags: message.flags,
        keywords: keywords_of(&names, message.keywords()).map(|name| name.as_str().to_ascii_lowercase()).collect(),
        internal_date: message.internal_date,
        save_date: message.save_date,
        size: message.size,
        blob: message.blob,
    };
    Page::decode(page).unwrap().messages.iter().map(message).collect()
}
