//! FETCH: what a client reads when it opens a mailbox, turns a page, opens a message.

use std::time::Instant;

use crate::client::Client;
use crate::error::ClientError;
use crate::work::Hands;

/// Messages on a page.
const PAGE_MESSAGES: u64 = 50;

/// Six messages for three pages and one look at all flags.
pub async fn step(hands: &mut Hands, client: &mut Client) -> Result<(), ClientError> {
    match hands.random.below(10) {
        0..6 => body(hands, client).await,
        6..9 => page(hands, client).await,
        _ => flags(hands, client).await,
    }
}

/// A whole message.
pub async fn body(hands: &mut Hands, client: &mut Client) -> Result<(), ClientError> {
    let message = hands.any_message(client);
    timed(hands, client, "fetch body", &format!("FETCH {message} (UID BODY.PEEK[])")).await
}

/// What a list of messages shows, for some that follow each other.
pub async fn page(hands: &mut Hands, client: &mut Client) -> Result<(), ClientError> {
    let first = hands.any_message(client);
    let last = (first + PAGE_MESSAGES - 1).min(client.exists.max(1).into());
    let items = "UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE";
    timed(hands, client, "fetch page", &format!("FETCH {first}:{last} ({items})")).await
}

/// The flags of all messages: what a client without QRESYNC asks when it opens a mailbox.
pub async fn flags(hands: &mut Hands, client: &mut Client) -> Result<(), ClientError> {
    timed(hands, client, "fetch flags", "FETCH 1:* (UID FLAGS)").await
}

async fn timed(hands: &Hands, client: &mut Client, kind: &'static str, command: &str) -> Result<(), ClientError> {
    let start = Instant::now();
    let mut told = false;
    client.command_seen("FETCH", command, |text| told |= text.starts_with(b"* ") && contains_fetch(text)).await?;
    if !told {
        return Err(ClientError::Protocol("OK to a FETCH and nothing fetched"));
    }
    hands.done(kind, start);
    Ok(())
}

fn contains_fetch(text: &[u8]) -> bool {
    text.splitn(4, |byte| *byte == b' ').nth(2).is_some_and(|word| word.eq_ignore_ascii_case(b"FETCH"))
}
