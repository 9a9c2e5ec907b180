//! A pack's bytes, as FORMAT.md describes them. Numbers are little-endian.

use paquebot_types::{BlobHash, Sequence, ShardId};

use crate::location::{Location, PackId};

/// Length of the header at a pack's start.
pub(crate) const PACK_HEADER: u64 = 64;
/// Length of the header of every entry.
pub(crate) const ENTRY_HEADER: u64 = 64;
/// Entries start at multiples of this.
pub(crate) const ALIGN: u64 = 8;

const MAGIC: [u8; 8] = *b"PAQPACK\n";
const VERSION: u32 = 1;

/// What a pack says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PackHeader {
    pub uuid: [u8; 16],
    pub pack: PackId,
    /// The number of the group that comes first; 0 in a pack that holds a single body.
    pub first_group: u64,
}

/// What tells a header of this pack from bytes that only look like one. It is derived from the store's secret, so nobody can write
/// it into a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seal(u64);

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The start of a group: its number, its entries and its bytes in all, this header with them.
    Group { number: u64, entries: u32, bytes: u64 },
    /// A message body.
    Body { hash: BlobHash },
    /// A body that lies in a pack of its own, named by the payload.
    Named { hash: BlobHash },
    /// A record of a shard's log.
    Record { shard: ShardId, sequence: Sequence },
}

/// The header of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EntryHeader {
    pub kind: Kind,
    pub len: u64,
    pub crc: u32,
}

impl PackHeader {
    pub(crate) fn to_bytes(self) -> [u8; PACK_HEADER as usize] {
        let mut bytes = [0; PACK_HEADER as usize];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[12..16].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.uuid);
        bytes[32..40].copy_from_slice(&self.pack.0.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.first_group.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[12..]);
        bytes[8..12].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// `None` for bytes that are no header of this version.
    pub(crate) fn parse(bytes: &[u8; PACK_HEADER as usize]) -> Option<Self> {
        let sound = bytes[..8] == MAGIC && read_u32(bytes, 8) == crc32c::crc32c(&bytes[12..]);
        if !sound || read_u32(bytes, 12) != VERSION {
            return None;
        }
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&bytes[16..32]);
        Some(Self { uuid, pack: PackId(read_u64(bytes, 32)), first_group: read_u64(bytes, 40) })
    }
}

impl Seal {
    pub(crate) fn new(secret: &[u8; 32], pack: PackId) -> Self {
        let hash = blake3::keyed_hash(secret, &pack.0.to_le_bytes());
        Self(read_u64(hash.as_bytes(), 0))
    }
}

