use std::fmt;

/// One response with the literals in it, as it came, without its last CRLF.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    bytes: Vec<u8>,
}

impl Response {
    pub fn new(bytes: Vec<u8>) -> Response {
        Response { bytes }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn starts_with(&self, text: &str) -> bool {
        self.bytes.starts_with(text.as_bytes())
    }

    pub fn contains(&self, text: &str) -> bool {
        self.bytes.windows(text.len().max(1)).any(|window| window == text.as_bytes())
    }

    pub fn is_untagged(&self) -> bool {
        self.starts_with("* ")
    }

    pub fn is_continuation(&self) -> bool {
        self.starts_with("+")
    }

    /// What follows the tag, for a tagged response: `OK ...`.
    pub fn after_tag(&self, tag: &str) -> Option<&[u8]> {
        self.bytes.strip_prefix(tag.as_bytes())?.strip_prefix(b" ")
    }

    /// The octets of each literal in it, in order.
    pub fn literals(&self) -> Vec<&[u8]> {
        let mut found = Vec::new();
        let mut rest = self.bytes.as_slice();
        while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
            let (line, after) = (&rest[..end], &rest[end + 2..]);
            let Some(size) = literal_size(line).filter(|size| *size <= after.len()) else { break };
            found.push(&after[..size]);
            rest = &after[size..];
        }
        found
    }
}

/// Shown as a person reads it in a terminal: control characters and 8-bit as escapes, CRLF within as line ends.
impl fmt::Display for Response {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = String::from_utf8_lossy(&self.bytes);
        if shown.len() <= 2000 {
            return write!(formatter, "{shown}");
        }
        write!(formatter, "{}... ({} octets)", shown.chars().take(1000).collect::<String>(), self.bytes.len())
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", String::from_utf8_lossy(&self.bytes))
    }
}

/// The size of the literal that this line announces at its end.
pub fn literal_size(line: &[u8]) -> Option<usize> {
    let open = line.iter().rposition(|byte| *byte == b'{')?;
    let digits = line.strip_suffix(b"}")?.get(open + 1..)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_found_behind_their_sizes() {
        let response = Response::new(b"* 1 FETCH (BODY[HEADER] {3}\r\na{9 BODY[TEXT] {2}\r\n\r\n)".to_vec());
        assert_eq!(response.literals(), [b"a{9".as_slice(), b"\r\n"]);
    }

    #[test]
    fn a_size_is_digits_in_braces_at_the_end() {
        for (line, size) in
            [("x {12}", Some(12)), ("~{3}", Some(3)), ("{}", None), ("{3} ", None), ("{+3}x", None), ("3}", None)]
        {
            assert_eq!(literal_size(line.as_bytes()), size, "{line}");
        }
    }
}
