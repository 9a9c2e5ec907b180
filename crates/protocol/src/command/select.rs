//! SELECT and EXAMINE (RFC 9051, 6.3.2 and 6.3.3) with CONDSTORE and QRESYNC (RFC 7162).

use paquebot_types::{ModSeq, UidSet, UidValidity};

use crate::{Mailbox, SequenceSet};

/// SELECT or EXAMINE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Select {
    pub mailbox: Mailbox,
    pub access: Access,
    /// `(CONDSTORE)` was given.
    pub condstore: bool,
    pub qresync: Option<QResync>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// SELECT.
    ReadWrite,
    /// EXAMINE.
    ReadOnly,
}

/// What the client knows of the mailbox (RFC 7162, 3.2.5). BAD unless QRESYNC is enabled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QResync {
    pub uid_validity: UidValidity,
    pub modseq: ModSeq,
    /// Every UID below UIDNEXT if absent.
    pub known_uids: Option<UidSet>,
    pub seq_match: Option<SeqMatch>,
}

/// Pairs of sequence number and UID that the client knows: the nth of one set belongs to the nth of the other. Both have no `*`, are
/// ascending and of the same size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeqMatch {
    pub seq_nums: SequenceSet,
    pub uids: UidSet,
}
