//! What ends a connection.

use std::time::Duration;

use paquebot_auth::SessionLimitSettings;
use paquebot_session::Config;

use crate::client::Client;
use crate::server::Server;

#[tokio::test]
async fn twenty_bad_commands_in_a_row_are_enough() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    for _ in 0..19 {
        client.fails("NONSENSE", "BAD ").await;
    }
    client.ok("NOOP").await;
    for _ in 0..20 {
        client.fails("NONSENSE", "BAD ").await;
    }
    assert!(client.ends().await[0].starts_with("* BYE "));
}

#[tokio::test]
async fn a_line_before_login_has_8_kib() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.fails(&format!("NOOP {}", "x".repeat(9000)), "BAD ").await;
    client.ok("NOOP").await;
    client.send(vec![b'('; 1 << 20]).await;
    assert!(client.ends().await[0].starts_with("* BYE "));
}

#[tokio::test]
async fn a_login_takes_a_minute_at_most_and_silence_has_an_end() {
    let short = Duration::from_millis(100);
    let server =
        Server::with(Config { login_timeout: short, ..Config::default() }, SessionLimitSettings::default()).await;
    let mut client = server.connect().await;
    client.send("a LOG").await;
    assert!(client.ends().await[0].starts_with("* BYE "));

    let config = Config { idle_timeout: short, command_timeout: short, ..Config::default() };
    let server = Server::with(config, SessionLimitSettings::default()).await;
    let mut silent = server.login().await;
    assert!(silent.ends().await[0].starts_with("* BYE "));
    let mut stuck = server.login().await;
    stuck.send("a APPEND INBOX {100+}\r\nhel").await;
    assert!(stuck.ends().await[0].starts_with("* BYE "));
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut() {
    let config = Config { write_timeout: Duration::from_millis(200), ..Config::default() };
    let server = Server::with(config, SessionLimitSettings::default()).await;
    let mut client = server.connect().await;
    // More answers than the sockets' buffers hold; nobody reads them.
    let noops = "a NOOP\r\n".repeat(10_000);
    let sent = async {
        use tokio::io::AsyncWriteExt;
        for _ in 0..200 {
            if client.stream.write_all(noops.as_bytes()).await.is_err() {
                return;
            }
        }
        panic!("the server took everything and answered nobody");
    };
    tokio::time::timeout(Duration::from_secs(20), sent).await.unwrap();
}

#[tokio::test]
async fn connections_and_logins_are_counted() {
    let limits = SessionLimitSettings { total: 3, per_account: 1, ..SessionLimitSettings::default() };
    let server = Server::with(Config::default(), limits).await;
    let one = server.login().await;
    let mut two = server.connect().await;
    two.fails("LOGIN alice secret", "NO [LIMIT] ").await;
    two.ok("LOGIN bob secret").await;
    let _three = server.connect().await;
    let mut four = Client::connect(server.plain).await;
    assert!(four.line().await.starts_with("* BYE "));
    assert!(four.ends().await.is_empty());
    drop(one);
}

#[tokio::test]
async fn nothing_a_client_sends_harms_another() {
    let server = Server::start().await;
    let mut well = server.select().await;
    for nonsense in [
        "a LOGIN {4294967295}\r\n".to_owned(),
        "a LOGIN {-1}\r\n".into(),
        "a LOGIN {99999999999999999999+}\r\n".into(),
        "a UID FETCH 4294967297 UID\r\n".into(),
        format!("a SEARCH {}\r\n", "NOT ".repeat(1500)),
        "\0\0\0\r\n".into(),
        "\r\n\r\n\r\n".into(),
        "a APPEND INBOX {2147483647+}\r\nx".into(),
    ] {
        let mut client = server.connect().await;
        client.send(&nonsense).await;
        well.ok("NOOP").await;
    }
}
