//! ORDEREDSUBJECT (RFC 5256, 3): one thread for each base subject, the first message its root and all others the root's children.

use crate::thread::{Forest, Node, ThreadInput};

/// Threads `messages`, which are in mailbox order; equal dates keep that order.
pub fn ordered_subject(messages: &[ThreadInput<'_>]) -> Forest {
    let mut order: Vec<(usize, &ThreadInput<'_>)> = messages.iter().enumerate().collect();
    order.sort_by(|(a, one), (b, other)| {
        one.subject.cmp(other.subject).then(one.unix_seconds.cmp(&other.unix_seconds)).then(a.cmp(b))
    });
    let mut threads: Vec<&[(usize, &ThreadInput<'_>)]> =
        order.chunk_by(|(_, one), (_, other)| one.subject == other.subject).collect();
    threads.sort_by_key(|thread| thread.first().map(|(index, first)| (first.unix_seconds, *index)));

    let mut forest = Forest::default();
    let mut last_root: Option<usize> = None;
    for thread in threads {
        let root = forest.nodes.len();
        for (place, (_, message)) in thread.iter().enumerate() {
            let at = root + place;
            let has_next = place > 0 && place + 1 < thread.len();
            forest.nodes.push(Node {
                id: Some(message.id),
                first_child: (place == 0 && thread.len() > 1).then_some(at + 1),
                next_sibling: has_next.then_some(at + 1),
            });
        }
        match last_root.and_then(|last| forest.nodes.get_mut(last)) {
            Some(last) => last.next_sibling = Some(root),
            None => forest.first_root = Some(root),
        }
        last_root = Some(root);
    }
    forest
}
