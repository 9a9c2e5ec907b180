//! Response codes.

use paquebot_types::{Flags, Keyword, ModSeq, SeqNum, Uid, UidSet, UidValidity};

use super::Mode;
use super::data::write_uid_set;
use super::text::{write_astring, write_flags, write_number, write_words};
use crate::SequenceSet;

/// What a status response says to the client's program, in brackets (RFC 9051, 7.1, and the extensions named).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code<'a> {
    Alert,
    AlreadyExists,
    /// RFC 4315: the UIDs of the messages appended.
    AppendUid {
        uid_validity: UidValidity,
        uids: &'a UidSet,
    },
    AuthenticationFailed,
    AuthorizationFailed,
    /// The charsets that are supported; none are told if empty.
    BadCharset(&'a [&'a str]),
    Cannot,
    Capability(&'a [&'a str]),
    ClientBug,
    Closed,
    /// RFC 4978.
    CompressionActive,
    ContactAdmin,
    /// RFC 4315: the nth UID of one set was copied to the nth of the other. Neither may be empty: give no code then.
    CopyUid {
        uid_validity: UidValidity,
        from: &'a UidSet,
        to: &'a UidSet,
    },
    Corruption,
    Expired,
    ExpungeIssued,
    HasChildren,
    /// RFC 7162.
    HighestModSeq(ModSeq),
    InUse,
    Limit,
    /// RFC 8474.
    MailboxId(&'a str),
    /// RFC 7162: the messages left as they were, in the numbers that the command used.
    Modified(&'a SequenceSet),
    /// RFC 7162.
    NoModSeq,
    NonExistent,
    NoPerm,
    NotSaved,
    OverQuota,
    Parse,
    PermanentFlags {
        flags: Flags,
        keywords: &'a [Keyword],
        /// `\*`: the client may make new keywords.
        new_keywords: bool,
    },
    PrivacyRequired,
    ReadOnly,
    ReadWrite,
    ServerBug,
    /// RFC 7889.
    TooBig,
    TryCreate,
    UidNext(Uid),
    /// RFC 4315.
    UidNotSticky,
    UidRequired,
    UidValidity(UidValidity),
    Unavailable,
    UnknownCte,
    /// RFC 3501: the first message without `\Seen`.
    Unseen(SeqNum),
    /// RFC 6154.
    UseAttr,
}

impl Code<'_> {
    /// Writes the code with its brackets.
    pub(crate) fn write(self, out: &mut Vec<u8>, mode: Mode) {
        out.push(b'[');
        out.extend_from_slice(self.name().as_bytes());
        self.write_arguments(out, mode);
        out.push(b']');
    }

    /// The code's name, for metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Alert => "ALERT",
            Self::AlreadyExists => "ALREADYEXISTS",
            Self::AppendUid { .. } => "APPENDUID",
            Self::AuthenticationFailed => "AUTHENTICATIONFAILED",
            Self::AuthorizationFailed => "AUTHORIZATIONFAILED",
            Self::BadCharset(_) => "BADCHARSET",
            Self::Cannot => "CANNOT",
            Self::Capability(_) => "CAPABILITY",
            Self::ClientBug => "CLIENTBUG",
            Self::Closed => "CLOSED",
            Self::CompressionActive => "COMPRESSIONACTIVE",
            Self::ContactAdmin => "CONTACTADMIN",
            Self::CopyUid { .. } => "COPYUID",
            Self::Corruption => "CORRUPTION",
            Self::Expired => "EXPIRED",
            Self::ExpungeIssued => "EXPUNGEISSUED",
            Self::HasChildren => "HASCHILDREN",
            Self::HighestModSeq(_) => "HIGHESTMODSEQ",
            Self::InUse => "INUSE",
            Self::Limit => "LIMIT",
            Self::MailboxId(_) => "MAILBOXID",
            Self::Modified(_) => "MODIFIED",
            Self::NoModSeq => "NOMODSEQ",
            Self::NonExistent => "NONEXISTENT",
            Self::NoPerm => "NOPERM",
            Self::NotSaved => "NOTSAVED",
            Self::OverQuota => "OVERQUOTA",
            Self::Parse => "PARSE",
            Self::PermanentFlags { .. } => "PERMANENTFLAGS",
            Self::PrivacyRequired => "PRIVACYREQUIRED",
            Self::ReadOnly => "READ-ONLY",
            Self::ReadWrite => "READ-WRITE",
            Self::ServerBug => "SERVERBUG",
            Self::TooBig => "TOOBIG",
            Self::TryCreate => "TRYCREATE",
            Self::UidNext(_) => "UIDNEXT",
            Self::UidNotSticky => "UIDNOTSTICKY",
            Self::UidRequired => "UIDREQUIRED",
            Self::UidValidity(_) => "UIDVALIDITY",
            Self::Unavailable => "UNAVAILABLE",
            Self::UnknownCte => "UNKNOWN-CTE",
            Self::Unseen(_) => "UNSEEN",
            Self::UseAttr => "USEATTR",
        }
    }

    fn write_arguments(self, out: &mut Vec<u8>, mode: Mode) {
        let number = |out: &mut Vec<u8>, number: u64| {
            out.push(b' ');
            write_number(out, number);
        };
        match self {
            Self::AppendUid { uid_validity, uids } => {
                number(out, uid_validity.get().into());
                out.push(b' ');
                write_uid_set(out, uids);
            }
            Self::CopyUid { uid_validity, from, to } => {
                number(out, uid_validity.get().into());
                for uids in [from, to] {
                    out.push(b' ');
                    write_uid_set(out, uids);
                }
            }
            Self::BadCharset(charsets) if !charsets.is_empty() => {
                out.extend_from_slice(b" (");
                for (index, charset) in charsets.iter().enumerate() {
                    if index > 0 {
                        out.push(b' ');
                    }
                    write_astring(out, charset.as_bytes(), mode.utf8);
                }
                out.push(b')');
            }
            Self::Capability(names) => {
                out.push(b' ');
                write_words(out, names.iter().copied());
            }
            Self::HighestModSeq(modseq) => number(out, modseq.0),
            Self::MailboxId(id) => {
                out.extend_from_slice(b" (");
                out.extend_from_slice(id.as_bytes());
                out.push(b')');
            }
            Self::Modified(set) => {
                out.push(b' ');
                super::data::write_sequence_set(out, set);
            }
            Self::PermanentFlags { flags, keywords, new_keywords } => {
                out.extend_from_slice(b" (");
                write_flags(out, flags, keywords, if new_keywords { &["\\*"] } else { &[] });
                out.push(b')');
            }
            Self::UidNext(uid) => number(out, uid.get().into()),
            Self::UidValidity(uid_validity) => number(out, uid_validity.get().into()),
            Self::Unseen(seq_num) => number(out, seq_num.get().into()),
            _ => {}
        }
    }
}
