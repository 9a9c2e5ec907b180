//! Whole sessions: what webmail and phones do all day.

use std::time::Instant;

use crate::error::ClientError;
use crate::work::Hands;

/// Connects, logs in, selects, logs out.
pub async fn step(hands: &mut Hands) -> Result<(), ClientError> {
    let plan = &hands.plan;
    let start = Instant::now();
    let mut last = start;
    let mut stage = |kind| {
        let now = Instant::now();
        plan.tally.stage(kind, now - std::mem::replace(&mut last, now));
    };
    let mut client = plan.connect().await?;
    stage("session: connect");
    client.login(hands.user(), plan.options.password.as_deref().unwrap_or_default()).await?;
    stage("session: login");
    client.select(&plan.mailbox).await?;
    stage("session: select");
    client.command("LOGOUT", "LOGOUT").await?;
    stage("session: logout");
    let (sent, received) = client.take_counts();
    plan.tally.bytes(sent, received);
    hands.done("session", start);
    Ok(())
}
