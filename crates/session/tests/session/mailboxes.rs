//! Mailboxes by name.

use crate::server::Server;

#[tokio::test]
async fn list_tells_uses_and_children() {
    let server = Server::start().await;
    let mut client = server.login().await;
    let created = client.ok("CREATE a/b/c/").await;
    assert!(created.tagged.starts_with("OK [MAILBOXID (F"), "{created:?}");
    assert_eq!(
        client.ok("LIST \"\" *").await.untagged,
        [
            "* LIST (\\HasNoChildren \\Archive) \"/\" Archive",
            "* LIST (\\HasNoChildren \\Drafts) \"/\" Drafts",
            "* LIST (\\HasNoChildren) \"/\" INBOX",
            "* LIST (\\HasNoChildren \\Junk) \"/\" Junk",
            "* LIST (\\HasNoChildren \\Sent) \"/\" Sent",
            "* LIST (\\HasNoChildren \\Trash) \"/\" Trash",
            "* LIST (\\Noselect \\HasChildren) \"/\" a",
            "* LIST (\\Noselect \\HasChildren) \"/\" a/b",
            "* LIST (\\HasNoChildren) \"/\" a/b/c",
        ]
    );
    assert_eq!(client.ok("LIST \"\" %/%").await.untagged, ["* LIST (\\Noselect \\HasChildren) \"/\" a/b"]);
    assert_eq!(client.ok("LIST a/ %").await.untagged, ["* LIST (\\Noselect \\HasChildren) \"/\" a/b"]);
    assert_eq!(client.ok("LIST \"\" \"\"").await.untagged, ["* LIST (\\Noselect) \"/\" \"\""]);
    assert_eq!(client.ok("LIST \"\" inbox").await.untagged, ["* LIST (\\HasNoChildren) \"/\" INBOX"]);
    assert_eq!(client.ok("XLIST \"\" INBOX").await.untagged, ["* XLIST (\\Inbox \\HasNoChildren) \"/\" INBOX"]);
    assert_eq!(client.ok("NAMESPACE").await.untagged, ["* NAMESPACE ((\"\" \"/\")) NIL NIL"]);
}

#[tokio::test]
async fn extended_list_selects_and_returns() {
    let server = Server::start().await;
    let mut client = server.login().await;
    client.ok("CREATE a/b").await;
    client.ok("SUBSCRIBE a/b").await;
    client.ok("SUBSCRIBE gone/deep").await;
    assert_eq!(
        client.ok("LIST (SUBSCRIBED) \"\" (a/* gone/*)").await.untagged,
        [
            "* LIST (\\Subscribed \\HasNoChildren) \"/\" a/b",
            "* LIST (\\NonExistent \\Subscribed \\HasNoChildren) \"/\" gone/deep",
        ]
    );
    assert_eq!(
        client.ok("LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (a gone)").await.untagged,
        [
            "* LIST (\\Noselect \\HasChildren) \"/\" a (\"CHILDINFO\" (\"SUBSCRIBED\"))",
            "* LIST (\\NonExistent \\HasNoChildren) \"/\" gone (\"CHILDINFO\" (\"SUBSCRIBED\"))",
        ]
    );
    // What is told itself needs no parent to stand for it.
    assert_eq!(
        client.ok("LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (a*)").await.untagged,
        ["* LIST (\\Subscribed \\HasNoChildren) \"/\" a/b"]
    );
    assert_eq!(client.ok("LIST (SPECIAL-USE) \"\" (S* J*)").await.untagged.len(), 2);
    assert_eq!(
        client.ok("LIST \"\" (a a/b) RETURN (SUBSCRIBED STATUS (MESSAGES UIDNEXT))").await.untagged,
        [
            "* LIST (\\Noselect \\HasChildren) \"/\" a",
            "* LIST (\\Subscribed \\HasNoChildren) \"/\" a/b",
            "* STATUS a/b (MESSAGES 0 UIDNEXT 1)",
        ]
    );
    assert_eq!(client.ok("LSUB \"\" a*").await.untagged, ["* LSUB (\\HasNoChildren) \"/\" a/b"]);
    assert_eq!(
        client.ok("LSUB \"\" %").await.untagged.last().unwrap(),
        "* LSUB (\\Noselect \\HasNoChildren) \"/\" gone"
    );
    client.ok("UNSUBSCRIBE gone/deep").await;
    assert_eq!(client.ok("LSUB \"\" gone*").await.untagged.len(), 0);
}

