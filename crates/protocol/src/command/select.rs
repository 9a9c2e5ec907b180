//! SELECT and EXAMINE (RFC 9051, 6.3.2 and 6.3.3) with CONDSTORE and QRESYNC (RFC 7162).

use paquebot_types::{ModSeq, UidSet, UidValidity};

use crate::parser::{Parsed, Parser};
use crate::{Command, Mailbox, SequenceSet};

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

/// `(SELECT / EXAMINE) SP mailbox [SP "(" select-param *(SP select-param) ")"]`
pub(super) fn parse(parser: &mut Parser<'_>, access: Access) -> Parsed<Command> {
    parser.space()?;
    let mut select = Select { mailbox: parser.mailbox()?, access, condstore: false, qresync: None };
    if parser.skip_space() {
        parser.list(|parser| {
            let start = parser.at();
            match parser.word().as_str() {
                "CONDSTORE" => select.condstore = true,
                "QRESYNC" if select.qresync.is_none() => {
                    parser.space()?;
                    select.qresync = Some(qresync(parser)?);
                }
                _ => return Parser::expected_at(start, "CONDSTORE or QRESYNC"),
            }
            Ok(())
        })?;
    }
    Ok(Command::Select(select))
}

/// `"(" uidvalidity SP mod-sequence-value [SP known-uids] [SP seq-match-data] ")"` (RFC 7162, 7). A modseq of 0 is taken as well.
fn qresync(parser: &mut Parser<'_>) -> Parsed<QResync> {
    parser.open()?;
    let start = parser.at();
    let uid_validity = UidValidity::new(parser.nz_number()?);
    let Some(uid_validity) = uid_validity else { return Parser::expected_at(start, "a UIDVALIDITY") };
    parser.space()?;
    let modseq = ModSeq(parser.number64()?);
    let mut qresync = QResync { uid_validity, modseq, known_uids: None, seq_match: None };
    let mut more = parser.skip_byte(b' ');
    if more && parser.peek() != Some(b'(') {
        qresync.known_uids = Some(parser.known_uids()?);
        more = parser.skip_byte(b' ');
    }
    if more {
        qresync.seq_match = Some(seq_match(parser)?);
    }
    parser.close()?;
    Ok(qresync)
}

/// `seq-match-data = "(" known-sequence-set SP known-uid-set ")"`
fn seq_match(parser: &mut Parser<'_>) -> Parsed<SeqMatch> {
    parser.open()?;
    let start = parser.at();
    let seq_nums = parser.closed_set()?;
    parser.space()?;
    let uids = parser.known_uids()?;
    parser.close()?;
    let count: u64 = seq_nums.ranges().iter().map(|range| u64::from(range.last - range.first) + 1).sum();
    if count != uids.count() {
        return Parser::expected_at(start, "as many sequence numbers as UIDs");
    }
    Ok(SeqMatch { seq_nums, uids })
}
