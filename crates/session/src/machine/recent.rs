//! `\Recent` (RFC 3501, 2.3.2): each new message is it for one session, the first of rev1 that selected the mailbox for writing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::session::Session;
use crate::state::State;

/// How long a claim may stay in memory: mail that comes in a burst is claimed by one change.
const CLAIM_AFTER: Duration = Duration::from_secs(2);

/// Whether a session has yet to write its claim down.
#[derive(Debug, Clone, Default)]
pub(crate) struct Claim(Arc<AtomicBool>);

impl Session {
    /// Makes the messages that no session was told of `\Recent` to this one. EXAMINE shows them and leaves them to others.
    pub(crate) fn take_recent(&mut self) {
        if self.modes.rev2 {
            return;
        }
        let State::Selected(_, selected) = &mut self.state else { return };
        let below = selected.view.snapshot().mailbox.uid_next;
        let from = match selected.read_only {
            true => selected.live.recent_from(),
            false => selected.live.claim_recent(below),
        };
        selected.view.add_recent(from, below);
        if !selected.read_only && below.is_some_and(|below| from < below.get()) {
            self.write_claim_soon();
        }
    }

    /// Has the claim written down in a while, by whoever then has it: other sessions of this server know it already.
    fn write_claim_soon(&self) {
        let State::Selected(identity, selected) = &self.state else { return };
        let claim = selected.claim.clone();
        if claim.0.swap(true, Ordering::Relaxed) {
            return;
        }
        let (account, live, mut stopping) = (identity.account.clone(), selected.live.clone(), self.stopping.clone());
        tokio::spawn(async move {
            let stopped = async { drop(stopping.wait_for(|stopping| *stopping).await) };
            let _ = tokio::time::timeout(CLAIM_AFTER, stopped).await;
            claim.0.store(false, Ordering::Relaxed);
            let (mailbox, below) = (live.at.mailbox, live.recent_from());
            if let Err(error) = account.claim_recent(mailbox, below).await {
                // Another session may be told of the same messages as \Recent once more, which harms nobody.
                tracing::debug!(%error, "who has been told of recent messages was not written down");
            }
        });
    }
}
