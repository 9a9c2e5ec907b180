//! Watches of one member: many, on one stream.
//!
//! A stream is a connection's worth of work to etcd, a watch on it is not: a node that hosts 256 shards has one of these, and one task.

use std::collections::HashMap;
use std::time::Duration;

use etcd_client::{Client, EventType, WatchOptions, WatchRequestSender, WatchResponse, WatchResponseStream};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::{ANSWER_BYTES_MAX, connect, connecting, pair};
use crate::failure::Failure;
use crate::kv::{Event, Watch, WatchEnded};
use crate::options::Options;

/// A stream that is silent for this long is asked whether it is there, and has as long to answer twice over.
const SILENCE: Duration = Duration::from_secs(1);
/// Answers that wait for a watch's reader, at most. A reader that is slower has its watch ended, so that the others go on.
const QUEUE: usize = 256;
/// Watches that wait to be begun.
const REQUESTS: usize = 1024;

/// The stream of a member, made when it is needed.
pub struct Watches {
    endpoint: String,
    options: Options,
    stream: Mutex<Option<Open>>,
}

struct Open {
    requests: mpsc::Sender<Request>,
    task: AbortHandle,
}

struct Request {
    prefix: String,
    from: i64,
    events: mpsc::Sender<Result<Vec<Event>, WatchEnded>>,
    begun: oneshot::Sender<Result<(), Failure>>,
}

impl Watches {
    pub fn new(endpoint: String, options: Options) -> Self {
        Self { endpoint, options, stream: Mutex::default() }
    }

    pub async fn begin(&self, prefix: String, from: i64) -> Result<Watch, Failure> {
        let (events, watch) = mpsc::channel(QUEUE);
        let (begun, answer) = oneshot::channel();
        let ended = || Failure::Unknown("the stream of watches ended".into());
        self.requests().send(Request { prefix, from, events, begun }).await.map_err(|_| ended())?;
        answer.await.unwrap_or_else(|_| Err(ended()))?;
        Ok(watch)
    }

    /// Ends the stream, and with it all watches.
    pub fn give_up(&self) {
        if let Some(open) = self.stream.lock().take() {
            open.task.abort();
        }
    }

    fn requests(&self) -> mpsc::Sender<Request> {
        let mut stream = self.stream.lock();
        if let Some(open) = stream.as_ref().filter(|open| !open.requests.is_closed()) {
            return open.requests.clone();
        }
        let (requests, receiver) = mpsc::channel(REQUESTS);
        let task = tokio::spawn(run(self.endpoint.clone(), self.options.clone(), receiver)).abort_handle();
        *stream = Some(Open { requests: requests.clone(), task });
        requests
    }
}

impl Drop for Watches {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// Serves one stream until it ends; then everybody is told.
async fn run(endpoint: String, options: Options, mut requests: mpsc::Receiver<Request>) {
    let Some(first) = requests.recv().await else { return };
    let mut sorter = Sorter { attempt: options.attempt, watches: HashMap::new(), next: 1 };
    let opened = timeout(options.attempt, sorter.open(&endpoint, &options, first)).await;
    let failure = match opened {
        Ok(Ok((sender, stream))) => sorter.serve(sender, stream, &mut requests).await,
        Ok(Err(failure)) => failure,
        Err(_) => Failure::Unknown("no watch within the time for an answer".into()),
    };
    for watch in sorter.watches.into_values() {
        let _ = watch.events.try_send(Err(WatchEnded::Broken(failure.clone())));
        if let Some(begun) = watch.begun {
            let _ = begun.send(Err(failure.clone()));
        }
    }
}

/// Sorts what a stream brings to the watches that it is for.
struct Sorter {
    attempt: Duration,
    watches: HashMap<i64, Sorted>,
    next: i64,
}

struct Sorted {
    events: mpsc::Sender<Result<Vec<Event>, WatchEnded>>,
    begun: Option<oneshot::Sender<Result<(), Failure>>>,
}

impl Sorter {
    async fn open(
        &mut self,
        endpoint: &String,
        options: &Options,
        first: Request,
    ) -> Result<(WatchRequestSender, WatchResponseStream), Failure> {
        let (prefix, watch) = self.add(first);
        let client =
            Client::connect([endpoint], Some(connect::options(options, endpoint))).await.map_err(connecting)?;
        let mut client = client.watch_client().max_decoding_message_size(ANSWER_BYTES_MAX);
        Ok(client.watch(prefix, Some(watch)).await?.split())
    }

    fn add(&mut self, request: Request) -> (String, WatchOptions) {
        let Request { prefix, from, events, begun } = request;
        let id = self.next;
        self.next += 1;
        self.watches.insert(id, Sorted { events, begun: Some(begun) });
        (prefix, WatchOptions::new().with_prefix().with_start_revision(from).with_watch_id(id))
    }

    /// Gives the reason when the stream ends.
    async fn serve(
        &mut self,
        mut sender: WatchRequestSender,
        mut stream: WatchResponseStream,
        requests: &mut mpsc::Receiver<Request>,
    ) -> Failure {
        let mut silences = 0;
        loop {
            let sent = tokio::select! {
                message = timeout(SILENCE, stream.message()) => match message {
                    Ok(Ok(Some(response))) => {
                        silences = 0;
                        match self.take(&response) {
                            Some(slow) => timeout(self.attempt, sender.cancel(slow)).await,
                            None => Ok(Ok(())),
                        }
                    }
                    Ok(Ok(None)) => return Failure::Unknown("the watch ended".into()),
                    Ok(Err(error)) => return error.into(),
                    Err(_) if silences == 0 => {
                        silences = 1;
                        timeout(self.attempt, sender.request_progress()).await
                    }
                    Err(_) if silences < 3 => {
                        silences += 1;
                        Ok(Ok(()))
                    }
                    Err(_) => return Failure::Unknown("the watch is silent".into()),
                },
                request = requests.recv() => {
                    let Some(request) = request else { return Failure::Unknown("the server is stopping".into()) };
                    let (prefix, watch) = self.add(request);
                    timeout(self.attempt, sender.watch(prefix, Some(watch))).await
                }
            };
            match sent {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return error.into(),
                Err(_) => return Failure::Unknown("the watch takes no requests".into()),
            }
        }
    }

    /// Gives the number of a watch that has to be ended, if there is one.
    fn take(&mut self, response: &WatchResponse) -> Option<i64> {
        let id = response.watch_id();
        let watch = self.watches.get_mut(&id)?;
        let ended = match () {
            () if response.compact_revision() > 0 => Some(WatchEnded::Compacted),
            () if response.canceled() => Some(WatchEnded::Broken(Failure::Unknown(response.cancel_reason().into()))),
            () => None,
        };
        if let Some(begun) = watch.begun.take() {
            let _ = begun.send(Ok(()));
        }
        if let Some(ended) = ended {
            let _ = watch.events.try_send(Err(ended));
            self.watches.remove(&id);
            return None;
        }
        let events: Vec<Event> = response.events().iter().filter_map(event).collect();
        if !events.is_empty() && watch.events.try_send(Ok(events)).is_err() {
            self.watches.remove(&id);
            return Some(id);
        }
        None
    }
}

fn event(event: &etcd_client::Event) -> Option<Event> {
    let kv = pair(event.kv()?);
    Some(match event.event_type() {
        EventType::Put => Event::Put(kv),
        EventType::Delete => Event::Delete(kv),
    })
}
