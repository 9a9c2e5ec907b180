//! STORE.

use std::time::Instant;

use crate::client::Client;
use crate::error::ClientError;
use crate::work::Hands;

const CHANGES: [&str; 6] = [
    "+FLAGS.SILENT (\\Seen)",
    "-FLAGS.SILENT (\\Seen)",
    "+FLAGS (\\Flagged)",
    "-FLAGS (\\Flagged)",
    "+FLAGS ($Forwarded)",
    "-FLAGS ($Forwarded)",
];

/// One flag of one message.
pub async fn step(hands: &mut Hands, client: &mut Client) -> Result<(), ClientError> {
    let (message, change) = (hands.any_message(client), hands.random.pick(&CHANGES));
    let start = Instant::now();
    client.command("STORE", &format!("STORE {message} {change}")).await?;
    hands.done("store", start);
    Ok(())
}