#[tokio::test]
async fn mailboxes_come_move_and_go() {
    let server = Server::start().await;
    server.fill(2).await;
    let mut client = server.login().await;
    client.fails("CREATE inbox", "NO [ALREADYEXISTS] ").await;
    client.fails("CREATE a//b", "NO [CANNOT] ").await;
    client.fails("CREATE x (USE (\\Sent))", "NO [USEATTR] ").await;
    client.fails("CREATE x (USE (\\Nonsense))", "NO [USEATTR] ").await;
    client.ok("CREATE star (USE (\\Flagged))").await;
    client.ok("CREATE a").await;
    client.ok("CREATE a/b").await;
    client.fails("RENAME a a/c", "NO [CANNOT] ").await;
    client.fails("RENAME nowhere c", "NO [NONEXISTENT] ").await;
    client.fails("RENAME a star", "NO [ALREADYEXISTS] ").await;
    client.ok("RENAME a d").await;
    assert_eq!(
        client.ok("LIST \"\" (a* d*)").await.untagged,
        ["* LIST (\\HasChildren) \"/\" d", "* LIST (\\HasNoChildren) \"/\" d/b",]
    );
    client.ok("DELETE d").await;
    assert_eq!(
        client.ok("LIST \"\" d*").await.untagged,
        ["* LIST (\\Noselect \\HasChildren) \"/\" d", "* LIST (\\HasNoChildren) \"/\" d/b",]
    );
    client.fails("DELETE d", "NO [HASCHILDREN] ").await;
    client.fails("SELECT d", "NO [NONEXISTENT] ").await;
    client.fails("DELETE INBOX", "NO [CANNOT] ").await;
    client.fails("DELETE nowhere", "NO [NONEXISTENT] ").await;
    client.ok("RENAME INBOX old").await;
    assert_eq!(client.ok("STATUS old (MESSAGES)").await.untagged, ["* STATUS old (MESSAGES 2)"]);
    assert_eq!(client.ok("STATUS INBOX (MESSAGES)").await.untagged, ["* STATUS INBOX (MESSAGES 0)"]);
}

#[tokio::test]
async fn status_tells_every_item() {
    let server = Server::start().await;
    server.fill(2).await;
    let mut client = server.login().await;
    let status = client
        .ok("STATUS INBOX (MESSAGES RECENT UIDNEXT UNSEEN DELETED SIZE APPENDLIMIT UIDVALIDITY HIGHESTMODSEQ MAILBOXID)")
        .await;
    let line = &status.untagged[0];
    assert!(
        line.starts_with(
            "* STATUS INBOX (MESSAGES 2 RECENT 0 UIDNEXT 3 UNSEEN 2 DELETED 0 SIZE 84 APPENDLIMIT 134217728 "
        ),
        "{line}"
    );
    client.fails("STATUS nowhere (MESSAGES)", "NO [NONEXISTENT] ").await;
}

#[tokio::test]
async fn names_are_utf7_until_utf8_is_enabled() {
    let server = Server::start().await;
    let mut client = server.login().await;
    client.ok("CREATE &2D3eKA-").await;
    client.ok("CREATE a&-b").await;
    client.fails("CREATE a&b", "NO [CANNOT] ").await;
    client.ok("ENABLE UTF8=ACCEPT").await;
    let list = client.ok("LIST \"\" (a* \"\u{1f628}*\")").await;
    assert_eq!(list.untagged, ["* LIST (\\HasNoChildren) \"/\" a&b", "* LIST (\\HasNoChildren) \"/\" \"\u{1f628}\""]);
}
