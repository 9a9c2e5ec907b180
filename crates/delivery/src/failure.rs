//! What a client is told when a message cannot be stored.

use paquebot_mailbox::ServiceError;
use paquebot_model::Refusal;

use crate::protocol::reply::Reply;

/// The answer for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Answer(Reply),
    /// Nobody can tell whether the message is stored. Its recipient gets no answer, and so neither do those after it: the connection is cut,
    /// and the client tries again.
    Unknown,
}

/// What a failure of ours comes to, which is logged here.
pub fn failed(error: &ServiceError) -> Verdict {
    if error.is_unknown() {
        tracing::error!(error = %chain(error), "it cannot be told whether a message was stored");
        return Verdict::Unknown;
    }
    tracing::error!(error = %chain(error), "a message cannot be stored");
    Verdict::Answer(match error {
        ServiceError::TooLarge => Reply::TOO_BIG,
        error if error.is_full() => Reply::DISK_FULL,
        _ => Reply::UNAVAILABLE,
    })
}

/// What the model's refusal comes to.
pub fn refused(refusal: &Refusal) -> Verdict {
    tracing::warn!(%refusal, "a message was not taken");
    Verdict::Answer(match refusal {
        // Deleted since the message's end; what comes again finds another mailbox, or that there is no such user.
        Refusal::NoSuchMailbox | Refusal::NoSuchAccount => Reply::MAILBOX_GONE,
        Refusal::NoMoreUids => Reply::MAILBOX_FULL,
        Refusal::AccountMoving => Reply::ACCOUNT_MOVING,
        _ => Reply::UNAVAILABLE,
    })
}

/// An error with its sources, for a log.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        // Some say what their source says.
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use paquebot_replica::ProposeError;
    use paquebot_store::StageError;

    #[test]
    fn failures_have_their_codes_and_the_unknown_has_none() {
        let table = [
            (ServiceError::Propose(ProposeError::Full), Some((452, "4.3.1"))),
            (ServiceError::Propose(ProposeError::Unavailable("no quorum".into())), Some((451, "4.3.0"))),
            (ServiceError::Propose(ProposeError::Unknown("a sync failed".into())), None),
            (ServiceError::Stage(StageError::Full(std::io::ErrorKind::StorageFull.into())), Some((452, "4.3.1"))),
            (ServiceError::TooLarge, Some((552, "5.3.4"))),
            (ServiceError::NoBody, Some((451, "4.3.0"))),
            (ServiceError::Stopping, Some((451, "4.3.0"))),
        ];
        for (error, expected) in table {
            let codes = match failed(&error) {
                Verdict::Answer(reply) => Some((reply.code(), reply.enhanced().unwrap())),
                Verdict::Unknown => None,
            };
            assert_eq!(codes, expected, "{error}");
        }
    }

    #[test]
    fn refusals_have_their_codes() {
        let table = [
            (Refusal::NoSuchMailbox, Reply::MAILBOX_GONE),
            (Refusal::NoSuchAccount, Reply::MAILBOX_GONE),
            (Refusal::NoMoreUids, Reply::MAILBOX_FULL),
            (Refusal::AccountMoving, Reply::ACCOUNT_MOVING),
            (Refusal::TooLate, Reply::UNAVAILABLE),
        ];
        for (refusal, reply) in table {
            assert_eq!(refused(&refusal), Verdict::Answer(reply), "{refusal}");
        }
    }
}
