//! `paquebot demo`: one command, and there is mail to look at.

use std::path::Path;

use paquebot_testkit::Client;
use rustix::process::Signal;

use crate::process::Running;

/// What it prints after `ready`, up to the end.
fn welcome(demo: &mut Running) -> String {
    let mut text = String::new();
    while !text.contains("Ctrl-C") {
        text.push_str(&demo.line().unwrap());
        text.push('\n');
    }
    text
}

#[test]
fn the_sample_mail_is_there_and_gone_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = Running::start(folder.path(), &["demo"]);
    let welcome = welcome(&mut demo);
    let data = welcome.split("Its mail is in ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    assert!(Path::new(&data).is_dir());
    let imap = demo.address("imap");
    for words in ["user demo, password demo", "mutt ", "curl ", &format!(":{}/INBOX", imap.port())] {
        assert!(welcome.contains(words), "{words}: {welcome}");
    }
    let (mut client, _) = Client::connect(imap).unwrap();
    client.login("demo", "demo").unwrap();
    let list = client.command("LIST \"\" \"*\"").unwrap().ok().unwrap();
    for name in ["INBOX", "\"Lists/rust\"", "Projects/Paquebot", "&ZeVnLIqe-"] {
        assert!(list.untagged.iter().any(|line| line.contains(name.trim_matches('"'))), "{name}: {list:?}");
    }
    let inbox = client.command("STATUS INBOX (MESSAGES)").unwrap().ok().unwrap();
    assert!(!inbox.untagged.iter().any(|line| line.contains("MESSAGES 0)")), "{inbox:?}");
    drop(client);
    demo.signal(Signal::INT);
    assert_eq!(demo.wait().code(), Some(0));
    assert!(!Path::new(&data).exists());
}

#[test]
fn a_named_directory_is_kept_and_not_filled_twice() {
    let folder = tempfile::tempdir().unwrap();
    let count = || {
        let mut demo = Running::start(folder.path(), &["demo", "--data", "kept"]);
        let (mut client, _) = Client::connect(demo.address("imap")).unwrap();
        client.login("demo", "demo").unwrap();
        let answer = client.command("STATUS INBOX (MESSAGES)").unwrap().ok().unwrap();
        drop(client);
        demo.signal(Signal::TERM);
        assert_eq!(demo.wait().code(), Some(0));
        answer.untagged.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let first = count();
    assert_eq!(count(), first);
    assert!(folder.path().join("kept/store").exists());
}
