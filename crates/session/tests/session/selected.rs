//! What sessions that share a mailbox are told.

use crate::server::Server;

#[tokio::test]
async fn select_tells_all_that_there_is_to_tell() {
    let server = Server::start().await;
    let mut client = server.login().await;
    for _ in 0..3 {
        client.append("INBOX", "Subject: x\r\n\r\nx\r\n").await;
    }
    assert_eq!(client.ok("STATUS INBOX (RECENT)").await.untagged, ["* STATUS INBOX (RECENT 3)"]);
    let select = client.ok("SELECT inbox").await;
    for line in [
        "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)",
        "* 3 EXISTS",
        "* 3 RECENT",
        "* OK [UNSEEN 1] The first unseen message",
        "* OK [UIDNEXT 4] The next UID, at least",
    ] {
        assert!(select.has(line), "{line} {select:?}");
    }
    assert!(select.has_any("* OK [PERMANENTFLAGS (") && select.has_any("\\*)]"));
    assert!(select.has_any("* OK [UIDVALIDITY ") && select.has_any("* OK [HIGHESTMODSEQ "));
    assert!(select.tagged.starts_with("OK [READ-WRITE] "));
    let again = client.ok("EXAMINE INBOX").await;
    assert!(again.untagged[0].starts_with("* OK [CLOSED] "), "{again:?}");
    assert!(again.has("* 0 RECENT") && again.tagged.starts_with("OK [READ-ONLY] "));
    client.fails("SELECT nowhere", "NO [NONEXISTENT] ").await;
    client.fails("FETCH 1 UID", "BAD ").await;

    client.ok("ENABLE IMAP4rev2").await;
    let select = client.ok("SELECT INBOX").await;
    assert!(!select.has_any("RECENT") && !select.has_any("UNSEEN"), "{select:?}");
    assert!(select.has("* LIST (\\HasNoChildren) \"/\" INBOX"), "{select:?}");
}

#[tokio::test]
async fn expunge_waits_for_noop() {
    let server = Server::start().await;
    server.fill(4).await;
    let (mut one, mut two) = (server.select().await, server.select().await);
    one.ok("STORE 1,3 +FLAGS.SILENT (\\Deleted)").await;
    assert_eq!(one.ok("EXPUNGE").await.untagged, ["* 3 EXPUNGE", "* 1 EXPUNGE"]);
    let fetch = two.ok("FETCH 1:4 (UID BODY.PEEK[])").await;
    assert!(!fetch.has_any("EXPUNGE") && fetch.untagged.len() == 4, "{fetch:?}");
    assert!(fetch.has_any("This is message 1."));
    let store = two.ok("STORE 1 +FLAGS (\\Flagged)").await;
    assert_eq!(store.untagged, ["* 1 FETCH (FLAGS (\\Flagged))"]);
    two.fails("COPY 1:2 Archive", "NO [EXPUNGEISSUED] ").await;
    assert!(two.ok("NOOP").await.untagged.is_empty());
}

#[tokio::test]
async fn expunges_are_told_from_the_end_and_then_what_is_new() {
    let server = Server::start().await;
    server.fill(4).await;
    let (mut one, mut two) = (server.select().await, server.select().await);
    one.ok("STORE 1,3 +FLAGS.SILENT (\\Deleted)").await;
    one.ok("EXPUNGE").await;
    one.ok("STORE 2 +FLAGS.SILENT ($Forwarded)").await;
    one.append("INBOX", "Subject: new\r\n\r\nnew\r\n").await;
    let noop = two.ok("NOOP").await.untagged;
    assert_eq!(noop[..2], ["* 3 EXPUNGE", "* 1 EXPUNGE"]);
    assert_eq!(noop[2], "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Forwarded)");
    assert!(noop[3].starts_with("* OK [PERMANENTFLAGS ("), "{noop:?}");
    assert_eq!(noop[4..], ["* 3 EXISTS", "* 0 RECENT", "* 2 FETCH (FLAGS ($Forwarded))"]);
}

