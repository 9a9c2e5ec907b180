//! Giving bodies, and copies of shards, to peers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::header::HeaderValue;
use hyper::{Response, StatusCode};
use paquebot_store::BodyFile;
use paquebot_types::ShardId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{sleep, timeout};

use super::Shared;
use super::calls::{Answer, Not, answer, refused};
use crate::CHUNK_BYTES_MAX;
use crate::host::{BodyName, Refusal, Snapshot};
use crate::name::NodeName;
use crate::octets::{PIECE_BYTES, SendFailure, piecewise};
use crate::push::read_piece;
use crate::wire::{FrameKind, HASH, LENGTH, encode_snapshot_header, frame_header};

/// A reader that takes nothing for so long is given up.
const SLOW: Duration = Duration::from_secs(30);
/// For other copies to end before this one begins.
const TURN: Duration = Duration::from_secs(20);
/// A copy's reading pauses between chunks for as long as a chunk took, and no longer than this: the node has others to serve.
const PAUSE_MAX: Duration = Duration::from_millis(200);

type Pieces = mpsc::Sender<Result<Bytes, SendFailure>>;

impl Shared {
    pub(super) async fn give_body(self: &Arc<Self>, from: &NodeName, name: BodyName, at: u64) -> Result<Answer, Not> {
        let permit = self.reads.acquire().await.map_err(|_| stopping())?;
        let (shared, node) = (self.clone(), from.clone());
        let opened = tokio::task::spawn_blocking(move || {
            let not_here = || Refusal::NotHere("the body is not here".into());
            let file = shared.host.body(&node, name)?.ok_or_else(not_here)?;
            if file.len() > PIECE_BYTES as u64 || at > 0 {
                return Ok((file, None));
            }
            match file.read_verified() {
                Ok(bytes) => Ok((file, Some(bytes))),
                Err(error) => {
                    shared.host.damaged(name, &file);
                    Err(Refusal::NotHere(format!("the body is damaged here: {error}")))
                }
            }
        });
        let (file, small) = opened.await.map_err(|_| stopping())?.map_err(refused)?;
        drop(permit);
        if at > file.len() {
            return Err((StatusCode::RANGE_NOT_SATISFIABLE, format!("the body has {} bytes", file.len())));
        }
        let (len, hash) = (file.len(), file.hash());
        let mut answer = match small {
            Some(bytes) => answer(StatusCode::OK, bytes),
            None => {
                let (pieces, out) = mpsc::channel(1);
                tokio::spawn(self.clone().give_pieces(name, file, at, pieces));
                Response::new(piecewise(out))
            }
        };
        if at > 0 {
            *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        answer.headers_mut().insert(LENGTH, HeaderValue::from(len));
        if let Ok(hash) = HeaderValue::try_from(hash.to_string()) {
            answer.headers_mut().insert(HASH, hash);
        }
        Ok(answer)
    }

    /// Gives a large body as the reader takes it. One that is read whole is proved on the way: its reader finds damage by the hash, and this
    /// node must hear of it too.
    async fn give_pieces(self: Arc<Self>, name: BodyName, file: BodyFile, from: u64, pieces: Pieces) {
        let (mut at, mut crc) = (from, 0);
        while at < file.len() {
            let Ok(permit) = self.reads.acquire().await else { return };
            let piece = read_piece(file.clone(), at).await;
            drop(permit);
            if let Ok(piece) = &piece {
                crc = crc32c::crc32c_append(crc, piece);
                at += piece.len() as u64;
            }
            let failed = piece.is_err();
            let is_damaged = failed || (from == 0 && at >= file.len() && crc != file.crc());
            if is_damaged {
                self.host.damaged(name, &file);
            }
            // A reader that is slow or gone is left.
            if !matches!(timeout(SLOW, pieces.send(piece)).await, Ok(Ok(()))) || failed {
                return;
            }
        }
    }

    pub(super) async fn give_snapshot(self: &Arc<Self>, from: &NodeName, shard: ShardId) -> Result<Answer, Not> {
        let own = self.copying.lock().entry(from.clone()).or_insert_with(|| Arc::new(Semaphore::new(1))).clone();
        let turn = async { (own.acquire_owned().await, self.copies.clone().acquire_owned().await) };
        let permits = match timeout(TURN, turn).await {
            Ok((Ok(own), Ok(all))) => (own, all),
            Ok(_) => return Err(stopping()),
            Err(_) => {
                let why = "other copies of shards are under way: ask again, or ask another node";
                return Err(refused(Refusal::Unavailable(why.into())));
            }
        };
        let (shared, node) = (self.clone(), from.clone());
        let export = tokio::task::spawn_blocking(move || {
            shared.host.export(&node, shard).map(|snapshot| (encode_snapshot_header(&snapshot.header()), snapshot))
        });
        let (header, snapshot) = export.await.map_err(|_| stopping())?.map_err(refused)?;
        let (pieces, out) = mpsc::channel(1);
        tokio::spawn(give_frames(header, snapshot, pieces, permits));
        Ok(Response::new(piecewise(out)))
    }
}

fn stopping() -> Not {
    (StatusCode::SERVICE_UNAVAILABLE, "this node is stopping".into())
}

/// Gives a snapshot as its reader takes it.
async fn give_frames(
    header: Bytes,
    mut snapshot: Box<dyn Snapshot>,
    pieces: Pieces,
    _permits: (OwnedSemaphorePermit, OwnedSemaphorePermit),
) {
    if !give(&pieces, FrameKind::Header, header).await {
        return;
    }
    let mut chunks: u64 = 0;
    loop {
        let begun = Instant::now();
        let read = tokio::task::spawn_blocking(move || {
            let next = snapshot.next();
            (snapshot, next)
        });
        let Ok((rest, next)) = read.await else { return };
        snapshot = rest;
        let took = begun.elapsed();
        let (kind, payload) = match next {
            Ok(Some(rows)) if rows.len() > CHUNK_BYTES_MAX => (FrameKind::Failed, "a chunk is too large".into()),
            Ok(Some(rows)) => (FrameKind::Rows, rows),
            Ok(None) => (FrameKind::End, chunks.to_be_bytes().to_vec().into()),
            Err(why) => (FrameKind::Failed, why.into()),
        };
        if !give(&pieces, kind, payload).await || kind != FrameKind::Rows {
            return;
        }
        chunks += 1;
        sleep(took.min(PAUSE_MAX)).await;
    }
}

/// Whether the reader took it.
async fn give(pieces: &Pieces, kind: FrameKind, payload: Bytes) -> bool {
    let Some(head) = frame_header(kind, &payload) else { return false };
    for piece in [Bytes::copy_from_slice(&head), payload] {
        if !matches!(timeout(SLOW, pieces.send(Ok(piece))).await, Ok(Ok(()))) {
            return false;
        }
    }
    true
}
