//! THREAD (RFC 5256): ORDEREDSUBJECT and REFERENCES over what summaries hold.

mod ordered_subject;
mod references;
mod write;

pub use ordered_subject::ordered_subject;
pub use references::references;
pub use write::write_threads;

use crate::message_id::MessageIdHash;

/// One message to be threaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ThreadInput<'a> {
    /// What the answer names it by: its UID or number.
    pub id: u32,
    pub message_id: Option<MessageIdHash>,
    /// The oldest first.
    pub references: &'a [MessageIdHash],
    /// The base subject in the normal form of i;unicode-casemap.
    pub subject: &'a [u8],
    /// Whether the subject had a mark of reply or forwarding.
    pub is_reply: bool,
    /// The sent date, or the internal date where there is none (RFC 5256, 2.2).
    pub unix_seconds: i64,
}

/// Threads in the order of the answer. Nodes are linked by their places in `nodes`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Forest {
    pub nodes: Vec<Node>,
    pub first_root: Option<usize>,
}

/// A message in a thread, or a place where one is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Node {
    /// `None` for a parent that is not among the messages.
    pub id: Option<u32>,
    pub first_child: Option<usize>,
    pub next_sibling: Option<usize>,
}

impl Forest {
    /// The roots' places.
    pub fn roots(&self) -> impl Iterator<Item = usize> + '_ {
        self.chain(self.first_root)
    }

    /// The places of a node's children.
    pub fn children(&self, node: usize) -> impl Iterator<Item = usize> + '_ {
        self.chain(self.nodes.get(node).and_then(|node| node.first_child))
    }

    fn chain(&self, first: Option<usize>) -> impl Iterator<Item = usize> + '_ {
        std::iter::successors(first, |&at| self.nodes.get(at).and_then(|node| node.next_sibling))
    }
}

#[cfg(test)]
mod tests;
