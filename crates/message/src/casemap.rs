//! i;unicode-casemap (RFC 5051): how SEARCH, SORT and THREAD compare text.

use memchr::memmem::Finder;
use unicode_normalization::char::decompose_compatible;

/// Adds the normal form of `text` to `out`: each character in titlecase, then decomposed. Texts are equal if their normal forms are.
pub fn normalise_into(text: &str, out: &mut String) {
    let mut rest = text;
    while !rest.is_empty() {
        let ascii = rest.bytes().position(|byte| !byte.is_ascii()).unwrap_or(rest.len());
        let (plain, following) = rest.split_at(ascii);
        let start = out.len();
        out.push_str(plain);
        if let Some(added) = out.get_mut(start..) {
            added.make_ascii_uppercase();
        }
        rest = following;
        let mut characters = rest.chars();
        if let Some(character) = characters.next() {
            decompose_compatible(titlecase(character), |piece| out.push(piece));
            rest = characters.as_str();
        }
    }
}

/// The normal form of `text`.
pub fn normalise(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    normalise_into(text, &mut out);
    out
}

/// Unicode's simple titlecase mapping. The full one, which the standard library has for uppercase, makes more than one character
/// of some; these have either no simple mapping or are named here.
fn titlecase(character: char) -> char {
    match character {
        '\u{1C4}'..='\u{1C6}' => '\u{1C5}',
        '\u{1C7}'..='\u{1C9}' => '\u{1C8}',
        '\u{1CA}'..='\u{1CC}' => '\u{1CB}',
        '\u{1F1}'..='\u{1F3}' => '\u{1F2}',
        // Georgian has capitals, but its titlecase is the letter itself.
        '\u{10D0}'..='\u{10FF}' => character,
        // Greek with iota subscript.
        '\u{1F80}'..='\u{1F87}' | '\u{1F90}'..='\u{1F97}' | '\u{1FA0}'..='\u{1FA7}' => {
            char::from_u32(u32::from(character) + 8).unwrap_or(character)
        }
        '\u{1FB3}' => '\u{1FBC}',
        '\u{1FC3}' => '\u{1FCC}',
        '\u{1FF3}' => '\u{1FFC}',
        _ => {
            let mut upper = character.to_uppercase();
            match (upper.next(), upper.next()) {
                (Some(only), None) => only,
                _ => character,
            }
        }
    }
}

/// A text to look for.
#[derive(Debug, Clone)]
pub struct Needle {
    finder: Finder<'static>,
}

impl Needle {
    pub fn new(text: &str) -> Self {
        Self { finder: Finder::new(normalise(text).as_bytes()).into_owned() }
    }

    /// Whether everything matches.
    pub fn is_empty(&self) -> bool {
        self.finder.needle().is_empty()
    }

    /// Whether `text` contains it.
    pub fn is_in(&self, text: &str) -> bool {
        let mut matcher = Matcher::new(self);
        matcher.push(text);
        matcher.is_found()
    }
}

/// Looks for a needle in a text that comes in pieces; it holds no more of it than the needle is long, and one piece.
#[derive(Debug)]
pub struct Matcher<'a> {
    needle: &'a Needle,
    /// The normal form of the end of what was seen, and of the piece being looked at.
    window: String,
    found: bool,
}

/// Bytes normalised at a time.
const PIECE_BYTES: usize = 16 << 10;

impl<'a> Matcher<'a> {
    pub fn new(needle: &'a Needle) -> Self {
        Self { needle, window: String::new(), found: needle.is_empty() }
    }

    /// Takes the next piece of the text.
    pub fn push(&mut self, text: &str) {
        let mut rest = text;
        while !self.found && !rest.is_empty() {
            let (piece, following) = rest.split_at(rest.floor_char_boundary(PIECE_BYTES));
            normalise_into(piece, &mut self.window);
            self.found = self.needle.finder.find(self.window.as_bytes()).is_some();
            let overlap = self.needle.finder.needle().len().saturating_sub(1);
            let keep_from = self.window.floor_char_boundary(self.window.len().saturating_sub(overlap));
            self.window.drain(..keep_from);
            rest = following;
        }
    }

    /// Ends the text: what comes next is another, in which the needle must lie whole. What was found stays found.
    pub fn end_text(&mut self) {
        self.window.clear();
    }

    pub fn is_found(&self) -> bool {
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_have_one_normal_form() {
        let cases = [
            ("Hello", "hELLO"),
            ("Grüße", "GRU\u{308}ßE"),
            ("Ǆ", "ǆ"),
            ("ᾳ", "ᾼ"),
            ("ΣΑΣ", "σας"),
            ("ა", "ა"),
            ("Å", "\u{212B}"),
            ("ı", "I"),
        ];
        for (one, other) in cases {
            assert_eq!(normalise(one), normalise(other));
        }
        assert_eq!(normalise("ﬁ"), "fi", "what comes of decomposition is not cased again");
        assert_ne!(normalise("ß"), normalise("ss"));
    }

    #[test]
    fn a_needle_is_found_across_pieces() {
        let needle = Needle::new("größe x");
        let text = "was ist die GRÖSSE? GRÖßE  X! Größe X.";
        assert!(needle.is_in(text));
        for split in (0..text.len()).filter(|&at| text.is_char_boundary(at)) {
            let mut matcher = Matcher::new(&needle);
            matcher.push(&text[..split]);
            matcher.push(&text[split..]);
            assert!(matcher.is_found());
        }
        let mut matcher = Matcher::new(&needle);
        matcher.push("größe");
        matcher.end_text();
        matcher.push(" x");
        assert!(!matcher.is_found());
        assert!(Needle::new("").is_in(""));
        assert!(Needle::new("END").is_in(&("é".repeat(40_000) + "end")));
    }
}
