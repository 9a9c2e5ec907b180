//! Reading a copy of a shard's rows from a peer.

use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use paquebot_types::ShardId;

use crate::CHUNK_BYTES_MAX;
use crate::error::PeerError;
use crate::host::{Refusal, SnapshotHeader};
use crate::link::Lane;
use crate::octets::{Octets, ReceiveError, whole};
use crate::peers::{Peer, request};
use crate::wire::{Call, FRAME_HEADER, FrameKind, is_frame_whole, parse_frame_header, parse_snapshot_header};

/// For a peer to begin: another copy may have to end first.
const BEGIN: Duration = Duration::from_secs(30);
/// Silence between two chunks.
const SILENCE: Duration = Duration::from_secs(30);

/// A copy of a shard's rows, as it comes. Dropped, it is broken off.
pub struct SnapshotReader {
    peer: Peer,
    octets: Octets,
    header: SnapshotHeader,
    chunks: u64,
    ended: bool,
}

impl SnapshotReader {
    pub(crate) async fn begin(peer: &Peer, shard: ShardId) -> Result<Self, PeerError> {
        let request = request(Method::GET, &Call::Snapshot(shard), whole(""))?;
        let answer = peer.inner.call(Lane::Bulk, request, BEGIN).await?;
        let mut octets = Octets::new(answer.into_body(), SILENCE);
        let header = match frame(peer, &mut octets).await? {
            (FrameKind::Header, payload) => parse_snapshot_header(&payload),
            _ => None,
        };
        let header = header.ok_or_else(|| peer.inner.place.damaged("a snapshot without a header"))?;
        Ok(Self { peer: peer.clone(), octets, header, chunks: 0, ended: false })
    }

    /// What the copy is of.
    pub fn header(&self) -> SnapshotHeader {
        self.header
    }

    /// The next rows; `None` when all have come. A copy that ends before is an error, never an end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, PeerError> {
        if self.ended {
            return Ok(None);
        }
        let place = &self.peer.inner.place;
        match frame(&self.peer, &mut self.octets).await? {
            (FrameKind::Rows, rows) => {
                self.chunks += 1;
                Ok(Some(rows))
            }
            (FrameKind::End, payload) if payload[..] == self.chunks.to_be_bytes() => {
                self.ended = true;
                Ok(None)
            }
            (FrameKind::Failed, why) => {
                let refusal = Refusal::Failed(String::from_utf8_lossy(&why).into_owned());
                Err(PeerError::Refused { node: place.node.clone(), refusal })
            }
            (FrameKind::End | FrameKind::Header, _) => Err(place.damaged("a snapshot that lacks chunks")),
        }
    }
}

async fn frame(peer: &Peer, octets: &mut Octets) -> Result<(FrameKind, Bytes), PeerError> {
    let place = &peer.inner.place;
    let broken = |error: ReceiveError| match error {
        ReceiveError::Ended => place.damaged("a snapshot that ends early"),
        error => place.broken(format!("the snapshot: {error}")),
    };
    let bytes = octets.exactly(FRAME_HEADER).await.map_err(broken)?;
    let header: &[u8; FRAME_HEADER] = bytes.first_chunk().ok_or_else(|| place.damaged("a snapshot that ends early"))?;
    let (kind, len, crc) = parse_frame_header(header)
        .ok_or_else(|| place.damaged("a snapshot with a piece of an unknown kind: upgrade the older node"))?;
    let len = usize::try_from(len).ok().filter(|len| *len <= CHUNK_BYTES_MAX);
    let len = len.ok_or_else(|| place.damaged("a snapshot with a piece that is too large"))?;
    let payload = octets.exactly(len).await.map_err(broken)?;
    if is_frame_whole(header, crc, &payload) {
        Ok((kind, payload))
    } else {
        Err(place.damaged("a piece of a snapshot that fails its checksum"))
    }
}
