//! Commands about users and mail, with a running server and without.

use paquebot_testkit::{Options, Server};
use serde_json::Value;

use crate::process::paquebot;

fn said(server: &Server, arguments: &[&str]) -> String {
    server.run(arguments).unwrap().success().unwrap()
}

fn refusal(server: &Server, arguments: &[&str]) -> String {
    let finished = server.run(arguments).unwrap();
    assert_eq!(finished.status.code(), Some(1), "{finished}");
    finished.stderr
}

fn json(server: &Server, arguments: &[&str]) -> Value {
    serde_json::from_str(&said(server, arguments)).unwrap()
}

fn names(server: &Server) -> Vec<String> {
    let users = json(server, &["user", "list", "--json"]);
    users.as_array().unwrap().iter().map(|user| user["name"].as_str().unwrap().to_owned()).collect()
}

fn logs_in(server: &Server, name: &str, password: &str) -> bool {
    server.stranger().unwrap().login(name, password).is_ok()
}

/// The same commands come to the same, whether a server has the data directory or nobody.
fn manage_users(server: &Server) {
    server.add_account("Bert@Example.org", "one").unwrap();
    assert_eq!(names(server), ["alice", "bert@example.org"]);
    let twice = server.add_account("bert@example.org", "two").unwrap_err().to_string();
    assert!(twice.contains("bert@example.org: a login of this name exists"), "{twice}");
    assert!(refusal(server, &["user", "passwd", "carl"]).contains("the password is empty"));
    assert!(refusal(server, &["user", "remove", "carl"]).contains("carl: no such login"));
    assert!(refusal(server, &["user", "add", "a b"]).contains("\"a b\" cannot be a user's name"));
    said(server, &["user", "remove", "bert@example.org"]);
    assert_eq!(names(server), ["alice"]);
}

#[test]
fn users_are_managed_while_a_server_runs_and_while_none_does() {
    let mut server = Server::start(Options::with_account("alice", "secret")).unwrap();
    manage_users(&server);
    server.add_account("bert", "one").unwrap();
    assert!(logs_in(&server, "bert", "one"), "at once");
    server.terminate().unwrap();
    said(&server, &["user", "remove", "bert"]);
    manage_users(&server);
    server.start_again().unwrap();
    assert!(!logs_in(&server, "bert", "one"));
    assert!(logs_in(&server, "alice", "secret"));
}

#[test]
fn users_of_a_passwd_file_are_imported_with_their_hashes() {
    let server = Server::start(Options::with_account("alice", "secret")).unwrap();
    let file = server.folder().join("users");
    let hash = "{SHA256-CRYPT}$5$rounds=1500$6RbKi0J3OVRdrPbV$8mpxO9TBF2roSHC0ZRMlhnmpXMoiyxBDp3WMor1KaBA";
    let lines = format!(
        "bert:{hash}:1000:1000::/home/b\nalice:{{PLAIN}}new\ncarl:{{PLAIN}}plain\ndora:{{CRAM-MD5}}x\nerna:{{PLAIN}}x::::::nologin\n"
    );
    std::fs::write(&file, lines).unwrap();
    let finished = server.run(&["user", "import", file.to_str().unwrap()]).unwrap();
    assert_eq!(finished.stdout, "2 added, 0 replaced, 1 left as they were, 2 problems\n");
    assert_eq!(finished.status.code(), Some(1), "not all could be taken");
    for words in ["alice: there is such a user already", "line 4", "erna: nologin"] {
        assert!(finished.stderr.contains(words), "{finished}");
    }
    assert!(logs_in(&server, "bert", "Tr0ub4dor &3é") && logs_in(&server, "carl", "plain"));
    assert!(logs_in(&server, "alice", "secret"), "the old password stays");
    server.run(&["user", "import", "--replace", file.to_str().unwrap()]).unwrap();
    assert!(logs_in(&server, "alice", "new"));
}

