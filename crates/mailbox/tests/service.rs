//! The service on a real store: what is acknowledged is seen at once by who has the mailbox open, and is there after a restart.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use paquebot_log_embedded::EmbeddedLog;
use paquebot_mailbox::{Account, ChangeError, Service, ServiceOptions};
use paquebot_model::{FlagAction, FlagChange, Outcome, Refusal};
use paquebot_store::fs::RealFs;
use paquebot_store::{Options, Store};
use paquebot_types::{Flags, InternalDate, MailboxName, SeqNum, Uid, UidSet};

async fn start(dir: &Path) -> Arc<Service> {
    let (store, tail) = Store::open(Arc::new(RealFs), dir, Options::default()).unwrap();
    let store = Arc::new(store);
    let log = Arc::new(EmbeddedLog::open(store.clone(), tail).unwrap());
    Service::start(store, log, "test", ServiceOptions::default()).await.unwrap()
}

async fn append(account: &Account, mailbox: &str, bodies: &[Vec<u8>]) -> UidSet {
    let id = account.mailbox_named(&MailboxName::new(mailbox).unwrap()).unwrap().unwrap();
    let mut messages = Vec::new();
    for body in bodies {
        let mut incoming = account.incoming(Some(body.len() as u64));
        for chunk in body.chunks(60_000) {
            incoming.write(chunk).unwrap();
        }
        messages.push(incoming.finish().await.unwrap().message(
            Flags::NONE,
            Vec::new(),
            InternalDate::utc(1_000_000_000),
        ));
    }
    match account.append(id, messages).await.unwrap() {
        Outcome::Appended { uids, .. } => uids,
        other => panic!("{other:?}"),
    }
}

