//! What mail clients do all day, in proportion.

use std::time::Instant;

use crate::client::Client;
use crate::error::ClientError;
use crate::work::{Hands, append, fetch, search, store};

/// More reading than writing, and as many messages expunged as come in, once the mailbox has twice what it was filled with.
pub async fn step(hands: &mut Hands, client: &mut Client) -> Result<(), ClientError> {
    if client.exists == 0 {
        append::step(hands, client).await?;
        return noop(hands, client).await;
    }
    match hands.random.below(100) {
        0..25 => fetch::body(hands, client).await,
        25..42 => fetch::page(hands, client).await,
        42..45 => fetch::flags(hands, client).await,
        45..62 => store::step(hands, client).await,
        62..80 => noop(hands, client).await,
        80..84 => search::step(hands, client).await,
        84..88 => timed(hands, client, "status", "STATUS", "STATUS INBOX (MESSAGES UNSEEN UIDNEXT UIDVALIDITY)").await,
        88..90 => timed(hands, client, "list", "LIST", "LIST \"\" \"*\"").await,
        _ if client.exists / 2 < hands.plan.options.messages => append::step(hands, client).await,
        _ => expunge(hands, client).await,
    }
}

/// Hears what the others did.
async fn noop(hands: &Hands, client: &mut Client) -> Result<(), ClientError> {
    timed(hands, client, "noop", "NOOP", "NOOP").await
}

/// Marks a message deleted and expunges it.
async fn expunge(hands: &mut Hands, client: &mut Client) -> Result<(), ClientError> {
    let message = hands.any_message(client);
    let start = Instant::now();
    client.command("STORE", &format!("STORE {message} +FLAGS.SILENT (\\Deleted)")).await?;
    client.command("EXPUNGE", "EXPUNGE").await?;
    hands.done("expunge", start);
    Ok(())
}

async fn timed(
    hands: &Hands,
    client: &mut Client,
    kind: &'static str,
    name: &'static str,
    command: &str,
) -> Result<(), ClientError> {
    let start = Instant::now();
    client.command(name, command).await?;
    hands.done(kind, start);
    Ok(())
}
