//! A cursor over one command's bytes: words, numbers, lists. Each command's own file says what they mean.

mod flags;
mod set;
mod string;

pub(crate) use string::is_atom_char;

use crate::{Fault, ParseContext};

/// Where parsing stopped, and why: a [`crate::SyntaxError`] before the tag and the command's name are put to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stop {
    pub at: usize,
    pub fault: Fault,
}

pub(crate) type Parsed<T> = Result<T, Stop>;

/// The longest word of the grammar, `AUTHENTICATE` and `SAVEDATESUPPORTED` among them, fits.
const WORD_BYTES_MAX: usize = 20;

/// A word in upper case, to be compared with the grammar's.
pub(crate) struct Word {
    bytes: [u8; WORD_BYTES_MAX],
    len: usize,
}

impl Word {
    /// Empty for what is too long to be a word of the grammar.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

pub(crate) struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    pub context: &'a ParseContext,
}

impl<'a> Parser<'a> {
    pub fn new(bytes: &'a [u8], context: &'a ParseContext) -> Self {
        Self { bytes, at: 0, context }
    }

    pub fn at(&self) -> usize {
        self.at
    }

    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn skip(&mut self, count: usize) {
        self.at = self.at.saturating_add(count).min(self.bytes.len());
    }

    /// Takes the longest run of such bytes, possibly none.
    pub fn take_while(&mut self, takes: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let len = rest.iter().position(|&byte| !takes(byte)).unwrap_or(rest.len());
        self.skip(len);
        rest.get(..len).unwrap_or_default()
    }

    /// Stops here.
    pub fn expected<T>(&self, what: &'static str) -> Parsed<T> {
        Err(Stop { at: self.at, fault: Fault::Expected(what) })
    }

    /// Stops at `at`.
    pub fn expected_at<T>(at: usize, what: &'static str) -> Parsed<T> {
        Err(Stop { at, fault: Fault::Expected(what) })
    }

    pub fn too_many<T>(&self, what: &'static str, max: usize) -> Parsed<T> {
        Err(Stop { at: self.at, fault: Fault::TooMany { what, max } })
    }

    pub fn too_many_at<T>(at: usize, what: &'static str, max: usize) -> Parsed<T> {
        Err(Stop { at, fault: Fault::TooMany { what, max } })
    }

    /// Takes the byte if it is next.
    pub fn skip_byte(&mut self, byte: u8) -> bool {
        let next = self.peek() == Some(byte);
        self.at += usize::from(next);
        next
    }

    /// Takes these bytes, of any case, if they are next.
    pub fn skip_bytes(&mut self, bytes: &[u8]) -> bool {
        let next = self.rest().get(..bytes.len()).is_some_and(|next| next.eq_ignore_ascii_case(bytes));
        if next {
            self.skip(bytes.len());
        }
        next
    }

    pub fn byte(&mut self, byte: u8, what: &'static str) -> Parsed<()> {
        if self.skip_byte(byte) { Ok(()) } else { self.expected(what) }
    }

    /// One space, never more.
    pub fn space(&mut self) -> Parsed<()> {
        self.byte(b' ', "a space")
    }

    /// Whether a space and something after it are next; a lone space at the end is left to [`Self::end`]. Takes the space.
    pub fn skip_space(&mut self) -> bool {
        self.rest().len() > 1 && self.skip_byte(b' ')
    }

    pub fn open(&mut self) -> Parsed<()> {
        self.byte(b'(', "an opening parenthesis")
    }

    pub fn close(&mut self) -> Parsed<()> {
        self.byte(b')', "a closing parenthesis")
    }

    /// The command's end: one space before it is let pass, as some clients write it.
    pub fn end(&mut self) -> Parsed<()> {
        match self.rest() {
            [] | b" " => Ok(()),
            _ => self.expected("the end of the command"),
        }
    }

    /// A run of letters, digits, `.`, `-`, `=` and `_`: a name of the grammar. Empty if there is none.
    pub fn word(&mut self) -> Word {
        let taken = self.take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'=' | b'_'));
        let mut word = Word { bytes: [0; WORD_BYTES_MAX], len: 0 };
        if let Some(bytes) = word.bytes.get_mut(..taken.len()) {
            bytes.copy_from_slice(taken);
            bytes.make_ascii_uppercase();
            word.len = taken.len();
        }
        word
    }

    /// Digits that make a number up to `max`; leading zeros are allowed.
    fn number_up_to(&mut self, max: u64, what: &'static str) -> Parsed<u64> {
        let start = self.at;
        let digits = self.take_while(|byte| byte.is_ascii_digit());
        let number = digits
            .iter()
            .try_fold(0u64, |number, digit| number.checked_mul(10)?.checked_add(u64::from(digit.wrapping_sub(b'0'))));
        match number {
            Some(number) if number <= max && !digits.is_empty() => Ok(number),
            _ => Self::expected_at(start, what),
        }
    }

    /// `nz-number`: 32 bits, not 0 and without leading zeros.
    pub fn nz_number(&mut self) -> Parsed<u32> {
        const WHAT: &str = "a number from 1 to 4294967295";
        match self.peek() {
            Some(b'1'..=b'9') => {}
            _ => return self.expected(WHAT),
        }
        let start = self.at;
        let number = self.number_up_to(u32::MAX.into(), WHAT)?;
        u32::try_from(number).or(Self::expected_at(start, WHAT))
    }

    /// `number64` and `mod-sequence-valzer`: 63 bits.
    pub fn number64(&mut self) -> Parsed<u64> {
        self.number_up_to(i64::MAX as u64, "a number of 63 bits")
    }

    /// `( element *(SP element) )`, at most as many as the context allows.
    pub fn list(&mut self, element: impl FnMut(&mut Self) -> Parsed<()>) -> Parsed<()> {
        self.open()?;
        self.list_rest(element)
    }

    /// As [`Self::list`]; `()` is taken as well.
    pub fn list_or_empty(&mut self, element: impl FnMut(&mut Self) -> Parsed<()>) -> Parsed<()> {
        self.open()?;
        if self.skip_byte(b')') { Ok(()) } else { self.list_rest(element) }
    }

    /// `element *(SP element) )`
    pub fn list_rest(&mut self, mut element: impl FnMut(&mut Self) -> Parsed<()>) -> Parsed<()> {
        let max = self.context.list_elements_max;
        for _ in 0..max {
            element(self)?;
            if self.skip_byte(b')') {
                return Ok(());
            }
            self.byte(b' ', "a space or a closing parenthesis")?;
        }
        self.too_many("list elements", max)
    }
}
