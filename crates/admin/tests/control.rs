//! Commands over the socket of a data directory.

use std::path::Path;
use std::sync::Arc;

use paquebot_admin::control::{self, AskError};
use paquebot_admin::{Answer, Request};
use paquebot_log_embedded::EmbeddedLog;
use paquebot_mailbox::{Account, Service, usual_mailboxes};
use paquebot_model::{FlagAction, FlagChange};
use paquebot_store::fs::RealFs;
use paquebot_store::{Options, Store};
use paquebot_types::{Flags, InternalDate, MailboxName, UidSet};

async fn start(dir: &Path) -> Arc<Service> {
    let (store, tail) = Store::open(Arc::new(RealFs), dir, Options::default()).unwrap();
    let store = Arc::new(store);
    let log = Arc::new(EmbeddedLog::open(store.clone(), tail).unwrap());
    let service = Service::start(store, log, "test", usual_mailboxes()).await.unwrap();
    let listener = control::listen(dir).unwrap();
    let serving = service.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(control::serve(stream, serving.clone()));
        }
    });
    service
}

async fn ask(dir: &Path, request: Request) -> Result<Answer, AskError> {
    control::ask(dir, &request, |_| {}).await.map(|answer| answer.expect("a server runs"))
}

async fn append(account: &Account, name: &MailboxName, count: usize) {
    let id = account.mailbox_named(name).unwrap().unwrap();
    for n in 0..count {
        let mut incoming = account.incoming(None);
        incoming.write(format!("Subject: {n}\r\n\r\n").as_bytes()).unwrap();
        let message = incoming.finish().await.unwrap().message(Flags::DELETED, vec![], InternalDate::utc(0));
        account.append(id, vec![message]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_are_managed_while_the_server_runs() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(control::ask(dir.path(), &Request::UserList, |_| {}).await.unwrap(), None, "nobody listens");
    let _service = start(dir.path()).await;
    let add = |name: &str| Request::UserAdd { name: name.into(), credentials: "{hash}".into() };
    assert_eq!(ask(dir.path(), add("anna")).await.unwrap(), Answer::Done);
    let twice = ask(dir.path(), add("anna")).await.unwrap_err();
    assert_eq!(twice.to_string(), "anna: a login of this name exists");
    let Answer::Users { users } = ask(dir.path(), Request::UserList).await.unwrap() else { panic!("not users") };
    assert_eq!(users.iter().map(|user| &*user.name).collect::<Vec<_>>(), ["anna"]);
    let unknown = ask(dir.path(), Request::UserRemove { name: "bert".into() }).await.unwrap_err();
    assert_eq!(unknown.to_string(), "bert: no such login");
    assert_eq!(ask(dir.path(), Request::UserRemove { name: "anna".into() }).await.unwrap(), Answer::Done);
    let Answer::Users { users } = ask(dir.path(), Request::UserList).await.unwrap() else { panic!("not users") };
    assert_eq!(users, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_expunged_or_deleted_is_listed_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let account = service.add_login("anna", None).await.unwrap();
    let (inbox, old) = (MailboxName::inbox(), MailboxName::new("Old").unwrap());
    account.create(&old, &[]).await.unwrap();
    append(&account, &inbox, 3).await;
    append(&account, &old, 2).await;
    let id = account.mailbox_named(&inbox).unwrap().unwrap();
    account.expunge(id, UidSet::all()).await.unwrap();
    account.delete(&old).await.unwrap();
    account.create(&old, &[]).await.unwrap();

    let request = Request::Recoverable { user: "anna".into() };
    let Answer::Recoverable { mailboxes } = ask(dir.path(), request.clone()).await.unwrap() else { panic!("no list") };
    let told: Vec<_> =
        mailboxes.iter().map(|found| (&*found.mailbox, found.messages, found.deleted_ms.is_some())).collect();
    assert_eq!(told, [("INBOX", 3, false), ("Old", 2, true)]);

    let undelete = Request::Undelete { user: "anna".into(), mailbox: None, since_ms: 0 };
    assert_eq!(ask(dir.path(), undelete).await.unwrap(), Answer::Undeleted { messages: 5, mailboxes: 1 });
    assert_eq!(account.status(&inbox).unwrap().unwrap().messages, 3);
    let back = MailboxName::new("Old (undeleted 1)").unwrap();
    assert_eq!(account.status(&back).unwrap().unwrap().messages, 2);
    assert_eq!(ask(dir.path(), request).await.unwrap(), Answer::Recoverable { mailboxes: vec![] });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_finds_nothing_and_a_backup_opens() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let account = service.add_login("anna", None).await.unwrap();
    append(&account, &MailboxName::inbox(), 5).await;
    let change = FlagChange { action: FlagAction::Add, flags: Flags::SEEN, keywords: vec![] };
    let id = account.mailbox_named(&MailboxName::inbox()).unwrap().unwrap();
    account.store(id, UidSet::all(), change, None).await.unwrap();
    let Answer::Checked(checked) = ask(dir.path(), Request::Check).await.unwrap() else { panic!("no check") };
    assert_eq!((checked.bodies, checked.problems), (5, vec![]));

    let target = tempfile::tempdir().unwrap();
    let copy = target.path().join("copy");
    ask(dir.path(), Request::Backup { directory: copy.clone() }).await.unwrap();
    let copied = start(&copy).await;
    let account = copied.account("anna").await.unwrap().unwrap();
    assert_eq!(account.status(&MailboxName::inbox()).unwrap().unwrap().messages, 5);
}

#[tokio::test]
async fn a_command_that_nobody_knows_is_refused() {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    let dir = tempfile::tempdir().unwrap();
    let _service = start(dir.path()).await;
    let stream = tokio::net::UnixStream::connect(control::path(dir.path())).await.unwrap();
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    for request in ["{\"command\":\"format-disk\"}\n", "not json\n"] {
        write.write_all(request.as_bytes()).await.unwrap();
        let line = lines.next_line().await.unwrap().unwrap();
        assert!(line.contains("not a command that this server knows"), "{line}");
    }
}