#[test]
fn expunged_mail_and_a_deleted_mailbox_come_back() {
    let server = Server::start(Options::with_account("alice", "secret")).unwrap();
    let mut client = server.client("alice").unwrap();
    let deleted = ["\\Deleted".to_owned()];
    client.append("INBOX", &deleted, None, b"Subject: a\r\n\r\nx\r\n").unwrap().ok().unwrap();
    client.command("CREATE Old").unwrap().ok().unwrap();
    client.append("Old", &[], None, b"Subject: b\r\n\r\ny\r\n").unwrap().ok().unwrap();
    for line in ["SELECT INBOX", "EXPUNGE", "DELETE Old"] {
        client.command(line).unwrap().ok().unwrap();
    }
    let list = said(&server, &["undelete", "--user", "alice", "--list", "--since", "1h"]);
    let lines: Vec<&str> = list.lines().collect();
    assert!(lines[0].starts_with("INBOX  1 messages expunged from 20"), "{list}");
    assert!(lines[1].starts_with("Old  deleted 20") && lines[1].ends_with("with 1 messages"), "{list}");
    assert_eq!(said(&server, &["undelete", "--user", "alice", "--list", "--since", "2100-01-01"]), "");
    assert!(refusal(&server, &["undelete", "--user", "alice", "--since", "soon"]).contains("\"soon\" is no time"));
    assert!(refusal(&server, &["undelete", "--user", "bert"]).contains("bert: there is no such user"));
    assert_eq!(said(&server, &["undelete", "--user", "alice"]), "2 messages and 1 mailboxes are back\n");
    let answer = client.command("NOOP").unwrap().ok().unwrap();
    assert!(answer.untagged.iter().any(|line| line.starts_with("* 1 EXISTS")), "told to who has it open: {answer:?}");
    let answer = client.command("STATUS Old (MESSAGES)").unwrap().ok().unwrap();
    assert!(answer.untagged.iter().any(|line| line.contains("MESSAGES 1")), "{answer:?}");
}

#[test]
fn a_backup_of_a_running_server_serves() {
    let server = Server::start(Options { own_certificate: true, ..Options::with_account("alice", "secret") }).unwrap();
    server.client("alice").unwrap().append("INBOX", &[], None, b"Subject: a\r\n\r\nx\r\n").unwrap().ok().unwrap();
    let copy = server.folder().join("copy");
    let told = said(&server, &["backup", copy.to_str().unwrap()]);
    assert!(told.contains("packs, ") && told.trim_end().ends_with("/copy"), "{told}");
    assert!(refusal(&server, &["backup", copy.to_str().unwrap()]).contains("is not empty"));
    for name in ["secret", "tls.crt", "tls.key"] {
        assert_eq!(std::fs::read(copy.join(name)).unwrap(), std::fs::read(server.data().join(name)).unwrap(), "{name}");
    }
    let config = server.folder().join("copy.toml");
    std::fs::write(&config, "data = \"copy\"\n").unwrap();
    let config = config.to_str().unwrap();
    let checked = paquebot(server.folder(), &["check", "--json", "--config", config], "").success().unwrap();
    let checked: Value = serde_json::from_str(&checked).unwrap();
    assert_eq!((&checked["bodies"], &checked["problems"]), (&1.into(), &Value::Array(Vec::new())));
}

#[test]
fn a_check_finds_what_is_damaged() {
    let mut server = Server::start(Options::with_account("alice", "secret")).unwrap();
    let text = b"Subject: a\r\n\r\nfind me and change me\r\n";
    server.client("alice").unwrap().append("INBOX", &[], None, text).unwrap().ok().unwrap();
    server.check().unwrap();
    server.terminate().unwrap();
    for pack in std::fs::read_dir(server.data().join("packs")).unwrap() {
        let path = pack.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        if let Some(at) = bytes.windows(7).position(|window| window == b"find me") {
            bytes[at] ^= 1;
            std::fs::write(&path, bytes).unwrap();
        }
    }
    server.start_again().unwrap();
    let finished = server.run(&["check"]).unwrap();
    assert_eq!(finished.status.code(), Some(1), "{finished}");
    assert!(finished.stdout.contains("damaged") || finished.stdout.contains("checksum"), "{finished}");
}

#[test]
fn a_server_tells_how_it_is() {
    let mut server = Server::start(Options::with_account("alice", "secret")).unwrap();
    let _client = server.client("alice").unwrap();
    let status = json(&server, &["status", "--json"]);
    assert_eq!((&status["users"], &status["failure"]), (&1.into(), &Value::Null));
    assert_eq!(status["running"]["process"], server.process_id());
    assert_eq!(status["running"]["imap_sessions"], 1);
    let imap = format!("imap {}", server.addresses().imap);
    assert!(status["running"]["listening"].as_array().unwrap().contains(&imap.into()), "{status}");
    server.terminate().unwrap();
    assert_eq!(json(&server, &["status", "--json"])["running"], Value::Null);
}

#[test]
fn a_doctor_tries_a_directory() {
    let folder = tempfile::tempdir().unwrap();
    let told = paquebot(folder.path(), &["doctor", "."], "").success().unwrap();
    assert!(told.lines().count() == 11 && !told.contains("FAILED"), "{told}");
    let told = paquebot(folder.path(), &["doctor", "--json", "."], "").success().unwrap();
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((told["ok"].as_bool(), told["checks"].as_array().unwrap().len()), (Some(true), 11), "{told}");
    assert!(told["mount"]["type"].is_string(), "{told}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
}
