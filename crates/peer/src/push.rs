//! Sending the bodies of records.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::Method;
use paquebot_log::{Body, RecordBodies};
use paquebot_store::{BodyFile, Store};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use crate::error::PeerError;
use crate::link::Lane;
use crate::octets::{Outgoing, PIECE_BYTES, SendFailure, piecewise, whole};
use crate::peers::{Inner, request};
use crate::wire::{Call, PushHeader, PushedRecord};

/// What is no more than this is sent in one piece on the prompt connection.
const PROMPT_BYTES: u64 = 1 << 20;
/// For a small push to be on the peer's disk: its flushes may be slow, and a peer that is gone is noticed by the connection.
const PROMPT_PATIENCE: Duration = Duration::from_secs(10);
/// A large push that does not move on for so long is given up; its flush at the end may take as long.
const SILENCE: Duration = Duration::from_secs(15);

pub(crate) async fn push(peer: &Arc<Inner>, records: Vec<RecordBodies>) -> Result<(), PeerError> {
    let length = |body: &Body| match body {
        Body::Bytes { bytes, .. } => bytes.len() as u64,
        Body::Staged(blob) => blob.len(),
    };
    let announce = |record: &RecordBodies| PushedRecord {
        shard: record.shard,
        record: record.record,
        after: record.after,
        bodies: record.bodies.iter().map(|body| (body.hash(), length(body))).collect(),
    };
    let header = PushHeader { records: records.iter().map(announce).collect() };
    let lengths = header.records.iter().flat_map(|record| &record.bodies);
    let total = lengths.fold(0u64, |sum, (_, len)| sum.saturating_add(*len));
    let mut head = vec![0; 4];
    head = postcard::to_extend(&header, head).map_err(|error| PeerError::Here(error.to_string()))?;
    let len = u32::try_from(head.len() - 4).map_err(|_| PeerError::Here("too many bodies for one push".into()))?;
    head[..4].copy_from_slice(&len.to_be_bytes());

    let bodies: Vec<Body> = records.into_iter().flat_map(|record| record.bodies).collect();
    let in_memory: Option<Vec<&Bytes>> = bodies.iter().map(bytes_of).collect();
    if let Some(in_memory) = in_memory
        && total <= PROMPT_BYTES
    {
        let mut octets = BytesMut::with_capacity(head.len() + total as usize);
        octets.extend_from_slice(&head);
        in_memory.into_iter().for_each(|body| octets.extend_from_slice(body));
        let request = request(Method::POST, &Call::Push, whole(octets.freeze()))?;
        return peer.call(Lane::Prompt, request, PROMPT_PATIENCE).await.map(drop);
    }
    let progress = Arc::new(AtomicU64::new(0));
    let body = streamed(peer, head.into(), bodies, progress.clone());
    let request = request(Method::POST, &Call::Push, body)?;
    let call = peer.call(Lane::Bulk, request, Duration::MAX);
    tokio::select! {
        answer = call => answer.map(drop),
        () = stalled(&progress) => Err(peer.place.broken(format!("nothing moved for {} s", SILENCE.as_secs()))),
    }
}

fn bytes_of(body: &Body) -> Option<&Bytes> {
    match body {
        Body::Bytes { bytes, .. } => Some(bytes),
        Body::Staged(_) => None,
    }
}

/// Done when nothing has moved for too long.
async fn stalled(progress: &AtomicU64) {
    let (mut seen, mut since) = (progress.load(Ordering::Relaxed), Instant::now());
    while since.elapsed() < SILENCE {
        sleep(Duration::from_millis(250)).await;
        let now = progress.load(Ordering::Relaxed);
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
    }
}

/// The head and the bodies, read as the connection takes them: two pieces are in memory at a time.
fn streamed(peer: &Arc<Inner>, head: Bytes, bodies: Vec<Body>, progress: Arc<AtomicU64>) -> Outgoing {
    let (pieces, out) = mpsc::channel(1);
    let store = peer.store.clone();
    peer.place.runtime.spawn(async move {
        let sent = send(&store, head, bodies, &pieces, &progress).await;
        if let Err(Some(failure)) = sent {
            // The one who waits for the answer hears that the request was cut off.
            let _ = pieces.send(Err(failure)).await;
        }
    });
    piecewise(out)
}

/// `Err(None)` when nobody takes them any more.
async fn send(
    store: &Store,
    head: Bytes,
    bodies: Vec<Body>,
    pieces: &mpsc::Sender<Result<Bytes, SendFailure>>,
    progress: &AtomicU64,
) -> Result<(), Option<SendFailure>> {
    let give = async |piece: Bytes| {
        progress.fetch_add(1, Ordering::Relaxed);
        pieces.send(Ok(piece)).await.map_err(|_| None)
    };
    give(head).await?;
    for body in bodies {
        match &body {
            Body::Bytes { bytes, .. } => {
                let mut rest = bytes.clone();
                while !rest.is_empty() {
                    give(rest.split_to(rest.len().min(PIECE_BYTES))).await?;
                }
            }
            Body::Staged(blob) => {
                let file = store.body_file(blob.location()).map_err(|error| Some(SendFailure(error.to_string())))?;
                let mut at = 0;
                while at < file.len() {
                    let piece = read_piece(file.clone(), at).await.map_err(Some)?;
                    at += piece.len() as u64;
                    give(piece).await?;
                }
            }
        }
    }
    Ok(())
}

/// Up to [`PIECE_BYTES`] of a body from a byte on; never none before its end.
pub(crate) async fn read_piece(file: BodyFile, at: u64) -> Result<Bytes, SendFailure> {
    let read = tokio::task::spawn_blocking(move || {
        let left = usize::try_from(file.len().saturating_sub(at)).unwrap_or(usize::MAX);
        let mut piece = vec![0; left.min(PIECE_BYTES)];
        let read = file.read_at(at, &mut piece).map_err(|error| SendFailure(error.to_string()))?;
        piece.truncate(read);
        if read == 0 { Err(SendFailure("the body ended early".into())) } else { Ok(piece.into()) }
    });
    read.await.unwrap_or_else(|_| Err(SendFailure("this node is stopping".into())))
}
