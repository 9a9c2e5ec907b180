//! How commands end: the one place where failures become responses.

use paquebot_mailbox::{ChangeError, FormatError, ServiceError};
use paquebot_model::Refusal;
use paquebot_protocol::Tag;
use paquebot_protocol::response::Code;
use paquebot_replica::ProposeError;

use crate::reading::moved;
use crate::session::Session;
use crate::shared::Counters;
use crate::state::{End, Flow};
use crate::view::Expunges;

/// What a mailbox was named for, when it does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named {
    /// To be read, or to be changed.
    Itself,
    /// As where messages are to go: the client may create it and try again (RFC 9051, 7.1: TRYCREATE).
    Target,
}

impl Session {
    /// Tells what has changed in the mailbox, then that the command is completed.
    pub(crate) fn complete(&mut self, tag: &Tag, expunges: Expunges, code: Option<Code<'_>>, text: &str) -> Flow {
        let told = self.tell(expunges);
        self.writer().ok(tag, code, text);
        told
    }

    /// Tells what has changed in the mailbox, then NO.
    pub(crate) fn refuse(&mut self, tag: &Tag, expunges: Expunges, code: Option<Code<'_>>, text: &str) -> Flow {
        let told = self.tell(expunges);
        self.writer().no(tag, code, text);
        told
    }

    /// BAD: the client's mistake.
    pub(crate) fn bad(&mut self, tag: Option<&Tag>, text: &str) -> Flow {
        Counters::count(&self.shared.counters.bad_commands);
        self.bad_commands += 1;
        self.was_bad = true;
        self.writer().bad(tag, None, text);
        if self.bad_commands >= self.shared.config.bad_commands_max {
            return Err(End::Bye("Too many bad commands in a row".into()));
        }
        Ok(())
    }

    /// Answers a failure of ours: it is logged here, once.
    pub(crate) fn failed(&mut self, tag: &Tag, error: &ServiceError) -> Flow {
        if let ServiceError::Format(error) = error {
            return self.format_failed(tag, error);
        }
        let (code, text) = match error {
            ServiceError::Propose(ProposeError::Unknown(why)) => return Err(End::Unknown(why.clone())),
            ServiceError::NotHosted(_) => return Err(moved()),
            ServiceError::Propose(ProposeError::Full) => (Code::OverQuota, "The disk is full"),
            ServiceError::Propose(ProposeError::Unavailable(_)) => (Code::Unavailable, "Changes cannot be taken now"),
            ServiceError::Unfetched(_) => (Code::Unavailable, "A message cannot be fetched from another node now"),
            ServiceError::Stopping => (Code::Unavailable, "The server is stopping"),
            ServiceError::TooLarge => (Code::TooBig, "The message is too large"),
            _ => (Code::ServerBug, "The server failed; its log tells more"),
        };
        Counters::count(&self.shared.counters.failures);
        tracing::error!(error = error as &(dyn std::error::Error + 'static), "a command failed");
        self.writer().no(tag, Some(code), text);
        Ok(())
    }

    /// Answers what a driver said of another server's mailbox. What the operator can do nothing about is the client's alone to know.
    fn format_failed(&mut self, tag: &Tag, error: &FormatError) -> Flow {
        let code = match error {
            FormatError::NoMailbox(_) => Code::NonExistent,
            FormatError::Exists(_) => Code::AlreadyExists,
            FormatError::CannotHold(_) => Code::Cannot,
            FormatError::ReadOnly(_) => Code::ReadOnly,
            FormatError::InUse { .. } => Code::InUse,
            FormatError::NoMessage(_) => Code::ExpungeIssued,
            FormatError::Full(_) => Code::OverQuota,
            FormatError::Shared(_) | FormatError::Damaged { .. } | FormatError::Io { .. } => {
                Counters::count(&self.shared.counters.failures);
                tracing::error!(error = error as &(dyn std::error::Error + 'static), "a command failed");
                let text = "The mailbox's files cannot be used; the server's log tells more";
                self.writer().no(tag, Some(Code::ServerBug), text);
                return Ok(());
            }
        };
        // A path on the server is not the client's business.
        let text = match error {
            FormatError::InUse { .. } => "The mailbox is in use by another program".into(),
            error => sentence(&error.to_string()),
        };
        self.writer().no(tag, Some(code), &text);
        Ok(())
    }

    /// Answers why a change was not made.
    pub(crate) fn not_changed(&mut self, tag: &Tag, error: &ChangeError, expunges: Expunges, named: Named) -> Flow {
        let refusal = match error {
            ChangeError::Refused(refusal) => refusal,
            ChangeError::Failed(error) => return self.failed(tag, error),
        };
        let code = match refusal {
            Refusal::NoSuchMailbox if named == Named::Target => Code::TryCreate,
            Refusal::NoSuchMailbox | Refusal::NoSuchAccount | Refusal::NoSuchLogin => Code::NonExistent,
            Refusal::MailboxExists | Refusal::LoginExists => Code::AlreadyExists,
            Refusal::InboxStays | Refusal::BelowItself | Refusal::NameTooLong => Code::Cannot,
            Refusal::TooManyMailboxes | Refusal::TooManyKeywords | Refusal::NoMoreUids => Code::Limit,
            Refusal::SpecialUseTaken => Code::UseAttr,
            // Moves are not a client's; only that its account is in one can come to it.
            Refusal::TooLate
            | Refusal::AccountMoving
            | Refusal::AccountExists
            | Refusal::OtherMove
            | Refusal::WrongRows => Code::Unavailable,
        };
        self.refuse(tag, expunges, Some(code), &sentence(&refusal.to_string()))
    }
}

/// A message as the beginning of a sentence.
pub(crate) fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
