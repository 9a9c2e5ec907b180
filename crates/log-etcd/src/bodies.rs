//! The thread that makes bodies durable on this machine, before the records that name them are appended.

use std::sync::Arc;

use paquebot_log::{AppendError, Body};
use paquebot_store::{GroupItem, Store};
use tokio::sync::{mpsc, oneshot};

use crate::error::OpenError;
use crate::kept::Kept;

/// Octets of bodies in a group, at most, beyond those of its first.
const GROUP_BYTES: usize = 16 << 20;
/// Requests whose bodies are one group, at most.
const GROUP_APPENDS: usize = 256;
/// Requests that wait for the group that is being written, at most.
const QUEUE: usize = 1024;

struct Request {
    /// Of each record.
    bodies: Vec<Vec<Body>>,
    reply: oneshot::Sender<Result<Vec<Kept>, AppendError>>,
}

/// The way to the thread, which ends when this is dropped.
pub struct BodyWriter {
    requests: mpsc::Sender<Request>,
}

impl BodyWriter {
    pub fn start(store: Arc<Store>) -> Result<Self, OpenError> {
        let (requests, receiver) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new().name("bodies".into());
        thread.spawn(move || run(&store, receiver)).map_err(OpenError::Thread)?;
        Ok(Self { requests })
    }

    /// As a task, which waits for the disk and everybody with it: for simulations.
    #[cfg(feature = "simulation")]
    pub fn start_task(store: Arc<Store>, gate: crate::simulated::Gate, tasks: &mut tokio::task::JoinSet<()>) -> Self {
        let (requests, mut receiver) = mpsc::channel::<Request>(QUEUE);
        tasks.spawn(async move {
            while let Some(first) = receiver.recv().await {
                let mut group = vec![first];
                while let Ok(next) = receiver.try_recv() {
                    group.push(next);
                }
                gate("bodies to be written").await;
                write(&store, group);
                gate("bodies written").await;
            }
        });
        Self { requests }
    }

    /// When this is done the bodies of all records are on disk, at the places that it gives for each, and pinned. A failure leaves nothing that anybody names.
    pub async fn write(&self, bodies: Vec<Vec<Body>>) -> Result<Vec<Kept>, AppendError> {
        let stopping = || AppendError::Unavailable("the server is stopping".into());
        let (reply, places) = oneshot::channel();
        self.requests.send(Request { bodies, reply }).await.map_err(|_| stopping())?;
        places.await.unwrap_or_else(|_| Err(stopping()))
    }
}

fn run(store: &Store, mut requests: mpsc::Receiver<Request>) {
    let mut left_over = None;
    while let Some(first) = left_over.take().or_else(|| requests.blocking_recv()) {
        let mut group = vec![first];
        let mut bytes = 0;
        while group.len() < GROUP_APPENDS {
            let Ok(next) = requests.try_recv() else { break };
            bytes += next.bodies.iter().flatten().map(Body::unwritten_bytes).sum::<usize>();
            if bytes > GROUP_BYTES {
                left_over = Some(next);
                break;
            }
            group.push(next);
        }
        write(store, group);
    }
}

fn write(store: &Store, group: Vec<Request>) {
    let bodies = group.iter().flat_map(|request| request.bodies.iter().flatten());
    let items = bodies.map(|body| match body {
        Body::Bytes { hash, bytes } => GroupItem::Body { hash: *hash, bytes },
        Body::Staged(blob) => GroupItem::Staged(blob),
    });
    match store.append_pinned(&items.collect::<Vec<_>>()) {
        Ok((appended, pin)) => {
            let mut places = appended.bodies.into_iter();
            for request in group {
                let of_record =
                    |bodies: &Vec<Body>| Kept::new(places.by_ref().take(bodies.len()).collect(), vec![pin.clone()]);
                let _ = request.reply.send(Ok(request.bodies.iter().map(of_record).collect()));
            }
        }
        Err(error) => {
            tracing::error!(%error, "bodies cannot be written");
            let refusal = match error {
                paquebot_store::AppendError::Full(_) => AppendError::Full,
                // Whatever is on disk, no record will name it.
                error => AppendError::Unavailable(error.to_string()),
            };
            for request in group {
                let _ = request.reply.send(Err(refusal.clone()));
            }
        }
    }
}