#[tokio::test]
async fn a_silent_store_echoes_only_what_the_client_cannot_know() {
    let server = Server::start().await;
    server.fill(2).await;
    let (mut one, mut two) = (server.select().await, server.select().await);
    assert!(one.ok("STORE 1 +FLAGS.SILENT (\\Seen)").await.untagged.is_empty());
    // Another's change came before: the client would get it wrong.
    assert_eq!(two.ok("STORE 1 +FLAGS.SILENT (\\Flagged)").await.untagged, ["* 1 FETCH (FLAGS (\\Flagged \\Seen))"]);
    let answer = one.ok("UID STORE 1:2 FLAGS (\\Answered)").await;
    assert_eq!(answer.untagged, ["* 1 FETCH (UID 1 FLAGS (\\Answered))", "* 2 FETCH (UID 2 FLAGS (\\Answered))"]);
    one.ok("ENABLE CONDSTORE").await;
    let silent = one.ok("STORE 2 FLAGS.SILENT (\\Seen)").await;
    assert!(silent.untagged.len() == 1 && silent.untagged[0].starts_with("* 2 FETCH (MODSEQ ("), "{silent:?}");
}

#[tokio::test]
async fn unchangedsince_leaves_what_others_changed() {
    let server = Server::start().await;
    server.fill(3).await;
    let mut client = server.select().await;
    let modseq = |answer: &crate::client::Answer| -> u64 {
        let line = answer.untagged.iter().find(|line| line.contains("MODSEQ (")).unwrap();
        line.split("MODSEQ (").nth(1).unwrap().split(')').next().unwrap().parse().unwrap()
    };
    let known = modseq(&client.ok("FETCH 3 (MODSEQ)").await);
    let mut other = server.select().await;
    other.ok("STORE 2 +FLAGS (\\Flagged)").await;
    let store = client.ok(&format!("STORE 1:3 (UNCHANGEDSINCE {known}) +FLAGS (\\Deleted)")).await;
    assert!(store.tagged.starts_with("OK [MODIFIED 2] "), "{store:?}");
    let uid = client.ok(&format!("UID STORE 1:3 (UNCHANGEDSINCE {known}) +FLAGS.SILENT (\\Seen)")).await;
    assert!(uid.tagged.starts_with("OK [MODIFIED 1:3] "), "{uid:?}");
    assert!(client.ok("STORE 1 (UNCHANGEDSINCE 0) +FLAGS (\\Seen)").await.tagged.starts_with("OK [MODIFIED 1] "));
}

#[tokio::test]
async fn qresync_tells_what_vanished_and_what_changed() {
    let server = Server::start().await;
    server.fill(5).await;
    let mut client = server.login().await;
    client.fails("SELECT INBOX (QRESYNC (1 1))", "BAD ").await;
    client.ok("ENABLE QRESYNC").await;
    let select = client.ok("SELECT INBOX").await;
    let number = |name: &str| -> u64 {
        let line = select.untagged.iter().find(|line| line.contains(name)).unwrap();
        line.split(name).nth(1).unwrap().split(']').next().unwrap().trim().parse().unwrap()
    };
    let (validity, modseq) = (number("UIDVALIDITY"), number("HIGHESTMODSEQ"));
    let mut other = server.select().await;
    other.ok("STORE 1,4 +FLAGS.SILENT (\\Deleted)").await;
    other.ok("EXPUNGE").await;
    other.ok("STORE 1 +FLAGS.SILENT (\\Seen)").await;
    let noop = client.ok("NOOP").await.untagged;
    assert_eq!(noop[0], "* VANISHED 1,4");
    assert!(noop[1].starts_with("* 1 FETCH (UID 2 FLAGS (\\Seen) MODSEQ ("), "{noop:?}");

    let again = client.ok(&format!("SELECT INBOX (QRESYNC ({validity} {modseq}))")).await;
    assert!(again.untagged[0].starts_with("* OK [CLOSED] ") && again.has("* VANISHED (EARLIER) 1,4"), "{again:?}");
    assert!(again.has_any("* 1 FETCH (UID 2 FLAGS (\\Seen) MODSEQ ("), "{again:?}");
    assert_eq!(again.untagged.iter().filter(|line| line.contains("FETCH")).count(), 1);
    // Only of those that the client says it knows; and nothing at all for another UIDVALIDITY.
    let known = client.ok(&format!("SELECT INBOX (QRESYNC ({validity} {modseq} 3:5))")).await;
    assert!(known.has("* VANISHED (EARLIER) 4") && !known.has_any("FETCH"), "{known:?}");
    let matched = client.ok(&format!("SELECT INBOX (QRESYNC ({validity} {modseq} 1:5 (1:2 2:3)))")).await;
    assert!(matched.has("* VANISHED (EARLIER) 4"), "{matched:?}");
    let stale = client.ok(&format!("SELECT INBOX (QRESYNC ({} {modseq}))", validity - 1)).await;
    assert!(!stale.has_any("VANISHED") && !stale.has_any("FETCH"), "{stale:?}");
}

