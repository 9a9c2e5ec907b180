//! Rows as they travel: length of the key (4 bytes, little-endian), length of the value (4), key, value.

use paquebot_types::ShardId;

use crate::index::{Enough, IndexError, ReadTxn};

/// A chunk of an export ends with the row that takes it past this many bytes.
const CHUNK_BYTES: usize = 1 << 20;

/// A row's key and value.
pub(super) type Row<'a> = (&'a [u8], &'a [u8]);

/// The next chunk of a shard's rows, after the key `after`, which it moves on. Empty after the last one.
pub(super) fn chunk(snapshot: &ReadTxn, shard: ShardId, after: &mut Option<Vec<u8>>) -> Result<Vec<u8>, IndexError> {
    let mut chunk = Vec::new();
    let mut last = None;
    let mut too_long = false;
    snapshot.rows_after(shard, after.as_deref(), |key, value| {
        let lengths = u32::try_from(key.len()).ok().zip(u32::try_from(value.len()).ok());
        let Some((key_len, value_len)) = lengths else {
            too_long = true;
            return Enough::Yes;
        };
        chunk.extend_from_slice(&key_len.to_le_bytes());
        chunk.extend_from_slice(&value_len.to_le_bytes());
        chunk.extend_from_slice(key);
        chunk.extend_from_slice(value);
        let enough = if chunk.len() >= CHUNK_BYTES { Enough::Yes } else { Enough::No };
        last.get_or_insert_with(Vec::new).clear();
        if let Some(last) = &mut last {
            last.extend_from_slice(key);
        }
        enough
    })?;
    if too_long {
        return Err(IndexError::Damaged("a row is longer than any that was written"));
    }
    if last.is_some() {
        *after = last;
    }
    Ok(chunk)
}

/// The rows in a chunk; `None` for bytes that are no rows.
pub(super) fn parse(mut chunk: &[u8]) -> Option<Vec<Row<'_>>> {
    let mut rows = Vec::new();
    while !chunk.is_empty() {
        let (key_len, rest) = chunk.split_first_chunk::<4>()?;
        let (value_len, rest) = rest.split_first_chunk::<4>()?;
        let (key, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*key_len)).ok()?)?;
        let (value, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*value_len)).ok()?)?;
        rows.push((key, value));
        chunk = rest;
    }
    Some(rows)
}

impl ReadTxn {
    /// The hash of all rows of a shard, in order: equal on two machines whose rows are. Reads them all.
    pub fn state_hash(&self, shard: ShardId) -> Result<[u8; 32], IndexError> {
        let (mut hasher, mut after) = (blake3::Hasher::new(), None);
        loop {
            let chunk = chunk(self, shard, &mut after)?;
            if chunk.is_empty() {
                return Ok(*hasher.finalize().as_bytes());
            }
            hasher.update(&chunk);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn bytes_that_are_no_rows_are_refused() {
        let chunk = [&[1, 0, 0, 0, 2, 0, 0, 0], b"kvv".as_slice(), &[0; 8]].concat();
        assert_eq!(parse(&chunk).unwrap(), [(b"k".as_slice(), b"vv".as_slice()), (b"", b"")]);
        for cut in 1..chunk.len() {
            // A whole row is whole without the next.
            assert_eq!(parse(&chunk[..cut]).is_some(), cut == 11, "cut at {cut}");
        }
        assert_eq!(parse(&[0xff; 100]), None, "lengths are not believed");
    }
}
