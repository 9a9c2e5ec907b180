//! Commands over the socket of a data directory.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use paquebot_admin::control;
use paquebot_admin::http::{Metric, Source};
use paquebot_admin::{Answer, AskError, Connection, Fate, Imported, Messages, Request, Running, Sent};
use paquebot_log_embedded::EmbeddedLog;
use paquebot_mailbox::{Account, Service, ServiceOptions};
use paquebot_model::{FlagAction, FlagChange};
use paquebot_store::fs::RealFs;
use paquebot_store::{Options, Store};
use paquebot_types::{Flags, InternalDate, Keyword, MailboxName, UidSet};

async fn start(dir: &Path) -> Arc<Service> {
    let (store, tail) = Store::open(Arc::new(RealFs), dir, Options::default()).unwrap();
    let store = Arc::new(store);
    let log = Arc::new(EmbeddedLog::open(store.clone(), tail).unwrap());
    let service = Service::start(store, log, "test", ServiceOptions::default()).await.unwrap();
    let listener = control::listen(dir).unwrap();
    let serving = service.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(control::serve(stream, serving.clone(), Arc::new(Nothing)));
        }
    });
    service
}

struct Nothing;

impl Source for Nothing {
    fn metrics(&self) -> Vec<Metric> {
        Vec::new()
    }

    fn failure(&self) -> Option<String> {
        None
    }

    fn running(&self) -> Running {
        Running { process: 1, uptime_seconds: 0, listening: Vec::new(), imap_sessions: 0 }
    }
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

    let request = Request::Recoverable { user: "anna".into(), mailbox: None, since_ms: 0 };
    let Answer::Recoverable { mailboxes } = ask(dir.path(), request.clone()).await.unwrap() else { panic!("no list") };
    let told: Vec<_> =
        mailboxes.iter().map(|found| (&*found.mailbox, found.expunged, found.deleted_ms.map(|_| found.held))).collect();
    assert_eq!(told, [("INBOX", 3, None), ("Old", 0, Some(2))]);
    let later = Request::Recoverable { user: "anna".into(), mailbox: None, since_ms: u64::MAX };
    assert_eq!(ask(dir.path(), later).await.unwrap(), Answer::Recoverable { mailboxes: vec![] });
    let wrong = Request::Undelete { user: "anna".into(), mailbox: Some("Odl".into()), since_ms: 0 };
    assert!(ask(dir.path(), wrong).await.unwrap_err().to_string().contains("no such mailbox"));

    let undelete = Request::Undelete { user: "anna".into(), mailbox: None, since_ms: 0 };
    assert_eq!(ask(dir.path(), undelete).await.unwrap(), Answer::Undeleted { messages: 5, mailboxes: 1 });
    assert_eq!(account.status(&inbox).unwrap().unwrap().messages, 3);
    let back = MailboxName::new("Old (undeleted 1)").unwrap();
    assert_eq!(account.status(&back).unwrap().unwrap().messages, 2);
    assert_eq!(ask(dir.path(), request).await.unwrap(), Answer::Recoverable { mailboxes: vec![] });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_imported_user_has_a_fate() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let import = |names: &[&str], credentials: &str, replace| {
        let imported = |name: &&str| Imported { name: (*name).into(), credentials: credentials.into() };
        Request::UserImport { users: names.iter().map(imported).collect(), replace }
    };
    let fates = |fates: &[Fate]| Answer::Imported { fates: fates.to_vec() };
    let many: Vec<String> = (0..150).map(|number| format!("user{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(ask(dir.path(), import(&many, "{a}", false)).await.unwrap(), fates(&vec![Fate::Added; 150]));
    let again = import(&["user7", "anna"], "{b}", false);
    assert_eq!(ask(dir.path(), again).await.unwrap(), fates(&[Fate::Exists, Fate::Added]));
    assert_eq!(service.login("user7").unwrap().unwrap().credentials.as_deref(), Some("{a}"));
    assert_eq!(ask(dir.path(), import(&["user7"], "{b}", true)).await.unwrap(), fates(&[Fate::Replaced]));
    assert_eq!(service.login("user7").unwrap().unwrap().credentials.as_deref(), Some("{b}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_socket_of_a_deep_directory_is_reached() {
    let place = tempfile::tempdir().unwrap();
    let deep = place.path().join("d".repeat(120));
    let _service = start(&deep).await;
    let Answer::Status(status) = ask(&deep, Request::Status).await.unwrap() else { panic!("no status") };
    assert_eq!((status.users, status.failure, status.running.map(|running| running.process)), (0, None, Some(1)));
    assert!(control::is_answered(&deep) && !control::is_answered(place.path()));
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

#[tokio::test]
async fn a_mailbox_is_sent_message_by_message() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let account = service.add_login("anna", None).await.unwrap();
    let inbox = MailboxName::inbox();
    append(&account, &inbox, 600).await;
    // One that is not held whole.
    let id = account.mailbox_named(&inbox).unwrap().unwrap();
    let large = [b"Subject: large\r\n\r\n".as_slice(), &b"0123456789abcde\n".repeat(100_000)].concat();
    let mut incoming = account.incoming(None);
    incoming.write(&large).unwrap();
    let keyword = Keyword::new("$Junk").unwrap();
    let message =
        incoming.finish().await.unwrap().message(Flags::SEEN, vec![keyword.clone()], InternalDate::new(7, 60));
    account.append(id, vec![message]).await.unwrap();

    let mut connection = Connection::open(dir.path()).await.unwrap().unwrap();
    let answer = connection.ask(&Request::Mailboxes { user: "anna".into() }, |_| {}).await.unwrap();
    let Answer::Mailboxes { mailboxes, .. } = answer else { panic!("{answer:?}") };
    let state = mailboxes.iter().find(|mailbox| mailbox.name == inbox).unwrap();
    assert_eq!((state.messages, state.keywords.as_slice()), (601, [keyword.clone()].as_slice()));

    let wanted = |mailbox: &str, octets_after| Messages {
        user: "anna".into(),
        mailbox: MailboxName::new(mailbox).unwrap(),
        octets_after,
    };
    let refused = connection.messages(wanted("Nothing", 0)).await.unwrap().next().await.unwrap_err();
    assert_eq!(refused.to_string(), "there is no mailbox Nothing");
    let mut messages = connection.messages(wanted("INBOX", 300)).await.unwrap();
    let mut uid = 0;
    while let Some(sent) = messages.next().await.unwrap() {
        let Sent::Message { head, octets } = sent else { panic!("{sent:?}") };
        uid += 1;
        assert_eq!(head.uid.get(), uid);
        assert_eq!(octets, if uid > 300 { u64::from(head.size) } else { 0 });
        // Octets that nobody reads are passed over.
        if uid == 301 || uid == 601 {
            let (mut text, mut piece) = (Vec::new(), [0; 1000]);
            while let count @ 1.. = messages.octets(&mut piece).await.unwrap() {
                text.extend_from_slice(&piece[..count]);
            }
            assert_eq!(text, if uid == 601 { large.clone() } else { b"Subject: 300\r\n\r\n".to_vec() });
            assert_eq!(blake3::hash(&text).as_bytes(), &head.hash.0);
        }
        if uid == 601 {
            assert_eq!((head.flags, head.keywords), (Flags::SEEN, vec![keyword.clone()]));
            assert_eq!(head.internal_date, InternalDate::new(7, 60));
        }
    }
    assert_eq!(uid, 601);
    let answer = connection.ask(&Request::Status, |_| {}).await.unwrap();
    assert!(matches!(answer, Answer::Status(_)), "{answer:?}");
}
