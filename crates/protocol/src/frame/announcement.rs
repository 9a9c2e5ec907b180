//! A literal's announcement at a line's end.

/// The largest size that the grammar knows: 63 bits (RFC 9051, 9: `number64`).
pub const LITERAL_SIZE_MAX: u64 = i64::MAX as u64;

/// `{size}` or `{size+}` at the end of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announcement {
    /// `None` for a number of more than 63 bits.
    pub size: Option<u64>,
    /// Whether the client waits for a continuation before it sends the literal.
    pub synchronizing: bool,
}

impl Announcement {
    /// What the line, given without its end, announces. Not within an open quoted string, which a line's end cannot be in.
    pub fn at_end_of(line: &[u8]) -> Option<Self> {
        let announcement = Self::ends(line)?;
        (!ends_in_quotes(line)).then_some(announcement)
    }

    /// As [`Self::at_end_of`], for the end of a line whose beginning was not kept.
    pub fn ends(line: &[u8]) -> Option<Self> {
        let inner = line.strip_suffix(b"}")?;
        let open = memchr::memrchr(b'{', inner)?;
        let inner = inner.get(open + 1..)?;
        let (digits, synchronizing) = match inner.strip_suffix(b"+") {
            Some(digits) => (digits, false),
            None => (inner, true),
        };
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        Some(Self { size: size(digits), synchronizing })
    }
}

fn size(digits: &[u8]) -> Option<u64> {
    let number = digits
        .iter()
        .try_fold(0u64, |number, digit| number.checked_mul(10)?.checked_add(u64::from(digit.wrapping_sub(b'0'))))?;
    (number <= LITERAL_SIZE_MAX).then_some(number)
}

fn ends_in_quotes(line: &[u8]) -> bool {
    let mut quoted = false;
    let mut bytes = line.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => quoted = !quoted,
            b'\\' if quoted => {
                bytes.next();
            }
            _ => {}
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_number_in_braces_at_the_end_announces() {
        let found = |line: &str| Announcement::at_end_of(line.as_bytes());
        let literal = |size, synchronizing| Some(Announcement { size: Some(size), synchronizing });
        assert_eq!(found("a LOGIN {5}"), literal(5, true));
        assert_eq!(found("a LOGIN {05+}"), literal(5, false));
        assert_eq!(found("a APPEND x (~{7+}"), literal(7, false));
        assert_eq!(found("{9223372036854775807}"), literal(LITERAL_SIZE_MAX, true));
        for overflow in ["{9223372036854775808}", "{18446744073709551616}", "{99999999999999999999}"] {
            assert_eq!(found(overflow), Some(Announcement { size: None, synchronizing: true }), "{overflow}");
        }
        for none in
            ["", "}", "{}", "{+}", "{-1}", "{ 5}", "{5 }", "{5}x", "{5++}", "{5-}", "{0x5}", "5}", "\"a\" \"{5}\""]
        {
            assert_eq!(found(none), None, "{none}");
        }
        assert_eq!(found("a LOGIN \"b {5}"), None);
        assert_eq!(found("a LOGIN \"\\\"\" {5}"), literal(5, true));
        assert_eq!(found("a LOGIN \"\\\\\" {5}"), literal(5, true));
    }
}
