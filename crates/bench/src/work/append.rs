//! APPEND.

use std::time::Instant;

use crate::client::Client;
use crate::error::ClientError;
use crate::work::Hands;

/// One message, to the mailbox.
pub async fn step(hands: &mut Hands, client: &mut Client) -> Result<(), ClientError> {
    hands.make_message();
    let start = Instant::now();
    client.append(&hands.plan.mailbox, &hands.message).await?;
    hands.done("append", start);
    Ok(())
}