fn read(account: &Account, mailbox: &str, uid: u32) -> Vec<u8> {
    let id = account.mailbox_named(&MailboxName::new(mailbox).unwrap()).unwrap().unwrap();
    let live = account.open(id).unwrap().unwrap();
    let message = *live.current().messages.find(Uid::new(uid).unwrap()).unwrap();
    let reader = account.reader().unwrap();
    let mut body = vec![0; message.size as usize];
    let read = reader.read_body(reader.location(message.blob).unwrap(), 0, &mut body).unwrap();
    assert_eq!(read, body.len());
    body
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_is_seen_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let small = b"Subject: small\r\n\r\nHello\r\n".to_vec();
    let large = [b"Subject: large\r\n\r\n".to_vec(), b"0123456789abcdef\r\n".repeat(100_000)].concat();
    {
        let service = start(dir.path()).await;
        let account = service.add_login("anna", Some("{hash}".into())).await.unwrap();
        assert_eq!(account.list().unwrap().len(), 6, "INBOX and the usual mailboxes");
        let inbox = account.mailbox_named(&MailboxName::inbox()).unwrap().unwrap();
        let live = account.open(inbox).unwrap().unwrap();
        let mut bell = live.subscribe();
        let before = bell.borrow_and_update().clone();
        assert_eq!(append(&account, "INBOX", &[small.clone(), large.clone()]).await.to_string(), "1:2");
        assert!(bell.has_changed().unwrap(), "the bell rings before the change is acknowledged");
        assert_eq!(before.messages.diff(&live.current().messages).added.len(), 2);

        let change = FlagChange { action: FlagAction::Add, flags: Flags::DELETED, keywords: Vec::new() };
        account.store(inbox, UidSet::all(), change, None).await.unwrap();
        let archive = account.mailbox_named(&MailboxName::new("Archive").unwrap()).unwrap().unwrap();
        let only_second: UidSet = [Uid::new(2).unwrap()].into_iter().collect();
        account.r#move(inbox, only_second, archive).await.unwrap();
        let current = live.current();
        assert_eq!(current.messages.len(), 1);
        assert_eq!(current.messages.get(SeqNum::MIN).unwrap().flags, Flags::DELETED);
        assert!(matches!(
            account.create(&MailboxName::inbox(), &[]).await,
            Err(ChangeError::Refused(Refusal::MailboxExists))
        ));
        drop((live, account));
        let ended = service.ended();
        drop(service);
        ended.await;
    }
    let service = start(dir.path()).await;
    let account = service.account("anna").await.unwrap().unwrap();
    assert_eq!(read(&account, "INBOX", 1), small);
    assert_eq!(read(&account, "Archive", 1), large);
    assert!(service.account("bert").await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_get_ascending_uids() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let account = service.add_login("anna", None).await.unwrap();
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let account = account.clone();
            tokio::spawn(async move {
                let mut last = 0;
                for m in 0..20 {
                    let body = format!("Subject: {n} {m}\r\n\r\n").into_bytes();
                    let uid = append(&account, "INBOX", &[body]).await.first().unwrap().get();
                    assert!(uid > last);
                    last = uid;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let status = account.status(&MailboxName::inbox()).unwrap().unwrap();
    assert_eq!((status.messages, status.uid_next), (320, Uid::new(321)));
    let rows = service.store().read().unwrap().rows(paquebot_types::ShardId::FIRST);
    assert_eq!(paquebot_model::check_accounts(&rows).unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_expunged_can_come_back_until_it_is_purged() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let account = service.add_login("anna", None).await.unwrap();
    let (shard, id) = account.id();
    let inbox = account.mailbox_named(&MailboxName::inbox()).unwrap().unwrap();
    append(&account, "INBOX", &[b"1\r\n".to_vec(), b"2\r\n".to_vec(), b"3\r\n".to_vec()]).await;
    let copied: UidSet = [Uid::new(1).unwrap()].into_iter().collect();
    let archive = account.mailbox_named(&MailboxName::new("Archive").unwrap()).unwrap().unwrap();
    account.copy(inbox, copied, archive).await.unwrap();
    let change = FlagChange { action: FlagAction::Add, flags: Flags::DELETED, keywords: Vec::new() };
    account.store(inbox, UidSet::all(), change.clone(), None).await.unwrap();
    account.expunge(inbox, UidSet::all()).await.unwrap();

    let early = service.upkeep(shard, 1).await.unwrap();
    assert_eq!((early.accounts, early.purged, early.collected), (1, 0, 0));
    let back = account
        .change(paquebot_model::Op::Undelete { account: id, mailbox: inbox, since_ms: 0 }, vec![])
        .await
        .unwrap();
    assert_eq!(back, Outcome::Undeleted { messages: 3 });
    assert_eq!(read(&account, "INBOX", 5), b"2\r\n");

    account.store(inbox, UidSet::all(), change, None).await.unwrap();
    account.expunge(inbox, UidSet::all()).await.unwrap();
    let late = service.upkeep(shard, u64::MAX).await.unwrap();
    assert_eq!((late.purged, late.collected), (1, 2), "the copy in Archive keeps its body");
    assert_eq!(read(&account, "Archive", 1), b"1\r\n");
    let rows = service.store().read().unwrap().rows(shard);
    assert_eq!(paquebot_model::check_accounts(&rows).unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_expunged_or_deleted_is_listed_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let account = service.add_login("anna", Some("{hash}".into())).await.unwrap();
    assert_eq!(account.recoverable().unwrap(), []);
    let inbox = account.mailbox_named(&MailboxName::inbox()).unwrap().unwrap();
    let old = MailboxName::new("Old").unwrap();
    account.create(&old, &[]).await.unwrap();
    append(&account, "INBOX", &[b"one".to_vec(), b"twenty".to_vec()]).await;
    append(&account, "Old", &[b"three".to_vec()]).await;
    let change = FlagChange { action: FlagAction::Add, flags: Flags::DELETED, keywords: Vec::new() };
    account.store(inbox, UidSet::all(), change, None).await.unwrap();
    account.expunge(inbox, UidSet::all()).await.unwrap();
    account.delete(&old).await.unwrap();

    let found = account.recoverable().unwrap();
    let [first, second] = &found[..] else { panic!("{found:?}") };
    assert_eq!((first.mailbox, first.deleted_ms, first.messages), (inbox, None, 0));
    assert_eq!((first.expunged[0].messages, first.expunged[0].bytes), (2, 9));
    assert_eq!((&second.name, second.messages, second.expunged.len()), (&old, 1, 0));

    let long_after = first.expunged[0].time_ms + 1_000_000;
    assert_eq!(account.undelete(inbox, long_after).await.unwrap(), 0);
    assert_eq!(account.undelete(inbox, first.expunged[0].time_ms).await.unwrap(), 2);
    assert_eq!(account.undelete_mailbox(second.mailbox, &old).await.unwrap(), 1);
    assert_eq!(account.recoverable().unwrap(), []);
    assert_eq!(read(&account, "INBOX", 4), b"twenty");
    assert_eq!(read(&account, "Old", 1), b"three");
}
