//! STATUS.

use paquebot_types::{MailboxName, ModSeq, Uid, UidValidity};

use super::ResponseWriter;
use super::list::write_mailbox;
use super::text::write_number;

/// One item of a STATUS response with its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusValue<'a> {
    Messages(u32),
    Recent(u32),
    UidNext(Uid),
    UidValidity(UidValidity),
    Unseen(u32),
    Deleted(u32),
    /// Octets of all messages together.
    Size(u64),
    HighestModSeq(ModSeq),
    MailboxId(&'a str),
    /// `None`: NIL, no limit.
    AppendLimit(Option<u64>),
}

impl ResponseWriter<'_> {
    /// STATUS, the items in the order given.
    pub fn status(&mut self, mailbox: &MailboxName, values: &[StatusValue<'_>]) {
        self.out.extend_from_slice(b"* STATUS ");
        write_mailbox(self.out, mailbox.as_str(), self.mode);
        self.out.extend_from_slice(b" (");
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                self.out.push(b' ');
            }
            value.write(self.out);
        }
        self.out.push(b')');
        self.end_line();
    }
}

impl StatusValue<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        let (name, number): (&[u8], u64) = match *self {
            Self::Messages(count) => (b"MESSAGES ", count.into()),
            Self::Recent(count) => (b"RECENT ", count.into()),
            Self::UidNext(uid) => (b"UIDNEXT ", uid.get().into()),
            Self::UidValidity(uid_validity) => (b"UIDVALIDITY ", uid_validity.get().into()),
            Self::Unseen(count) => (b"UNSEEN ", count.into()),
            Self::Deleted(count) => (b"DELETED ", count.into()),
            Self::Size(octets) => (b"SIZE ", octets),
            Self::HighestModSeq(modseq) => (b"HIGHESTMODSEQ ", modseq.0),
            Self::AppendLimit(Some(octets)) => (b"APPENDLIMIT ", octets),
            Self::AppendLimit(None) => return out.extend_from_slice(b"APPENDLIMIT NIL"),
            Self::MailboxId(id) => {
                out.extend_from_slice(b"MAILBOXID (");
                out.extend_from_slice(id.as_bytes());
                return out.push(b')');
            }
        };
        out.extend_from_slice(name);
        write_number(out, number);
    }
}
