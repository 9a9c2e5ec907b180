//! SEARCH, ESEARCH, SORT and THREAD.

use paquebot_types::ModSeq;

use super::ResponseWriter;
use super::data::write_sequence_set;
use super::text::{write_number, write_string};
use crate::{NumberKind, SequenceSet, Tag};

/// The answer to a SEARCH or SORT with RETURN, and in rev2 to every SEARCH (RFC 9051, 7.3.4).
#[derive(Debug, Clone, Copy)]
pub struct ESearch<'a> {
    /// The command's tag, by which the client knows what is answered.
    pub tag: &'a Tag,
    pub kind: NumberKind,
    /// Left out if nothing was found.
    pub min: Option<u32>,
    /// Left out if nothing was found.
    pub max: Option<u32>,
    /// Left out if nothing was found.
    pub all: Option<&'a SequenceSet>,
    /// ALL of a SORT, in order, in place of `all`.
    pub all_sorted: Option<&'a [u32]>,
    pub count: Option<u32>,
    /// The highest of what was found, if MODSEQ was asked about (RFC 7162, 3.1.10).
    pub modseq: Option<ModSeq>,
}

impl<'a> ESearch<'a> {
    /// The answer that says nothing but whose it is.
    pub fn new(tag: &'a Tag, kind: NumberKind) -> Self {
        Self { tag, kind, min: None, max: None, all: None, all_sorted: None, count: None, modseq: None }
    }
}

impl ResponseWriter<'_> {
    /// SEARCH, also if nothing was found; `modseq` if MODSEQ was asked about and something was found (RFC 7162, 3.1.5).
    pub fn search(&mut self, numbers: impl IntoIterator<Item = u32>, modseq: Option<ModSeq>) {
        self.out.extend_from_slice(b"* SEARCH");
        self.numbers(numbers);
        self.modseq(modseq);
        self.end_line();
    }

    /// SORT, in order; `modseq` as in [`Self::search`].
    pub fn sort(&mut self, numbers: impl IntoIterator<Item = u32>, modseq: Option<ModSeq>) {
        self.out.extend_from_slice(b"* SORT");
        self.numbers(numbers);
        self.modseq(modseq);
        self.end_line();
    }

    /// THREAD with the threads as written already: `(1)(2 (3)(4))`.
    pub fn thread(&mut self, threads: &[u8]) {
        self.out.extend_from_slice(b"* THREAD");
        if !threads.is_empty() {
            self.out.push(b' ');
            self.out.extend_from_slice(threads);
        }
        self.end_line();
    }

    pub fn esearch(&mut self, answer: &ESearch<'_>) {
        self.out.extend_from_slice(b"* ESEARCH (TAG ");
        write_string(self.out, answer.tag.as_str().as_bytes(), self.mode.utf8);
        self.out.push(b')');
        if answer.kind == NumberKind::Uid {
            self.out.extend_from_slice(b" UID");
        }
        self.item(b" MIN ", answer.min.map(u64::from));
        self.item(b" MAX ", answer.max.map(u64::from));
        self.item(b" COUNT ", answer.count.map(u64::from));
        if let Some(set) = answer.all.filter(|set| !set.is_empty()) {
            self.out.extend_from_slice(b" ALL ");
            write_sequence_set(self.out, set);
        }
        if let Some(numbers) = answer.all_sorted.filter(|numbers| !numbers.is_empty()) {
            self.out.extend_from_slice(b" ALL ");
            self.ordered_set(numbers);
        }
        self.item(b" MODSEQ ", answer.modseq.map(|modseq| modseq.0));
        self.end_line();
    }

    fn item(&mut self, name: &[u8], value: Option<u64>) {
        if let Some(value) = value {
            self.out.extend_from_slice(name);
            write_number(self.out, value);
        }
    }

    fn numbers(&mut self, numbers: impl IntoIterator<Item = u32>) {
        for number in numbers {
            self.out.push(b' ');
            write_number(self.out, number.into());
        }
    }

    fn modseq(&mut self, modseq: Option<ModSeq>) {
        if let Some(modseq) = modseq {
            self.out.extend_from_slice(b" (MODSEQ ");
            write_number(self.out, modseq.0);
            self.out.push(b')');
        }
    }

    /// A set whose order matters: runs that ascend by one are ranges (RFC 5267, 3.1).
    fn ordered_set(&mut self, numbers: &[u32]) {
        let runs = numbers.chunk_by(|a, b| a.checked_add(1) == Some(*b));
        for (index, run) in runs.enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            if let (Some(&first), Some(&last)) = (run.first(), run.last()) {
                write_number(self.out, first.into());
                if last != first {
                    self.out.push(b':');
                    write_number(self.out, last.into());
                }
            }
        }
    }
}
