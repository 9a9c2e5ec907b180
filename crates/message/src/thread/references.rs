//! REFERENCES (RFC 5256, 3): threads by message ids, then by subjects.
//!
//! The numbers in brackets are the steps of the RFC. Nothing here recurses on what messages say, and links are checked for loops by a
//! union-find, so that a mailbox made to be deep takes no longer than another.

use std::collections::BTreeMap;

use crate::message_id::MessageIdHash;
use crate::thread::{Forest, Node, ThreadInput};

/// Threads `messages`, which are in mailbox order; equal dates keep that order.
///
/// In step 1 a message's own last reference is taken for all messages before what others say of their common ancestors, so that
/// the outcome does not depend on the messages' order but where references run in a circle. What a message says of itself always
/// counts, so where its own reference would close a circle it has no parent, whatever others say.
pub fn references(messages: &[ThreadInput<'_>]) -> Forest {
    let mut containers = Containers::link(messages);
    let children = containers.children();
    let mut threads = Threads { messages, owner: containers.owner, children, roots: Vec::new() };
    threads.prune(&containers.parent);
    threads.sort_children();
    threads.sort_roots();
    threads.join_by_subject();
    threads.sort_children();
    threads.sort_roots();
    threads.into_forest()
}

/// Step 1: a container for each message and for each id that one refers to.
struct Containers {
    /// The message in a container, by its place in the input.
    owner: Vec<Option<usize>>,
    parent: Vec<Option<usize>>,
    /// A way towards the root of a container's tree.
    towards_root: Vec<usize>,
}

impl Containers {
    fn link(messages: &[ThreadInput<'_>]) -> Self {
        let mut containers = Self { owner: Vec::new(), parent: Vec::new(), towards_root: Vec::new() };
        let mut by_id: BTreeMap<MessageIdHash, usize> = BTreeMap::new();
        // [1] A message without an id, or with one that an earlier message has, gets one of its own.
        for (index, message) in messages.iter().enumerate() {
            let container = containers.add(Some(index));
            if let Some(id) = message.message_id {
                by_id.entry(id).or_insert(container);
            }
        }
        // [1 B] A message's container has the message's own place.
        for (container, message) in messages.iter().enumerate() {
            if let Some(id) = message.references.last() {
                let parent = *by_id.entry(*id).or_insert_with(|| containers.add(None));
                containers.link_below(container, parent);
            }
        }
        // [1 A]
        for message in messages {
            let mut before = None;
            for id in message.references {
                let container = *by_id.entry(*id).or_insert_with(|| containers.add(None));
                let speaks_for_itself = messages.get(container).is_some_and(|message| !message.references.is_empty());
                if let Some(parent) = before.filter(|_| !speaks_for_itself) {
                    containers.link_below(container, parent);
                }
                before = Some(container);
            }
        }
        containers
    }

    fn add(&mut self, owner: Option<usize>) -> usize {
        let container = self.owner.len();
        self.owner.push(owner);
        self.parent.push(None);
        self.towards_root.push(container);
        container
    }

    /// Makes `child` a child of `parent`, unless it has one already or that would close a loop.
    fn link_below(&mut self, child: usize, parent: usize) {
        if self.parent[child].is_none() {
            // Without a parent it is the root of its tree: a loop would be closed if that is the parent's tree too.
            let root = self.root(parent);
            if root != child {
                self.parent[child] = Some(parent);
                self.towards_root[child] = root;
            }
        }
    }

    fn root(&mut self, container: usize) -> usize {
        let mut at = container;
        while self.towards_root[at] != at {
            let next = self.towards_root[at];
            self.towards_root[at] = self.towards_root[next];
            at = next;
        }
        at
    }

    fn children(&mut self) -> Vec<Vec<usize>> {
        let mut children = vec![Vec::new(); self.parent.len()];
        for (child, parent) in self.parent.iter().enumerate() {
            if let Some(parent) = *parent {
                children[parent].push(child);
            }
        }
        children
    }
}

/// The trees from step 2 on. Once pruned, only roots are without a message.
struct Threads<'a> {
    messages: &'a [ThreadInput<'a>],
    owner: Vec<Option<usize>>,
    children: Vec<Vec<usize>>,
    roots: Vec<usize>,
}

