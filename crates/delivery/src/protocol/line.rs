//! Command lines out of what has arrived.

use bytes::{Buf, Bytes, BytesMut};

/// The longest command line, in octets with its CRLF. RFC 5321, 4.5.3.1.4 asks for 512, and the extensions for some 100 more.
pub const LINE_BYTES_MAX: usize = 4096;

/// Why what has arrived cannot be taken as lines any more. What comes after cannot be told from what came before: the connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    #[error("a line has at most {LINE_BYTES_MAX} octets")]
    TooLong,
    /// To take a bare LF for the end of a line is how one peer's data becomes the other's commands.
    #[error("lines end in CRLF, and this one in LF alone")]
    BareLf,
}

/// Takes the next line, without its CRLF; `None` until all of it has arrived.
pub fn take_line(buffer: &mut BytesMut) -> Result<Option<Bytes>, LineError> {
    let seen = &buffer[..buffer.len().min(LINE_BYTES_MAX)];
    let Some(end) = memchr::memchr(b'\n', seen) else {
        return if buffer.len() >= LINE_BYTES_MAX { Err(LineError::TooLong) } else { Ok(None) };
    };
    let line = buffer.split_to(end).freeze();
    buffer.advance(1);
    match line.strip_suffix(b"\r") {
        Some(text) => Ok(Some(line.slice_ref(text))),
        None => Err(LineError::BareLf),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(text: &[u8]) -> (Result<Option<Bytes>, LineError>, Vec<u8>) {
        let mut buffer = BytesMut::from(text);
        (take_line(&mut buffer), buffer.to_vec())
    }

    #[test]
    fn a_line_ends_in_crlf_only() {
        assert_eq!(take(b"NOOP\r\nQUIT"), (Ok(Some(Bytes::from_static(b"NOOP"))), b"QUIT".to_vec()));
        assert_eq!(take(b"\r\n"), (Ok(Some(Bytes::new())), vec![]));
        assert_eq!(take(b"NO\rOP\r\n").0, Ok(Some(Bytes::from_static(b"NO\rOP"))));
        assert_eq!(take(b"NOOP\r").0, Ok(None));
        assert_eq!(take(b"").0, Ok(None));
        assert_eq!(take(b"NOOP\nQUIT\r\n").0, Err(LineError::BareLf));
        assert_eq!(take(b"\nQUIT\r\n").0, Err(LineError::BareLf));
    }

    #[test]
    fn a_line_has_a_bound() {
        let longest = [vec![b'x'; LINE_BYTES_MAX - 2], b"\r\n".to_vec()].concat();
        assert_eq!(take(&longest).0.map(|line| line.map(|line| line.len())), Ok(Some(LINE_BYTES_MAX - 2)));
        assert_eq!(take(&[b"x".as_slice(), &longest].concat()).0, Err(LineError::TooLong));
        assert_eq!(take(&vec![b'x'; LINE_BYTES_MAX - 1]).0, Ok(None));
        assert_eq!(take(&vec![b'x'; LINE_BYTES_MAX]).0, Err(LineError::TooLong));
    }
}
