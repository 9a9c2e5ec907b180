//! Reading a body from a peer, from where the last attempt broke off.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Method, Response};
use paquebot_log::Body;
use paquebot_types::BlobHash;
use tokio::time::sleep;

use crate::error::PeerError;
use crate::host::BodyName;
use crate::link::Lane;
use crate::octets::{Octets, PIECE_BYTES, whole};
use crate::peers::{Inner, SILENCE, request, resume};
use crate::receive::{ArriveError, Arriving, STAGED_BYTES};
use crate::wire::{BODY_BYTES_MAX, Call, LENGTH};

/// Attempts that bring nothing new, at most, and the pause between two.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(250);

/// What has come so far.
struct Partial {
    arriving: Arriving,
    have: u64,
    len: u64,
}

pub(crate) async fn fetch(peer: &Arc<Inner>, name: BodyName, hash: BlobHash) -> Result<Body, PeerError> {
    let mut partial = None;
    let mut idle = 0;
    loop {
        let before = have(&partial);
        let broken = match attempt(peer, name, &mut partial).await {
            Ok(()) => break,
            Err(error @ (PeerError::Broken { .. } | PeerError::Unreachable { .. })) => error,
            Err(error) => return Err(error),
        };
        idle = if have(&partial) > before { 0 } else { idle + 1 };
        if idle >= ATTEMPTS {
            return Err(broken);
        }
        sleep(PAUSE * idle.max(1)).await;
    }
    let Some(Partial { arriving, .. }) = partial else {
        return Err(peer.place.damaged("an answer without a body"));
    };
    arriving.finish(hash).await.map_err(|error| failure(peer, error))
}

fn have(partial: &Option<Partial>) -> u64 {
    partial.as_ref().map_or(0, |partial| partial.have)
}

fn failure(peer: &Inner, error: ArriveError) -> PeerError {
    match error {
        ArriveError::Other { .. } => peer.place.damaged(format!("a body: {error}")),
        error => PeerError::Here(error.to_string()),
    }
}

/// The whole body's length, and the answer that has it from a byte on.
async fn ask(peer: &Inner, name: BodyName, from: u64, lane: Lane) -> Result<(u64, Response<Incoming>), PeerError> {
    let mut request = request(Method::GET, &Call::Body(name), whole(""))?;
    if from > 0 {
        resume(&mut request, from);
    }
    let answer = peer.call(lane, request, SILENCE).await?;
    let len = answer.headers().get(LENGTH).and_then(|value| value.to_str().ok()).and_then(|value| value.parse().ok());
    let len = len.filter(|len| *len <= BODY_BYTES_MAX).ok_or_else(|| peer.place.damaged("a body of no length"))?;
    Ok((len, answer))
}

/// Reads on from what has come; `Ok` when all has.
async fn attempt(peer: &Arc<Inner>, name: BodyName, partial: &mut Option<Partial>) -> Result<(), PeerError> {
    let have = have(partial);
    // How large it is nobody knows before. Most are small; a large one is left, and asked for again where it is in nobody's way.
    let (mut len, mut answer) = ask(peer, name, have, if have > 0 { Lane::Bulk } else { Lane::Prompt }).await?;
    if have == 0 && len > STAGED_BYTES {
        drop(answer);
        (len, answer) = ask(peer, name, have, Lane::Bulk).await?;
    }
    let mut now = match partial.take() {
        Some(partial) if partial.len == len => partial,
        Some(_) => return Err(peer.place.damaged("a body that is of another length than before")),
        None if len > STAGED_BYTES => {
            let arriving = Arriving::on_disk(&peer.store).await.map_err(|error| failure(peer, error))?;
            Partial { arriving, have: 0, len }
        }
        None => Partial { arriving: Arriving::in_memory(), have: 0, len },
    };
    let mut octets = Octets::new(answer.into_body(), SILENCE);
    while now.have < now.len {
        let more = match octets.some(PIECE_BYTES).await {
            Ok(more) if more.is_empty() => Err(peer.place.broken("a body ended early")),
            Ok(more) => Ok(more),
            Err(error) => Err(peer.place.broken(error.to_string())),
        };
        let more = match more {
            Ok(more) => more,
            Err(error) => {
                *partial = Some(now);
                return Err(error);
            }
        };
        let Some(have) = now.have.checked_add(more.len() as u64).filter(|have| *have <= len) else {
            return Err(peer.place.damaged("a body that is longer than announced"));
        };
        now = Partial { arriving: now.arriving.write(&more).await.map_err(|error| failure(peer, error))?, have, len };
    }
    *partial = Some(now);
    Ok(())
}
