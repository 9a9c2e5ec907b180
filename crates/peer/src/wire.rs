//! What calls look like on the wire. Pure.
//!
//! ```text
//! POST /1/bodies                        u32 length, the header (postcard), then the bodies one after the other
//! GET  /1/body/SHARD/ACCOUNT/BLOB       Range: bytes=N-; the answer has the body from there, and its whole length and hash as headers
//! GET  /1/snapshot/SHARD                frames: a header, chunks, an end
//! POST /1/ask/KIND                      the question; the answer
//! ```
//!
//! The first step of the path is the version of the call. A node that does not know it says so by name, and goes on serving those that it knows.

use bytes::Bytes;
use hyper::StatusCode;
use paquebot_model::RecordId;
use paquebot_types::{AccountId, BlobHash, BlobId, Sequence, ShardId};
use serde::{Deserialize, Serialize};

use crate::host::{BodyName, Refusal, SnapshotHeader};

/// The header of a push takes so many bytes, at most.
pub(crate) const PUSH_HEADER_BYTES_MAX: usize = 1 << 20;
/// A body has so many bytes, at most: its size has 32 bits in the model.
pub(crate) const BODY_BYTES_MAX: u64 = u32::MAX as u64;
/// A refusal's text, in bytes.
pub(crate) const WHY_BYTES_MAX: usize = 4 << 10;

/// The whole length of a body, and its hash.
pub(crate) const LENGTH: &str = "paquebot-length";
pub(crate) const HASH: &str = "paquebot-hash";

/// What comes before the bodies of a push: the records that they are of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PushHeader {
    pub records: Vec<PushedRecord>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PushedRecord {
    pub shard: ShardId,
    pub record: RecordId,
    pub after: Sequence,
    /// Hash and length.
    pub bodies: Vec<(BlobHash, u64)>,
}

/// A call that this build knows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Call<'a> {
    Push,
    Body(BodyName),
    Snapshot(ShardId),
    Ask(&'a str),
}

impl PushHeader {
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        postcard::take_from_bytes(bytes).ok().filter(|(_, rest)| rest.is_empty()).map(|(header, _)| header)
    }
}

impl Call<'_> {
    pub(crate) fn path(&self) -> String {
        match self {
            Self::Push => "/1/bodies".into(),
            Self::Body(BodyName { shard, account, blob }) => format!("/1/body/{shard}/{account}/{blob}"),
            Self::Snapshot(shard) => format!("/1/snapshot/{shard}"),
            Self::Ask(kind) => format!("/1/ask/{kind}"),
        }
    }

    /// The call of a path; else what to say.
    pub(crate) fn parse(path: &str) -> Result<Call<'_>, String> {
        let mut steps = path.split('/');
        let (Some(""), Some(version)) = (steps.next(), steps.next()) else {
            return Err("a call's path begins with its version".into());
        };
        if version != "1" {
            let version: String = version.chars().take(20).collect();
            return Err(format!("this node speaks version 1 of the calls between nodes, not {version:?}: upgrade it"));
        }
        let unknown = || {
            let path: String = path.chars().take(100).collect();
            format!("this node does not know the call {path:?}: upgrade it")
        };
        let call = match (steps.next(), steps.next(), steps.next(), steps.next(), steps.next()) {
            (Some("bodies"), None, ..) => Call::Push,
            (Some("body"), Some(shard), Some(account), Some(blob), None) => {
                let (shard, account, blob) = (shard.parse().ok(), account.parse().ok(), blob.parse().ok());
                let name = || {
                    Some(BodyName {
                        shard: ShardId(shard?),
                        account: AccountId::new(account?)?,
                        blob: BlobId::new(blob?)?,
                    })
                };
                Call::Body(name().ok_or_else(unknown)?)
            }
            (Some("snapshot"), Some(shard), None, ..) => Call::Snapshot(ShardId(shard.parse().map_err(|_| unknown())?)),
            (Some("ask"), Some(kind), None, ..) if is_kind(kind) => Call::Ask(kind),
            _ => return Err(unknown()),
        };
        Ok(call)
    }
}

/// What a question's kind may be called.
pub(crate) fn is_kind(kind: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=64).contains(&kind.len()) && kind.bytes().all(fits)
}

/// The first byte that is asked for; `None` for a range of another form.
pub(crate) fn parse_range(range: &str) -> Option<u64> {
    let from = range.strip_prefix("bytes=")?.strip_suffix('-')?;
    from.parse().ok().filter(|_| from.bytes().all(|byte| byte.is_ascii_digit()))
}

pub(crate) fn status_of(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::NotHere(_) => StatusCode::NOT_FOUND,
        Refusal::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        Refusal::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

pub(crate) fn refusal_of(status: StatusCode, why: String) -> Refusal {
    match status {
        StatusCode::NOT_FOUND => Refusal::NotHere(why),
        StatusCode::SERVICE_UNAVAILABLE => Refusal::Unavailable(why),
        _ => Refusal::Failed(why),
    }
}

/// A piece of a snapshot on the wire: its kind, length and CRC-32C (over kind, length and payload), then the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameKind {
    Header,
    Rows,
    /// Its payload is the number of chunks before.
    End,
    /// The giving side cannot go on; its payload says why.
    Failed,
}

