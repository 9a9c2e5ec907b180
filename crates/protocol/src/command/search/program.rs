//! Search keys within one another, without recursion.

use super::SearchKey;
use super::key::{Start, start_key};
use crate::parser::{Parsed, Parser};

/// A key that waits for its parts.
enum Open {
    And(Vec<SearchKey>),
    Not,
    Or(Option<SearchKey>),
}

/// `search-key *(SP search-key)`, up to the command's end: all must match.
pub(in crate::command) fn program(parser: &mut Parser<'_>) -> Parsed<SearchKey> {
    let context = parser.context;
    let mut open: Vec<Open> = Vec::new();
    let mut depth = 0;
    let mut keys = Vec::new();
    for _ in 0..context.search_keys_max {
        let start = parser.at();
        let leaf = match start_key(parser)? {
            Start::Leaf(key) => key,
            Start::Or => {
                open.push(Open::Or(None));
                continue;
            }
            start_of_more => {
                if depth == context.search_depth_max {
                    return Parser::too_many_at(start, "levels of search keys", context.search_depth_max);
                }
                depth += 1;
                open.push(if let Start::Not = start_of_more { Open::Not } else { Open::And(Vec::new()) });
                continue;
            }
        };
        match close(parser, leaf, &mut open, &mut depth)? {
            Some(key) => keys.push(key),
            None => continue,
        }
        if !parser.skip_space() {
            return Ok(and(keys));
        }
    }
    parser.too_many("search keys", context.search_keys_max)
}

/// Gives a key to those that wait for it, as far as that makes them whole; what comes back is whole and nothing waits for it.
fn close(
    parser: &mut Parser<'_>,
    mut key: SearchKey,
    open: &mut Vec<Open>,
    depth: &mut usize,
) -> Parsed<Option<SearchKey>> {
    loop {
        match open.pop() {
            None => return Ok(Some(key)),
            Some(Open::Not) => {
                *depth -= 1;
                key = SearchKey::Not(Box::new(key));
            }
            Some(Open::Or(Some(first))) => key = or(first, key),
            Some(Open::Or(None)) => {
                parser.space()?;
                open.push(Open::Or(Some(key)));
                return Ok(None);
            }
            Some(Open::And(mut keys)) => {
                keys.push(key);
                if parser.skip_byte(b')') {
                    *depth -= 1;
                    key = and(keys);
                } else {
                    parser.byte(b' ', "a space or a closing parenthesis")?;
                    open.push(Open::And(keys));
                    return Ok(None);
                }
            }
        }
    }
}

fn and(mut keys: Vec<SearchKey>) -> SearchKey {
    match (keys.pop(), keys.is_empty()) {
        (Some(only), true) => only,
        (Some(last), false) => {
            keys.push(last);
            SearchKey::And(keys)
        }
        (None, _) => SearchKey::All,
    }
}

/// One flat OR of both, in time that a chain of any length can afford: the shorter side is moved to the longer one.
fn or(a: SearchKey, b: SearchKey) -> SearchKey {
    let list = |key| match key {
        SearchKey::Or(keys) => keys,
        key => vec![key],
    };
    let (mut a, mut b) = (list(a), list(b));
    if a.len() < b.len() {
        std::mem::swap(&mut a, &mut b);
    }
    a.append(&mut b);
    SearchKey::Or(a)
}