#[tokio::test]
async fn move_tells_the_new_uids_before_the_old_ones_go() {
    let server = Server::start().await;
    server.fill(3).await;
    let mut client = server.select().await;
    let answer = client.ok("MOVE 1:2 Archive").await;
    assert!(
        answer.untagged[0].starts_with("* OK [COPYUID ") && answer.untagged[0].contains(" 1:2 1:2] "),
        "{answer:?}"
    );
    assert_eq!(answer.untagged[1..], ["* 2 EXPUNGE", "* 1 EXPUNGE"]);
    let copy = client.ok("COPY 1 Archive").await;
    assert!(copy.tagged.starts_with("OK [COPYUID ") && copy.tagged.contains(" 3 3] "), "{copy:?}");
    // UIDs that are gone are no failure.
    assert!(!client.ok("UID COPY 1:2 Archive").await.tagged.contains("COPYUID"));
    assert!(client.ok("UID MOVE 1:2 Archive").await.untagged.is_empty());
    client.fails("COPY 1 Nowhere", "NO [TRYCREATE] ").await;
    client.fails("COPY 9 Archive", "BAD ").await;
    client.ok("EXAMINE Archive").await;
    client.fails("MOVE 1 INBOX", "NO [READ-ONLY] ").await;
    client.fails("STORE 1 +FLAGS (\\Seen)", "NO [READ-ONLY] ").await;
    client.fails("EXPUNGE", "NO [READ-ONLY] ").await;
}

#[tokio::test]
async fn uid_expunge_takes_only_the_named() {
    let server = Server::start().await;
    server.fill(4).await;
    let mut client = server.select().await;
    client.ok("STORE 1:3 +FLAGS.SILENT (\\Deleted)").await;
    assert_eq!(client.ok("UID EXPUNGE 2,4").await.untagged, ["* 2 EXPUNGE"]);
    assert!(client.ok("UNSELECT").await.untagged.is_empty());
    assert!(client.ok("SELECT INBOX").await.has("* 3 EXISTS"));
    assert!(client.ok("CLOSE").await.untagged.is_empty());
    assert!(client.ok("SELECT INBOX").await.has("* 1 EXISTS"));
}

#[tokio::test]
async fn one_rev1_session_is_told_of_a_recent_message() {
    let server = Server::start().await;
    let (mut one, mut two) = (server.select().await, server.select().await);
    let mut examining = server.login().await;
    examining.ok("EXAMINE INBOX").await;
    server.login().await.append("INBOX", "Subject: x\r\n\r\nx\r\n").await;
    assert_eq!(examining.ok("NOOP").await.untagged, ["* 1 EXISTS", "* 1 RECENT"]);
    assert_eq!(one.ok("NOOP").await.untagged, ["* 1 EXISTS", "* 1 RECENT"]);
    assert_eq!(two.ok("NOOP").await.untagged, ["* 1 EXISTS", "* 0 RECENT"]);
    assert_eq!(one.ok("FETCH 1 FLAGS").await.untagged, ["* 1 FETCH (FLAGS (\\Recent))"]);
    assert_eq!(two.ok("FETCH 1 FLAGS").await.untagged, ["* 1 FETCH (FLAGS ())"]);
}

#[tokio::test]
async fn a_session_whose_mailbox_is_deleted_is_told_so_and_cut() {
    let server = Server::start().await;
    let (mut one, mut two) = (server.login().await, server.login().await);
    one.ok("CREATE box").await;
    one.ok("SELECT box").await;
    two.ok("SELECT box").await;
    let deleted = two.ok("DELETE box").await;
    assert!(deleted.untagged[0].starts_with("* OK [CLOSED] "), "{deleted:?}");
    two.fails("FETCH 1 UID", "BAD ").await;
    one.ok("NOOP").await;
    let lines = one.ends().await;
    assert!(lines.len() == 1 && lines[0].starts_with("* BYE "), "{lines:?}");
}

#[tokio::test]
async fn commands_in_one_packet_are_answered_in_order() {
    let server = Server::start().await;
    server.fill(3).await;
    let mut client = server.select().await;
    client.send("a STORE 1 +FLAGS.SILENT (\\Deleted)\r\nb EXPUNGE\r\nc FETCH 1 UID\r\nd NOOP\r\n").await;
    let mut lines = Vec::new();
    while !lines.last().is_some_and(|line: &String| line.starts_with("d ")) {
        lines.push(client.line().await);
    }
    assert_eq!(lines.len(), 6);
    assert_eq!((lines[1].as_str(), lines[3].as_str()), ("* 1 EXPUNGE", "* 1 FETCH (UID 2)"));
}
