//! COMPRESS=DEFLATE (RFC 4978): raw deflate in both directions.

use std::io;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// Octets given at once, however much they were compressed: a bomb fills no more than this.
const INFLATED_BYTES: usize = 32 << 10;

/// Both directions' state: some 300 KiB.
pub(super) struct Deflate {
    inflate: Decompress,
    deflate: Compress,
    /// Compressed octets that were received and not inflated yet.
    received: Vec<u8>,
    taken: usize,
    /// The last call filled its buffer, so there may be more without any further input.
    more: bool,
}

impl Default for Deflate {
    fn default() -> Self {
        // RFC 4978, 4: raw, without zlib's header. The fast level: mail's bulk is base64, which no level makes much smaller.
        Self {
            inflate: Decompress::new(false),
            deflate: Compress::new(Compression::fast(), false),
            received: Vec::new(),
            taken: 0,
            more: false,
        }
    }
}

impl Deflate {
    /// Takes octets as they came from the peer.
    pub(super) fn take(&mut self, octets: &[u8]) {
        if self.taken == self.received.len() {
            self.received.clear();
            self.taken = 0;
        }
        self.received.extend_from_slice(octets);
    }

    /// Inflates some of what was taken; `None` if nothing more comes of it.
    pub(super) fn inflate_more(&mut self) -> io::Result<Option<Vec<u8>>> {
        while self.taken < self.received.len() || self.more {
            let mut octets = Vec::with_capacity(INFLATED_BYTES);
            let input = self.received.get(self.taken..).unwrap_or_default();
            let (before_in, before_out) = (self.inflate.total_in(), self.inflate.total_out());
            let status = self.inflate.decompress_vec(input, &mut octets, FlushDecompress::None)?;
            let consumed = usize::try_from(self.inflate.total_in() - before_in).unwrap_or(input.len());
            let produced = self.inflate.total_out() - before_out;
            self.taken = (self.taken + consumed).min(self.received.len());
            self.more = octets.len() == octets.capacity();
            if status == Status::StreamEnd {
                // The peer will compress nothing more, and there is no way back to plain octets.
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the compressed stream ends"));
            }
            if !octets.is_empty() {
                octets.shrink_to_fit();
                return Ok(Some(octets));
            }
            if consumed == 0 && produced == 0 {
                break;
            }
        }
        self.received = Vec::new();
        self.taken = 0;
        self.more = false;
        Ok(None)
    }

    /// Compresses octets and all that it takes to inflate them: a sync flush (RFC 4978, 4), or the peer would wait for their end.
    pub(super) fn deflate(&mut self, octets: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::with_capacity(octets.len() / 2 + 64);
        let mut rest = octets;
        loop {
            let before = self.deflate.total_in();
            self.deflate.compress_vec(rest, &mut out, FlushCompress::Sync)?;
            let consumed = usize::try_from(self.deflate.total_in() - before).unwrap_or(rest.len());
            rest = rest.get(consumed..).unwrap_or_default();
            // A flush is over when it leaves room in the buffer.
            if rest.is_empty() && out.len() < out.capacity() {
                return Ok(out);
            }
            out.reserve(rest.len() / 2 + 64);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_piece_can_be_inflated_at_once() {
        let (mut one, mut two) = (Deflate::default(), Deflate::default());
        let noise: Vec<u8> = (0..100_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for piece in [b"a NOOP\r\n".to_vec(), Vec::new(), noise, vec![b'x'; 1 << 20], b"b".to_vec()] {
            let compressed = one.deflate(&piece).unwrap();
            let mut inflated = Vec::new();
            for part in compressed.chunks(1000) {
                two.take(part);
                while let Some(octets) = two.inflate_more().unwrap() {
                    assert!(octets.len() <= INFLATED_BYTES);
                    inflated.extend(octets);
                }
            }
            assert!(inflated == piece);
        }
    }

    #[test]
    fn garbage_is_an_error_and_the_end_of_the_stream_too() {
        let mut deflate = Deflate::default();
        deflate.take(b"\xff\xff\xff\xff");
        assert!(deflate.inflate_more().is_err());
        let mut ended = Deflate::default();
        ended.take(&[3, 0]);
        assert!(ended.inflate_more().is_err());
    }
}
