//! Answering a call.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::RANGE;
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::SemaphorePermit;

use super::Shared;
use crate::ASK_BYTES_MAX;
use crate::host::Refusal;
use crate::name::NodeName;
use crate::octets::{Octets, Outgoing, whole};
use crate::wire::{Call, parse_range, status_of};

/// Silence within a request.
pub(super) const SILENCE: Duration = Duration::from_secs(15);

pub(super) type Answer = Response<Outgoing>;

/// A call that is not answered as it wished: the status and what to say.
pub(super) type Not = (StatusCode, String);

impl Shared {
    pub(super) async fn answer(self: &Arc<Self>, from: &NodeName, request: Request<Incoming>) -> Answer {
        match self.call(from, request).await {
            Ok(answer) => answer,
            Err((status, why)) => {
                tracing::debug!(node = %from, %status, why, "a peer's call is refused");
                answer(status, why)
            }
        }
    }

    async fn call(self: &Arc<Self>, from: &NodeName, request: Request<Incoming>) -> Result<Answer, Not> {
        let path = request.uri().path().to_owned();
        let call = Call::parse(&path).map_err(|why| (StatusCode::NOT_IMPLEMENTED, why))?;
        let method = match call {
            Call::Push | Call::Ask(_) => Method::POST,
            Call::Body(_) | Call::Snapshot(_) => Method::GET,
        };
        if *request.method() != method {
            return Err((StatusCode::METHOD_NOT_ALLOWED, format!("{path} is asked for by {method}")));
        }
        match call {
            Call::Push => self.receive(from, request.into_body()).await,
            Call::Ask(kind) => self.ask(from, kind, request.into_body()).await,
            Call::Snapshot(shard) => self.give_snapshot(from, shard).await,
            Call::Body(name) => {
                let range = request.headers().get(RANGE);
                let at = match range.map(|range| range.to_str().ok().and_then(parse_range)) {
                    None => 0,
                    Some(Some(at)) => at,
                    Some(None) => return Err((StatusCode::BAD_REQUEST, "a range has the form bytes=N-".into())),
                };
                self.give_body(from, name, at).await
            }
        }
    }

    async fn ask(&self, from: &NodeName, kind: &str, question: Incoming) -> Result<Answer, Not> {
        let mut octets = Octets::new(question, SILENCE);
        let len = octets.announced().filter(|len| *len <= ASK_BYTES_MAX as u64);
        let len = len.ok_or_else(|| {
            let why = format!("a question says its length, and has at most {ASK_BYTES_MAX} bytes");
            (StatusCode::PAYLOAD_TOO_LARGE, why)
        })?;
        let _memory = self.memory(len).await?;
        let question = octets.all(ASK_BYTES_MAX).await.map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
        let answered = self.host.ask(from, kind, question).await.map_err(refused)?;
        if answered.len() > ASK_BYTES_MAX {
            let why = format!("the answer has {} bytes, and {ASK_BYTES_MAX} are the most", answered.len());
            return Err((StatusCode::INTERNAL_SERVER_ERROR, why));
        }
        Ok(answer(StatusCode::OK, answered))
    }

    /// Room for so many bytes, until it is dropped.
    pub(super) async fn memory(&self, bytes: u64) -> Result<SemaphorePermit<'_>, Not> {
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX).min(super::MEMORY_KIB as u32);
        self.memory
            .acquire_many(kib)
            .await
            .map_err(|_| (StatusCode::SERVICE_UNAVAILABLE, "this node is stopping".into()))
    }
}

pub(super) fn answer(status: StatusCode, bytes: impl Into<bytes::Bytes>) -> Answer {
    let mut answer = Response::new(whole(bytes));
    *answer.status_mut() = status;
    answer
}

pub(super) fn refused(refusal: Refusal) -> Not {
    (status_of(&refusal), refusal.to_string())
}
