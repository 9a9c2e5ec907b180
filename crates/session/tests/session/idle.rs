//! IDLE.

use std::time::Duration;

use paquebot_auth::SessionLimitSettings;
use paquebot_session::Config;

use crate::server::Server;

#[tokio::test]
async fn idle_tells_what_others_do_and_done_may_bring_a_command() {
    let server = Server::start().await;
    server.fill(2).await;
    let (mut one, mut two) = (server.select().await, server.select().await);
    let tag = one.start("IDLE").await;
    assert_eq!(one.line().await, "+ idling");
    two.ok("STORE 2 +FLAGS.SILENT (\\Seen)").await;
    assert_eq!(one.line().await, "* 2 FETCH (FLAGS (\\Seen))");
    two.ok("STORE 1 +FLAGS.SILENT (\\Deleted)").await;
    assert_eq!(one.line().await, "* 1 FETCH (FLAGS (\\Deleted))");
    two.ok("EXPUNGE").await;
    assert_eq!(one.line().await, "* 1 EXPUNGE");
    two.append("INBOX", "Subject: x\r\n\r\nx\r\n").await;
    assert_eq!(one.line().await, "* 2 EXISTS");
    one.line().await;
    one.send("DONE\r\nx FETCH 1 UID\r\n").await;
    assert!(one.answer(&tag).await.tagged.starts_with("OK "));
    assert_eq!(one.answer("x").await.untagged, ["* 1 FETCH (UID 2)"]);
}

#[tokio::test]
async fn idle_says_that_it_is_still_here() {
    let config = Config { keepalive: Duration::from_millis(30), ..Config::default() };
    let server = Server::with(config, SessionLimitSettings::default()).await;
    let mut client = server.login().await;
    let tag = client.start("IDLE").await;
    assert_eq!(client.line().await, "+ idling");
    for _ in 0..3 {
        assert_eq!(client.line().await, "* OK Still here");
    }
    client.send("done\r\n").await;
    client.answer(&tag).await;
    client.ok("NOOP").await;
}

#[tokio::test]
async fn what_is_not_done_is_bad() {
    let server = Server::start().await;
    let mut client = server.select().await;
    client.send("a IDLE\r\nb NOOP\r\n").await;
    assert_eq!(client.line().await, "+ idling");
    assert!(client.line().await.starts_with("a BAD "));
    client.ok("NOOP").await;
}

#[tokio::test]
async fn a_stopping_server_says_bye_to_all() {
    let server = Server::start().await;
    let (mut idling, mut waiting, mut new) = (server.select().await, server.select().await, server.connect().await);
    idling.start("IDLE").await;
    idling.line().await;
    server.stop.send_replace(true);
    for client in [&mut idling, &mut waiting, &mut new] {
        let lines = client.ends().await;
        assert!(lines.len() == 1 && lines[0].starts_with("* BYE "), "{lines:?}");
    }
}
