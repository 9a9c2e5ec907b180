//! Taking the bodies of records that a peer is about to append.

use hyper::StatusCode;
use hyper::body::Incoming;
use paquebot_log::{AppendError, Body, RecordBodies};
use paquebot_types::BlobHash;
use std::sync::Arc;

use super::Shared;
use super::calls::{Answer, Not, SILENCE, answer};
use crate::name::NodeName;
use crate::octets::{Octets, PIECE_BYTES, ReceiveError};
use crate::receive::{ArriveError, Arriving, STAGED_BYTES};
use crate::wire::{BODY_BYTES_MAX, PUSH_HEADER_BYTES_MAX, PushHeader, PushedRecord};
use paquebot_store::StageError;

/// Bodies of one push in memory, at most; what is more is staged.
const MEMORY_BYTES: u64 = 16 << 20;

impl Shared {
    pub(super) async fn receive(self: &Arc<Self>, from: &NodeName, body: Incoming) -> Result<Answer, Not> {
        let mut octets = Octets::new(body, SILENCE);
        let len = usize::try_from(octets.u32().await.map_err(malformed)?).unwrap_or(usize::MAX);
        if len > PUSH_HEADER_BYTES_MAX {
            return Err((StatusCode::PAYLOAD_TOO_LARGE, format!("a header has at most {PUSH_HEADER_BYTES_MAX} bytes")));
        }
        let header = PushHeader::decode(&octets.exactly(len).await.map_err(malformed)?);
        let header = header.ok_or_else(|| (StatusCode::BAD_REQUEST, "the header is damaged".to_owned()))?;
        let announced = || header.records.iter().flat_map(|record| &record.bodies);
        if announced().any(|(_, len)| *len > BODY_BYTES_MAX) {
            return Err((StatusCode::PAYLOAD_TOO_LARGE, format!("a body has at most {BODY_BYTES_MAX} bytes")));
        }
        let mut in_memory = 0;
        let places: Vec<bool> = announced().map(|(_, len)| place(*len, &mut in_memory)).collect();
        let _memory = self.memory(in_memory).await?;
        let (mut places, mut records) = (places.into_iter(), Vec::with_capacity(header.records.len()));
        for PushedRecord { shard, record, after, bodies: announced } in header.records {
            let mut bodies = Vec::with_capacity(announced.len());
            for ((hash, len), is_small) in announced.into_iter().zip(places.by_ref()) {
                bodies.push(self.body(&mut octets, hash, len, is_small).await?);
            }
            records.push(RecordBodies { shard, record, after, bodies });
        }
        if !octets.some(1).await.map_err(malformed)?.is_empty() {
            return Err((StatusCode::BAD_REQUEST, "there is more than the header says".into()));
        }
        match self.host.receive(from, records).await {
            Ok(()) => Ok(answer(StatusCode::OK, "")),
            Err(AppendError::Full) => Err((StatusCode::INSUFFICIENT_STORAGE, AppendError::Full.to_string())),
            Err(AppendError::Unavailable(why)) => Err((StatusCode::SERVICE_UNAVAILABLE, why)),
            Err(error) => Err((StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
        }
    }

    async fn body(&self, octets: &mut Octets, hash: BlobHash, len: u64, is_small: bool) -> Result<Body, Not> {
        let mut arriving = match is_small {
            true => Arriving::in_memory(),
            false => Arriving::on_disk(&self.store).await.map_err(not_staged)?,
        };
        let mut left = len;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE_BYTES);
            let more = octets.some(most).await.map_err(malformed)?;
            if more.is_empty() {
                return Err(malformed(ReceiveError::Ended));
            }
            left = left.saturating_sub(more.len() as u64);
            arriving = arriving.write(&more).await.map_err(not_staged)?;
        }
        arriving.finish(hash).await.map_err(not_staged)
    }
}

/// Whether a body of this length is taken to memory, which then counts it.
fn place(len: u64, in_memory: &mut u64) -> bool {
    let is_small = len <= STAGED_BYTES && *in_memory + len <= MEMORY_BYTES;
    if is_small {
        *in_memory += len;
    }
    is_small
}

fn malformed(error: ReceiveError) -> Not {
    (StatusCode::BAD_REQUEST, format!("the push: {error}"))
}

fn not_staged(error: ArriveError) -> Not {
    let status = match &error {
        ArriveError::Stage(StageError::Full(_)) => StatusCode::INSUFFICIENT_STORAGE,
        ArriveError::Stage(StageError::Failed { .. }) => StatusCode::INTERNAL_SERVER_ERROR,
        ArriveError::Other { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        ArriveError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, format!("a body: {error}"))
}
