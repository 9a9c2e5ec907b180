//! Delivery by LMTP.

use std::time::Instant;

use crate::error::ClientError;
use crate::lmtp::Lmtp;
use crate::options::Options;
use crate::work::{Hands, Plan};

pub async fn connect(plan: &Plan) -> Result<Lmtp, ClientError> {
    match &plan.options.lmtp {
        Some(address) => Lmtp::connect(address).await,
        None => Err(ClientError::Protocol("there is no LMTP server")),
    }
}

/// One message, to the connection's user.
pub async fn step(hands: &mut Hands, lmtp: &mut Lmtp) -> Result<(), ClientError> {
    let recipient = recipient(hands.user(), &hands.plan.options);
    hands.make_message();
    let start = Instant::now();
    lmtp.deliver(&recipient, &hands.message).await?;
    hands.done("deliver", start);
    Ok(())
}

fn recipient(user: &str, options: &Options) -> String {
    match &options.domain {
        Some(domain) if !user.contains('@') => format!("{user}@{domain}"),
        _ => user.into(),
    }
}
