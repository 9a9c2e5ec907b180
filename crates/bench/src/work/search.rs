//! SEARCH.

use std::time::Instant;

use crate::client::Client;
use crate::corpus::ascii_word;
use crate::error::ClientError;
use crate::work::Hands;

/// By flags, dates and headers, and now and then by what messages say.
pub async fn step(hands: &mut Hands, client: &mut Client) -> Result<(), ClientError> {
    let word = ascii_word(&mut hands.random);
    let (kind, command) = match hands.random.below(10) {
        0..2 => ("search flags", "SEARCH UNSEEN NOT DELETED".to_string()),
        2 => ("search flags", "SEARCH FLAGGED".into()),
        3..5 => ("search date", format!("SEARCH SENTSINCE {}-Jan-2024", 1 + hands.random.below(18))),
        5..8 => ("search header", format!("SEARCH SUBJECT \"{word}\"")),
        8 => ("search header", "SEARCH OR FROM \"anna\" TO \"tanaka\"".into()),
        _ => ("search body", format!("SEARCH BODY \"{word}\"")),
    };
    let start = Instant::now();
    client.command("SEARCH", &command).await?;
    hands.done(kind, start);
    Ok(())
}