impl EntryHeader {
    pub(crate) fn to_bytes(self, seal: Seal) -> [u8; ENTRY_HEADER as usize] {
        let mut bytes = [0; ENTRY_HEADER as usize];
        bytes[8..16].copy_from_slice(&seal.0.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.len.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.crc.to_le_bytes());
        bytes[4] = match self.kind {
            Kind::Group { number, entries, bytes: total } => {
                bytes[28..32].copy_from_slice(&entries.to_le_bytes());
                bytes[32..40].copy_from_slice(&number.to_le_bytes());
                bytes[40..48].copy_from_slice(&total.to_le_bytes());
                b'G'
            }
            Kind::Body { hash } => {
                bytes[32..].copy_from_slice(&hash.0);
                b'B'
            }
            Kind::Named { hash } => {
                bytes[32..].copy_from_slice(&hash.0);
                b'N'
            }
            Kind::Record { shard, sequence } => {
                bytes[32..34].copy_from_slice(&shard.0.to_le_bytes());
                bytes[40..48].copy_from_slice(&sequence.0.to_le_bytes());
                b'R'
            }
        };
        let crc = crc32c::crc32c(&bytes[4..]);
        bytes[..4].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// `None` for bytes that are no entry's header in the pack of this seal.
    pub(crate) fn parse(bytes: &[u8; ENTRY_HEADER as usize], seal: Seal) -> Option<Self> {
        if read_u64(bytes, 8) != seal.0 || read_u32(bytes, 0) != crc32c::crc32c(&bytes[4..]) {
            return None;
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(&bytes[32..]);
        let kind = match bytes[4] {
            b'G' => {
                Kind::Group { number: read_u64(bytes, 32), entries: read_u32(bytes, 28), bytes: read_u64(bytes, 40) }
            }
            b'B' => Kind::Body { hash: BlobHash(hash) },
            b'N' => Kind::Named { hash: BlobHash(hash) },
            b'R' => Kind::Record {
                shard: ShardId(u16::from_le_bytes([bytes[32], bytes[33]])),
                sequence: Sequence(read_u64(bytes, 40)),
            },
            _ => return None,
        };
        Some(Self { kind, len: read_u64(bytes, 16), crc: read_u32(bytes, 24) })
    }

    /// Bytes of the entry with its header and its padding; `None` if no file can hold it.
    pub(crate) fn span(&self) -> Option<u64> {
        span(self.len)
    }
}

/// Bytes that an entry with a payload of `len` takes; `None` if no file can hold it.
pub(crate) fn span(len: u64) -> Option<u64> {
    len.checked_next_multiple_of(ALIGN)?.checked_add(ENTRY_HEADER).filter(|span| *span <= i64::MAX as u64)
}

/// The payload of a [`Kind::Named`] entry.
pub(crate) fn named_payload(location: Location) -> [u8; Location::BYTES] {
    location.to_bytes()
}

/// Whether all bytes are zeros. Compares each with its neighbour, which is one call of `memcmp`.
pub(crate) fn is_zeros(bytes: &[u8]) -> bool {
    match bytes {
        [] => true,
        [first, rest @ ..] => *first == 0 && *rest == bytes[..rest.len()],
    }
}

fn read_u32(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(number)
}

fn read_u64(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_go_there_and_back_and_any_changed_bit_is_seen() {
        let seal = Seal::new(&[1; 32], PackId(7));
        let kinds = [
            Kind::Group { number: 9, entries: 3, bytes: 640 },
            Kind::Body { hash: BlobHash([5; 32]) },
            Kind::Named { hash: BlobHash([6; 32]) },
            Kind::Record { shard: ShardId(258), sequence: Sequence(1 << 50) },
        ];
        for kind in kinds {
            let header = EntryHeader { kind, len: 77, crc: 0xdead_beef };
            let bytes = header.to_bytes(seal);
            assert_eq!(EntryHeader::parse(&bytes, seal), Some(header));
            assert_eq!(EntryHeader::parse(&bytes, Seal::new(&[2; 32], PackId(7))), None);
            assert_eq!(EntryHeader::parse(&bytes, Seal::new(&[1; 32], PackId(8))), None);
            for bit in 0..bytes.len() * 8 {
                let mut changed = bytes;
                changed[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(EntryHeader::parse(&changed, seal), None, "bit {bit}");
            }
        }
    }

    #[test]
    fn pack_headers_go_there_and_back_and_any_changed_bit_is_seen() {
        let header = PackHeader { uuid: [3; 16], pack: PackId::single(4), first_group: 12 };
        let bytes = header.to_bytes();
        assert_eq!(PackHeader::parse(&bytes), Some(header));
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(PackHeader::parse(&changed), None, "bit {bit}");
        }
    }

    #[test]
    fn zeros_are_told_from_other_bytes() {
        for len in [0, 1, 2, 4096] {
            assert!(is_zeros(&vec![0; len]));
            for at in [0, len / 2, len.saturating_sub(1)] {
                let mut bytes = vec![0; len];
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = 1;
                    assert!(!is_zeros(&bytes), "{at} of {len}");
                }
            }
        }
        assert!(!is_zeros(&[7; 10]));
    }

    #[test]
    fn spans_are_aligned_and_never_overflow() {
        assert_eq!(span(0), Some(64));
        assert_eq!(span(1), Some(72));
        assert_eq!(span(8), Some(72));
        assert_eq!(span(u64::MAX), None);
        assert_eq!(span(i64::MAX as u64), None);
    }
}
