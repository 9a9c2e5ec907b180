//! Which part of a message `BODY[...]` names.

/// The deepest part number that is taken. Parts lie no deeper than the message crate parses, so more would name nothing.
pub const SECTION_PARTS_MAX: usize = 128;

/// A section of a message as `BODY[<section>]` names it (RFC 9051, 6.4.5).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Section {
    /// The part's path, from 1 at each level; empty for the message itself.
    pub part: Vec<u32>,
    pub text: SectionText,
}

/// What of the part is meant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SectionText {
    /// The whole message, or the part's content without its MIME header.
    #[default]
    Whole,
    Header,
    /// The names as the client wrote them; compare without regard to case.
    HeaderFields(Vec<String>),
    /// The names as the client wrote them; compare without regard to case.
    HeaderFieldsNot(Vec<String>),
    Text,
    /// The MIME header of a part. The path is never empty.
    Mime,
}

/// The octets from `origin` on, at most `count` of them: `<origin.count>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partial {
    /// From 0; may lie past the end, which gives the empty string.
    pub origin: u64,
    /// Never 0.
    pub count: u64,
}

impl Partial {
    /// The range of octets that this means in a section of `size` octets; empty if it begins past the end.
    pub fn range(self, size: u64) -> std::ops::Range<u64> {
        let first = self.origin.min(size);
        first..self.origin.saturating_add(self.count).min(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_never_leaves_the_section() {
        let range = |origin, count| Partial { origin, count }.range(10);
        assert_eq!(range(0, 4), 0..4);
        assert_eq!(range(8, 4), 8..10);
        assert_eq!(range(10, 1), 10..10);
        assert_eq!(range(u64::MAX, u64::MAX), 10..10);
        assert_eq!(range(3, u64::MAX), 3..10);
    }
}
