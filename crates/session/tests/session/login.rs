//! From the greeting to the login.

use crate::server::Server;

#[tokio::test]
async fn the_greeting_carries_the_capabilities_and_so_does_the_login() {
    let server = Server::start().await;
    let mut client = crate::client::Client::connect(server.plain).await;
    let greeting = client.line().await;
    assert!(greeting.starts_with("* OK [CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL+ "), "{greeting}");
    assert!(greeting.contains(" STARTTLS AUTH=SCRAM-SHA-256 AUTH=PLAIN "), "{greeting}");
    let login = client.ok("LOGIN alice secret").await;
    assert!(login.tagged.contains("[CAPABILITY IMAP4rev1 ") && login.tagged.contains(" QRESYNC "), "{login:?}");
    let listed = client.ok("CAPABILITY").await;
    let listed = listed.untagged[0].strip_prefix("* CAPABILITY ").unwrap();
    assert!(login.tagged.contains(&format!("[CAPABILITY {listed}]")));
}

#[tokio::test]
async fn wrong_users_and_wrong_passwords_get_the_same_words() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    let wrong_password = client.fails("LOGIN alice wrong", "NO [AUTHENTICATIONFAILED] ").await;
    let wrong_user = client.fails("LOGIN nobody secret", "NO [AUTHENTICATIONFAILED] ").await;
    let no_name = client.fails("LOGIN \"a b\" secret", "NO [AUTHENTICATIONFAILED] ").await;
    assert_eq!((&wrong_user.tagged, &no_name.tagged), (&wrong_password.tagged, &wrong_password.tagged));
    client.ok("LOGIN alice secret").await;
    client.fails("LOGIN alice secret", "BAD ").await;
}

#[tokio::test]
async fn plain_comes_at_once_or_when_it_is_asked_for() {
    let server = Server::start().await;
    server.connect().await.ok("AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==").await;
    let mut client = server.connect().await;
    client.send("a AUTHENTICATE plain\r\n").await;
    assert_eq!(client.line().await, "+ ");
    client.send("AGFsaWNlAHNlY3JldA==\r\n").await;
    assert!(client.line().await.starts_with("a OK [CAPABILITY "));

    let mut client = server.connect().await;
    client.send("a AUTHENTICATE PLAIN\r\n*\r\nb AUTHENTICATE PLAIN =\r\nc AUTHENTICATE PLAIN\r\n!!\r\n").await;
    assert_eq!(client.line().await, "+ ");
    assert!(client.line().await.starts_with("a BAD "));
    assert!(client.line().await.starts_with("b NO [AUTHENTICATIONFAILED]"));
    assert_eq!(client.line().await, "+ ");
    assert!(client.line().await.starts_with("c BAD "));
    client.fails("AUTHENTICATE GSSAPI", "NO ").await;
    // Acting for another is not allowed.
    client.fails("AUTHENTICATE PLAIN Ym9iAGFsaWNlAHNlY3JldA==", "NO [AUTHENTICATIONFAILED]").await;
}

#[tokio::test]
async fn commands_of_a_later_state_are_bad() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.fails("SELECT INBOX", "BAD ").await;
    client.fails("APPEND INBOX {3+}\r\nabc", "BAD ").await;
    client.fails("IDLE", "BAD ").await;
    client.ok("NOOP").await;
    client.ok("LOGIN alice secret").await;
    client.fails("FETCH 1 UID", "BAD ").await;
    client.fails("STARTTLS", "BAD ").await;
    let bye = client.ok("LOGOUT").await;
    assert!(bye.has_any("* BYE "));
    assert!(client.ends().await.is_empty());
}

#[tokio::test]
async fn unauthenticate_makes_everything_new() {
    let server = Server::start().await;
    server.fill(1).await;
    let mut client = server.select().await;
    client.ok("ENABLE QRESYNC IMAP4rev2").await;
    client.ok("UNAUTHENTICATE").await;
    client.fails("FETCH 1 UID", "BAD ").await;
    client.fails("LIST \"\" *", "BAD ").await;
    client.ok("LOGIN bob secret").await;
    let select = client.ok("SELECT INBOX").await;
    assert!(select.has("* 0 EXISTS") && select.has("* 0 RECENT"), "{select:?}");
}

#[tokio::test]
async fn enable_tells_what_was_asked_for() {
    let server = Server::start().await;
    let mut client = server.login().await;
    assert_eq!(client.ok("ENABLE QRESYNC X-UNKNOWN").await.untagged, ["* ENABLED QRESYNC"]);
    assert_eq!(
        client.ok("ENABLE CONDSTORE UTF8=ACCEPT imap4rev2").await.untagged,
        ["* ENABLED CONDSTORE UTF8=ACCEPT IMAP4rev2"]
    );
    assert_eq!(client.ok("ENABLE X-UNKNOWN").await.untagged, ["* ENABLED"]);
}

#[tokio::test]
async fn id_takes_nothing_and_nil() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    for command in ["ID NIL", "ID ()", "ID (\"name\" \"x\" \"version\" NIL)"] {
        assert!(client.ok(command).await.untagged[0].starts_with("* ID (\"name\" \"Paquebot\" "));
    }
}