pub(crate) const FRAME_HEADER: usize = 9;

impl FrameKind {
    const ALL: [(Self, u8); 4] = [(Self::Header, b'H'), (Self::Rows, b'R'), (Self::End, b'E'), (Self::Failed, b'F')];

    fn byte(self) -> u8 {
        Self::ALL.into_iter().find(|(kind, _)| *kind == self).map_or(0, |(_, byte)| byte)
    }
}

/// What goes before a frame's payload; `None` for a payload that is too long for a frame.
pub(crate) fn frame_header(kind: FrameKind, payload: &[u8]) -> Option<[u8; FRAME_HEADER]> {
    let mut header = [0; FRAME_HEADER];
    header[0] = kind.byte();
    header[1..5].copy_from_slice(&u32::try_from(payload.len()).ok()?.to_be_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&header[..5]), payload);
    header[5..].copy_from_slice(&crc.to_be_bytes());
    Some(header)
}

/// Kind, length and checksum.
pub(crate) fn parse_frame_header(header: &[u8; FRAME_HEADER]) -> Option<(FrameKind, u32, u32)> {
    let [kind, a, b, c, d, rest @ ..] = *header;
    let kind = FrameKind::ALL.into_iter().find(|(_, byte)| *byte == kind)?.0;
    Some((kind, u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes(rest)))
}

pub(crate) fn is_frame_whole(header: &[u8; FRAME_HEADER], crc: u32, payload: &[u8]) -> bool {
    crc32c::crc32c_append(crc32c::crc32c(&header[..5]), payload) == crc
}

pub(crate) fn encode_snapshot_header(header: &SnapshotHeader) -> Bytes {
    let mut bytes = header.applied.0.to_be_bytes().to_vec();
    bytes.extend_from_slice(&header.chain);
    bytes.extend_from_slice(&header.state_hash);
    bytes.into()
}

pub(crate) fn parse_snapshot_header(bytes: &[u8]) -> Option<SnapshotHeader> {
    let (applied, rest) = bytes.split_first_chunk()?;
    let (chain, rest) = rest.split_first_chunk()?;
    let (state_hash, rest) = rest.split_first_chunk()?;
    let header =
        SnapshotHeader { applied: Sequence(u64::from_be_bytes(*applied)), chain: *chain, state_hash: *state_hash };
    rest.is_empty().then_some(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> BodyName {
        BodyName { shard: ShardId(7), account: AccountId::new(3).unwrap(), blob: BlobId::new(9).unwrap() }
    }

    #[test]
    fn calls_go_there_and_back() {
        for call in [Call::Push, Call::Body(name()), Call::Snapshot(ShardId(255)), Call::Ask("member-status")] {
            assert_eq!(Call::parse(&call.path()), Ok(call));
        }
    }

    #[test]
    fn what_is_unknown_is_refused_by_name() {
        assert!(Call::parse("/2/bodies").unwrap_err().contains("\"2\": upgrade"));
        for path in
            ["/1/else", "/1/bodies/1", "/1/body/1/2", "/1/body/1/2/x", "/1/snapshot/99999999999", "/1/ask/", "/1/ask/A"]
        {
            assert!(Call::parse(path).unwrap_err().contains(path), "{path}");
        }
        assert!(Call::parse("").is_err() && Call::parse("*").is_err() && Call::parse("/").is_err());
    }

    #[test]
    fn a_range_is_open() {
        assert_eq!(parse_range("bytes=12-"), Some(12));
        for bad in ["bytes=-5", "bytes=1-2", "bytes=+1-", "bytes=1-,3-", "bytes=99999999999999999999-", "1-"] {
            assert_eq!(parse_range(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_frame_proves_its_kind_length_and_payload() {
        let header = frame_header(FrameKind::Rows, b"rows").unwrap();
        let (kind, len, crc) = parse_frame_header(&header).unwrap();
        assert_eq!((kind, len), (FrameKind::Rows, 4));
        assert!(is_frame_whole(&header, crc, b"rows"));
        assert!(!is_frame_whole(&header, crc, b"rowz"));
        for at in 0..5 {
            let mut other = header;
            other[at] ^= 1;
            assert!(!is_frame_whole(&other, crc, b"rows"), "{at}");
        }
    }

    #[test]
    fn a_snapshots_header_goes_there_and_back() {
        let header = SnapshotHeader { applied: Sequence(77), chain: [1; 32], state_hash: [2; 32] };
        let bytes = encode_snapshot_header(&header);
        assert_eq!(parse_snapshot_header(&bytes), Some(header));
        assert_eq!(parse_snapshot_header(&bytes[1..]), None);
        assert_eq!(parse_snapshot_header(&[&bytes[..], &[0]].concat()), None);
    }
}
