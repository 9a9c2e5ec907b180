//! Pages: the messages of a mailbox, up to 64 in a row of the index.
//!
//! A page holds the messages whose UIDs share all but their last six bits, so a UID tells its page. A change of one flag rewrites one
//! small row; a scan of 100,000 messages reads some 1,600.

use paquebot_types::{BlobId, Flags, InternalDate, ModSeq, Uid, UidSet};

use crate::bytes::{Reader, put_varint, put_zigzag};

const VERSION: u8 = 1;
/// Messages in a full page.
pub const PAGE_MESSAGES: usize = 64;

/// The number of the page in which a UID lies.
pub fn page_number(uid: Uid) -> u32 {
    uid.get() / PAGE_MESSAGES as u32
}

/// One message as its mailbox sees it. What belongs to the body alone is in the blob's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    pub uid: Uid,
    /// RFC822.SIZE: the octets of the body.
    pub size: u32,
    pub modseq: ModSeq,
    pub internal_date: InternalDate,
    /// When the message came into this mailbox (RFC 8514), in seconds since 1970.
    pub save_date: i64,
    pub blob: BlobId,
    /// One bit for each keyword of the mailbox, by its place in [`crate::Mailbox::keywords`].
    pub(crate) keywords: [u64; 2],
    pub flags: Flags,
}

impl Message {
    pub fn new(uid: Uid, blob: BlobId, size: u32, internal_date: InternalDate, save_date: i64) -> Self {
        let (modseq, keywords, flags) = (ModSeq::ZERO, [0; 2], Flags::NONE);
        Self { uid, size, modseq, internal_date, save_date, blob, keywords, flags }
    }

    pub fn keywords(&self) -> u128 {
        u128::from(self.keywords[0]) | u128::from(self.keywords[1]) << 64
    }

    pub fn set_keywords(&mut self, keywords: u128) {
        self.keywords = [keywords as u64, (keywords >> 64) as u64];
    }
}

/// A page's messages, by ascending UID.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    pub messages: Vec<Message>,
}

impl Page {
    pub fn get(&self, uid: Uid) -> Option<&Message> {
        self.messages.binary_search_by_key(&uid, |message| message.uid).ok().map(|at| &self.messages[at])
    }

    /// The UIDs in it.
    pub fn uids(&self) -> UidSet {
        self.messages.iter().map(|message| message.uid).collect()
    }

    /// The row's bytes: each column of a message as its difference from the message before.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(8 + self.messages.len() * 20);
        out.push(VERSION);
        put_varint(&mut out, self.messages.len() as u128);
        let (mut uid, mut modseq, mut blob, mut date) = (0, 0, 0, 0);
        for message in &self.messages {
            put_varint(&mut out, u128::from(message.uid.get() - uid));
            put_zigzag(&mut out, message.modseq.0.wrapping_sub(modseq) as i64);
            put_zigzag(&mut out, message.blob.get().wrapping_sub(blob) as i64);
            put_zigzag(&mut out, message.internal_date.unix_seconds().wrapping_sub(date));
            put_zigzag(&mut out, message.internal_date.zone_minutes().into());
            put_zigzag(&mut out, message.save_date.wrapping_sub(message.internal_date.unix_seconds()));
            put_varint(&mut out, message.size.into());
            put_varint(&mut out, message.flags.bits().into());
            put_varint(&mut out, message.keywords());
            uid = message.uid.get();
            modseq = message.modseq.0;
            blob = message.blob.get();
            date = message.internal_date.unix_seconds();
        }
        out
    }

    /// Reads a row; `None` if it is damaged or of a newer version.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        if reader.byte()? != VERSION {
            return None;
        }
        let count = usize::try_from(reader.varint()?).ok()?;
        let mut messages: Vec<Message> = Vec::with_capacity(count.min(PAGE_MESSAGES));
        let (mut uid, mut modseq, mut blob, mut date) = (0u32, 0u64, 0u64, 0i64);
        for _ in 0..count {
            let step = u32::try_from(reader.varint()?).ok()?;
            uid = uid.checked_add(step)?;
            if step == 0 {
                return None;
            }
            modseq = modseq.wrapping_add(reader.zigzag()? as u64);
            blob = blob.wrapping_add(reader.zigzag()? as u64);
            date = date.wrapping_add(reader.zigzag()?);
            let zone = i16::try_from(reader.zigzag()?).ok()?;
            let save_date = date.wrapping_add(reader.zigzag()?);
            let size = u32::try_from(reader.varint()?).ok()?;
            let date = InternalDate::new(date, zone);
            let mut message = Message::new(Uid::new(uid)?, BlobId::new(blob)?, size, date, save_date);
            message.modseq = ModSeq(modseq);
            message.flags = Flags::from_bits(u8::try_from(reader.varint()?).ok()?);
            message.set_keywords(reader.varint_128()?);
            messages.push(message);
        }
        reader.is_empty().then_some(Self { messages })
    }
}

/// The page numbers that a set touches, as ascending, disjoint ranges.
pub fn page_ranges(uids: &UidSet) -> Vec<(u32, u32)> {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for range in uids.ranges() {
        let (first, last) = (page_number(range.first), page_number(range.last));
        match ranges.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => ranges.push((first, last)),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_goes_there_and_back() {
        let messages = (0..64u32).map(|n| {
            let date = InternalDate::new(1_700_000_000 - i64::from(n) * 977, (n as i16 - 30) * 15);
            let mut message =
                Message::new(Uid::new(64 + n).unwrap(), BlobId::new(9 + u64::from(n ^ 5)).unwrap(), n * n, date, 5);
            message.modseq = ModSeq(u64::from(n % 7) << 40);
            message.flags = Flags::from_bits(n as u8);
            message.set_keywords(u128::from(n) << 100);
            message
        });
        let page = Page { messages: messages.collect() };
        let bytes = page.encode();
        assert_eq!(Page::decode(&bytes), Some(page));
        for cut in 0..bytes.len() {
            assert_eq!(Page::decode(&bytes[..cut]), None, "cut at {cut}");
        }
    }

    #[test]
    fn a_message_stays_small() {
        assert_eq!(size_of::<Message>(), 72);
    }

    #[test]
    fn page_ranges_merge() {
        let uids: UidSet = [1, 63, 64, 200, 100_000].map(|n| Uid::new(n).unwrap()).into_iter().collect();
        assert_eq!(page_ranges(&uids), [(0, 1), (3, 3), (1562, 1562)]);
    }
}
