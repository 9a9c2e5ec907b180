//! skiplist databases: nodes in the order in which they were written, each transaction closed by a mark.

use std::collections::{BTreeMap, HashMap};

use super::Damage;
use crate::cyrus::octets::u32_at;

pub const MAGIC: &[u8] = b"\xa1\x02\x8b\x0dskiplist file\0\0\0";
/// Where the nodes begin.
const HEADER: usize = 48;

const IN_ORDER: u32 = 1;
const ADD: u32 = 2;
const DELETE: u32 = 4;
const COMMIT: u32 = 255;
const DUMMY: u32 = 257;
/// After the last pointer of a node.
const END: u32 = 0xffff_ffff;

enum Node<'a> {
    /// Key, value, and whether it is there without a mark.
    Put(&'a [u8], &'a [u8], bool),
    Delete(usize),
    Commit,
    Dummy,
}

/// Everything that was committed.
pub fn read(octets: &[u8]) -> (BTreeMap<Vec<u8>, Vec<u8>>, Option<Damage>) {
    let mut entries = BTreeMap::new();
    let mut keys: HashMap<usize, &[u8]> = HashMap::new();
    let mut open: Vec<(usize, Node<'_>)> = Vec::new();
    let mut at = HEADER;
    while at < octets.len() {
        let Some((node, next)) = node(octets, at) else {
            // Beyond the last mark it is a transaction that never ended.
            let damage = (at as u64, "a node of the database is none");
            return (entries, Some(damage));
        };
        match node {
            Node::Put(key, value, true) => {
                keys.insert(at, key);
                entries.insert(key.to_vec(), value.to_vec());
            }
            Node::Commit => {
                for (at, node) in open.drain(..) {
                    match node {
                        Node::Put(key, value, _) => {
                            keys.insert(at, key);
                            entries.insert(key.to_vec(), value.to_vec());
                        }
                        Node::Delete(place) => {
                            if let Some(key) = keys.get(&place) {
                                entries.remove(*key);
                            }
                        }
                        Node::Commit | Node::Dummy => {}
                    }
                }
            }
            Node::Dummy => {}
            node => open.push((at, node)),
        }
        at = next;
    }
    (entries, None)
}

/// The node at a place, and where the next is.
fn node(octets: &[u8], at: usize) -> Option<(Node<'_>, usize)> {
    let kind = u32_at(octets, at)?;
    match kind {
        COMMIT => return Some((Node::Commit, at + 4)),
        DELETE => return Some((Node::Delete(u32_at(octets, at + 4)? as usize), at + 8)),
        IN_ORDER | ADD | DUMMY => {}
        _ => return None,
    }
    let (key, next) = padded(octets, at + 4)?;
    let (value, mut next) = padded(octets, next)?;
    loop {
        let pointer = u32_at(octets, next)?;
        next += 4;
        if pointer == END {
            break;
        }
    }
    let node = if kind == DUMMY { Node::Dummy } else { Node::Put(key, value, kind == IN_ORDER) };
    Some((node, next))
}

/// A length, that many octets, and zeros up to a multiple of four.
fn padded(octets: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let length = u32_at(octets, at)? as usize;
    let start = at + 4;
    let end = start.checked_add(length)?;
    Some((octets.get(start..end)?, end.checked_next_multiple_of(4)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(file: &mut Vec<u8>, kind: u32, key: &[u8], value: &[u8]) -> usize {
        let at = file.len();
        file.extend(kind.to_be_bytes());
        for text in [key, value] {
            file.extend((text.len() as u32).to_be_bytes());
            file.extend(text);
            file.resize(file.len().next_multiple_of(4), 0);
        }
        file.extend([0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
        at
    }

    #[test]
    fn only_what_was_committed_counts() {
        let mut file = MAGIC.to_vec();
        file.resize(HEADER, 0);
        put(&mut file, DUMMY, b"", b"");
        put(&mut file, IN_ORDER, b"a", b"1");
        let gone = put(&mut file, IN_ORDER, b"b", b"2");
        put(&mut file, ADD, b"c", b"3");
        file.extend(COMMIT.to_be_bytes());
        file.extend(DELETE.to_be_bytes());
        file.extend((gone as u32).to_be_bytes());
        put(&mut file, ADD, b"a", b"new");
        file.extend(COMMIT.to_be_bytes());
        let whole = file.len();
        put(&mut file, ADD, b"d", b"4");
        let (entries, damage) = read(&file);
        let told: Vec<(&[u8], &[u8])> = entries.iter().map(|(key, value)| (&key[..], &value[..])).collect();
        assert_eq!((told, damage), (vec![(&b"a"[..], &b"new"[..]), (b"c", b"3")], None));
        let (entries, damage) = read(&file[..whole + 5]);
        assert_eq!((entries.len(), damage.map(|(at, _)| at)), (2, Some(whole as u64)));
        for cut in 0..file.len() {
            read(&file[..cut]);
        }
    }
}
