//! A mailbox's keywords: each has a bit, for as long as the mailbox lives.

use paquebot_types::Keyword;

/// Keywords of a mailbox, at most.
pub const KEYWORDS_MAX: usize = 128;

/// Gives each of `add` a bit; `false`, and perhaps some of them added, when there are no more.
pub(crate) fn add_keywords(have: &mut Vec<Keyword>, add: &[Keyword]) -> bool {
    for keyword in add {
        if !have.contains(keyword) {
            if have.len() == KEYWORDS_MAX {
                return false;
            }
            have.push(keyword.clone());
        }
    }
    true
}

/// The bits of those of `of` that have one.
pub fn keyword_bits(have: &[Keyword], of: &[Keyword]) -> u128 {
    let bit = |keyword: &Keyword| have.iter().position(|have| have == keyword);
    of.iter().filter_map(bit).fold(0, |bits, at| bits | 1 << at)
}

/// The keywords that these bits stand for.
pub fn keywords_of(have: &[Keyword], bits: u128) -> impl Iterator<Item = &Keyword> {
    have.iter().enumerate().filter(move |(at, _)| bits >> at & 1 == 1).map(|(_, keyword)| keyword)
}
