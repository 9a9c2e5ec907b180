//! LIST's patterns: `*` and `%` over a mailbox's name.

use std::fmt;

use paquebot_types::{MAILBOX_NAME_BYTES_MAX, MailboxName};

use crate::utf7::decode_utf7;

/// The longest name takes less than a third of this in modified UTF-7; the rest could only be wildcards.
const PATTERN_BYTES_MAX: usize = 8 * MAILBOX_NAME_BYTES_MAX;
const INBOX: &[u8] = b"INBOX";
const SEPARATOR: u8 = b'/';

/// A pattern of LIST: `*` stands for any characters, `%` for any but the separator (RFC 9051, 6.3.9).
///
/// Matching runs all ways through the pattern at once, 64 in a step, so that its time is (octets of the name) × (octets of the pattern ÷ 64) whatever the
/// wildcards: nothing is tried twice. INBOX matches in any case, as itself and as the first level of a name.
#[derive(Clone, PartialEq, Eq)]
pub struct ListPattern {
    text: String,
    /// State n is "the first n literal octets have been seen"; bit n of a set of states is word n / 64, bit n % 64.
    words: usize,
    /// States that stay at any octet, and states that stay at any octet but the separator.
    star: Box<[u64]>,
    percent: Box<[u64]>,
    /// For each octet the states that it leads *from*, `words` at a time; the octets of the pattern only, sorted.
    octets: Box<[u8]>,
    from: Box<[u64]>,
    literals: usize,
    possible: bool,
}

impl ListPattern {
    /// Takes a pattern in UTF-8. Any string is one.
    pub fn new(pattern: &str) -> Self {
        let literals = pattern.bytes().filter(|&byte| !is_wildcard(byte)).count();
        // A pattern that is longer than any name matches none; it needs no states.
        let possible = literals <= MAILBOX_NAME_BYTES_MAX;
        let words = if possible { literals / 64 + 1 } else { 0 };
        let mut octets: Vec<u8> =
            if possible { pattern.bytes().filter(|&byte| !is_wildcard(byte)).collect() } else { Vec::new() };
        octets.sort_unstable();
        octets.dedup();
        let mut this = Self {
            text: pattern.into(),
            words,
            star: vec![0; words].into(),
            percent: vec![0; words].into(),
            from: vec![0; words * octets.len()].into(),
            octets: octets.into(),
            literals,
            possible,
        };
        if possible {
            this.fill();
        }
        this
    }

    fn fill(&mut self) {
        let mut state = 0;
        for byte in self.text.bytes() {
            let (word, bit) = (state / 64, 1 << (state % 64));
            match byte {
                b'*' => self.star[word] |= bit,
                b'%' => self.percent[word] |= bit,
                _ => {
                    if let Ok(at) = self.octets.binary_search(&byte) {
                        self.from[at * self.words + word] |= bit;
                    }
                    state += 1;
                }
            }
        }
    }

    /// Takes a pattern as a client sends it: modified UTF-7, or UTF-8 if that is enabled. What is neither, or is longer than
    /// [`PATTERN_BYTES_MAX`], matches nothing.
    pub(crate) fn from_wire(bytes: &[u8], utf8: bool) -> Self {
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= PATTERN_BYTES_MAX);
        let text = text.and_then(|text| if utf8 { Some(text.into()) } else { decode_pattern(text) });
        text.map_or_else(Self::impossible, |text: String| Self::new(&text))
    }

    fn impossible() -> Self {
        let mut this = Self::new("");
        this.possible = false;
        this
    }

    /// The pattern in UTF-8.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name that the pattern stands for if it has no wildcards, for a look-up in place of a scan.
    pub fn literal(&self) -> Option<MailboxName> {
        if !self.possible || self.text.bytes().any(is_wildcard) { None } else { MailboxName::new(&self.text).ok() }
    }

    /// Whether the name matches.
    pub fn matches(&self, name: &MailboxName) -> bool {
        self.matches_text(name.as_str())
    }

    /// As [`Self::matches`], for a name that need not be a mailbox's: a namespace's prefix, say.
    pub fn matches_text(&self, name: &str) -> bool {
        let name = name.as_bytes();
        if !self.possible || self.literals > name.len() {
            return false;
        }
        let inbox = name.strip_prefix(INBOX).is_some_and(|rest| rest.first().is_none_or(|&byte| byte == SEPARATOR));
        let any_case = if inbox { INBOX.len() } else { 0 };
        match self.words {
            1 => self.run_word(name, any_case),
            _ => self.run(name, any_case),
        }
    }

    /// The common case: fewer than 64 literal octets, one word.
    fn run_word(&self, name: &[u8], any_case: usize) -> bool {
        let word = |row: &[u64]| row.first().copied().unwrap_or(0);
        let (star, percent) = (word(&self.star), word(&self.percent));
        let mut states = 1u64;
        for (index, &byte) in name.iter().enumerate() {
            let mut leaving = word(self.leaving(byte));
            if index < any_case {
                leaving |= word(self.leaving(byte.to_ascii_lowercase()));
            }
            let stay = if byte == SEPARATOR { star } else { star | percent };
            states = (states & leaving) << 1 | states & stay;
            if states == 0 {
                return false;
            }
        }
        states >> self.literals & 1 == 1
    }

    fn run(&self, name: &[u8], any_case: usize) -> bool {
        let mut states = vec![0u64; self.words];
        states[0] = 1;
        for (index, &byte) in name.iter().enumerate() {
            let leaving = self.leaving(byte);
            let other_case: &[u64] = if index < any_case { self.leaving(byte.to_ascii_lowercase()) } else { &[] };
            let mut carry = 0;
            for (word, states) in states.iter_mut().enumerate() {
                let leaving = leaving.get(word).unwrap_or(&0) | other_case.get(word).unwrap_or(&0);
                let stay = if byte == SEPARATOR { self.star[word] } else { self.star[word] | self.percent[word] };
                let moved = *states & leaving;
                *states = moved << 1 | carry | *states & stay;
                carry = moved >> 63;
            }
        }
        states[self.literals / 64] >> (self.literals % 64) & 1 == 1
    }

    /// The states that this octet leads on from; nothing for one that the pattern does not have.
    fn leaving(&self, byte: u8) -> &[u64] {
        let row = self.octets.binary_search(&byte).ok();
        row.and_then(|at| self.from.get(at * self.words..(at + 1) * self.words)).unwrap_or_default()
    }
}

fn is_wildcard(byte: u8) -> bool {
    matches!(byte, b'*' | b'%')
}

/// Decodes what stands between the wildcards, which are never part of a shift.
fn decode_pattern(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    for piece in text.split_inclusive(['*', '%']) {
        let (literal, wildcard) = match piece.strip_suffix(['*', '%']) {
            Some(literal) => (literal, &piece[literal.len()..]),
            None => (piece, ""),
        };
        out.push_str(&decode_utf7(literal)?);
        out.push_str(wildcard);
    }
    Some(out)
}

impl fmt::Debug for ListPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}
