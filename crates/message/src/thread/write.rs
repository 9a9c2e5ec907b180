//! The parenthesised form of the THREAD response.

use crate::thread::Forest;

/// Writes all threads: what follows `* THREAD `. Nothing, if there are none.
///
/// ```abnf
/// thread-list    = "(" (thread-members / thread-nested) ")"
/// thread-members = nz-number *(SP nz-number) [SP thread-nested]
/// thread-nested  = 2*thread-list
/// ```
///
/// A lone child follows its parent in one list, several each get their own. A missing parent is shown only by its children's lists; one
/// with a lone child, or none, is not shown at all.
pub fn write_threads(forest: &Forest, out: &mut Vec<u8>) {
    enum Step {
        /// Opens a list that starts with this node.
        Open(usize),
        /// Writes this node in a list that is open; a message stands before it or not.
        Node {
            node: usize,
            is_first: bool,
        },
        Close,
    }
    let mut steps: Vec<Step> = forest.roots().map(Step::Open).collect();
    steps.reverse();
    while let Some(step) = steps.pop() {
        match step {
            Step::Close => out.push(b')'),
            Step::Open(node) => {
                out.push(b'(');
                steps.push(Step::Close);
                steps.push(Step::Node { node, is_first: true });
            }
            Step::Node { node, is_first } => {
                let id = forest.nodes.get(node).and_then(|node| node.id);
                if let Some(id) = id {
                    if !is_first {
                        out.push(b' ');
                    }
                    out.extend_from_slice(id.to_string().as_bytes());
                }
                let is_first = is_first && id.is_none();
                let mut children = forest.children(node);
                match (children.next(), children.next()) {
                    (None, _) => {}
                    (Some(only), None) => steps.push(Step::Node { node: only, is_first }),
                    (Some(_), Some(_)) => {
                        if !is_first {
                            out.push(b' ');
                        }
                        let start = steps.len();
                        steps.extend(forest.children(node).map(Step::Open));
                        if let Some(added) = steps.get_mut(start..) {
                            added.reverse();
                        }
                    }
                }
            }
        }
    }
}