impl Threads<'_> {
    /// [2] and [3]: gathers the roots, and takes away containers without a message; their children take their place. One at the
    /// root stays if it has several children.
    fn prune(&mut self, parent: &[Option<usize>]) {
        let mut order: Vec<usize> = (0..parent.len()).filter(|&container| parent[container].is_none()).collect();
        let roots = order.clone();
        let mut at = 0;
        while let Some(&container) = order.get(at) {
            order.extend_from_slice(&self.children[container]);
            at += 1;
        }
        // Children before their parents.
        for &container in order.iter().rev() {
            let mut kept = Vec::new();
            let mut promoted = Vec::new();
            for child in std::mem::take(&mut self.children[container]) {
                if self.owner[child].is_some() {
                    kept.push(child);
                } else {
                    // The shorter list moves, so that a chain of missing messages is not copied at each of its links.
                    let mut grandchildren = std::mem::take(&mut self.children[child]);
                    if grandchildren.len() > promoted.len() {
                        std::mem::swap(&mut grandchildren, &mut promoted);
                    }
                    promoted.append(&mut grandchildren);
                }
            }
            if kept.len() > promoted.len() {
                std::mem::swap(&mut kept, &mut promoted);
            }
            promoted.append(&mut kept);
            self.children[container] = promoted;
        }
        for root in roots {
            match (self.owner[root], self.children[root].as_slice()) {
                (None, []) => {}
                (None, &[only]) => self.roots.push(only),
                _ => self.roots.push(root),
            }
        }
    }

    fn sort_children(&mut self) {
        for container in 0..self.children.len() {
            let mut children = std::mem::take(&mut self.children[container]);
            children.sort_by_key(|&child| self.key(child));
            self.children[container] = children;
        }
    }

    /// [4], and of [6] the last part.
    fn sort_roots(&mut self) {
        let mut roots = std::mem::take(&mut self.roots);
        roots.sort_by_key(|&root| self.key(root));
        self.roots = roots;
    }

    /// The message that a container is known by: its own, or its first child's.
    fn face(&self, container: usize) -> Option<usize> {
        self.owner[container].or_else(|| self.children[container].first().and_then(|&child| self.owner[child]))
    }

    fn key(&self, container: usize) -> Option<(i64, usize)> {
        let face = self.face(container)?;
        Some((self.messages[face].unix_seconds, face))
    }

    fn subject(&self, container: usize) -> &[u8] {
        self.face(container).map_or(&[], |face| self.messages[face].subject)
    }

    fn is_reply(&self, container: usize) -> bool {
        self.owner[container].is_some_and(|message| self.messages[message].is_reply)
    }

    /// [5]: joins threads of one base subject.
    fn join_by_subject(&mut self) {
        let messages = self.messages;
        let mut table: BTreeMap<&[u8], usize> = BTreeMap::new();
        // [5 B]
        for &root in &self.roots {
            let Some(face) = self.face(root) else { continue };
            let subject = messages[face].subject;
            if subject.is_empty() {
                continue;
            }
            table
                .entry(subject)
                .and_modify(|known| {
                    let is_better = self.owner[root].is_none() || (self.is_reply(*known) && !self.is_reply(root));
                    if self.owner[*known].is_some() && is_better {
                        *known = root;
                    }
                })
                .or_insert(root);
        }
        // [5 C]
        let roots = std::mem::take(&mut self.roots);
        let mut is_joined = vec![false; self.owner.len()];
        for &root in &roots {
            let Some(known) = table.get(self.subject(root)).copied().filter(|&known| known != root) else { continue };
            if is_joined[root] {
                continue;
            }
            is_joined[root] = true;
            match (self.owner[known], self.owner[root]) {
                (None, None) => {
                    let mut children = std::mem::take(&mut self.children[root]);
                    self.children[known].append(&mut children);
                }
                (None, Some(_)) => self.children[known].push(root),
                _ if self.is_reply(root) && !self.is_reply(known) => self.children[known].push(root),
                _ => {
                    is_joined[known] = true;
                    let both = self.owner.len();
                    self.owner.push(None);
                    self.children.push(vec![known, root]);
                    is_joined.push(false);
                    self.roots.push(both);
                    if let Some(entry) = table.get_mut(self.subject(root)) {
                        *entry = both;
                    }
                }
            }
        }
        self.roots.extend(roots.into_iter().filter(|&root| !is_joined[root]));
    }

    fn into_forest(self) -> Forest {
        let mut nodes: Vec<Node> = self
            .owner
            .iter()
            .map(|owner| Node { id: owner.map(|message| self.messages[message].id), ..Node::default() })
            .collect();
        for (container, children) in self.children.iter().enumerate() {
            nodes[container].first_child = children.first().copied();
            link_siblings(&mut nodes, children);
        }
        link_siblings(&mut nodes, &self.roots);
        Forest { nodes, first_root: self.roots.first().copied() }
    }
}

fn link_siblings(nodes: &mut [Node], siblings: &[usize]) {
    for pair in siblings.windows(2) {
        if let [before, after] = *pair {
            nodes[before].next_sibling = Some(after);
        }
    }
}
