//! Octets back and forth between a client and the node that serves it.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Octets taken from one side at once: all that one way ever holds, apart from what is pending at first.
const READ_BYTES: usize = 16 << 10;

/// What went through a pump, and why it ended.
pub(crate) struct Pumped {
    pub(crate) from_client: usize,
    pub(crate) to_client: usize,
    pub(crate) ended: Ended,
}

pub(crate) enum Ended {
    /// The other node has said all, and the client has been given it.
    Orderly,
    ClientBroke(io::Error),
    PipeBroke(io::Error),
    /// One side did not take what the other sent.
    Stalled,
}

/// Carries octets between a client and a node, until the node ends its side or one of them fails.
///
/// An end of one side's octets is carried to the other, and what comes the other way still arrives. When `stop` resolves, the client's side
/// is taken as ended: the node then finishes what it was told, says BYE and ends its own. `patience` bounds how long one side may take
/// nothing of what is there for it. While nothing is on its way, no buffer is held.
pub(crate) async fn pump<C, P>(
    client: &mut C,
    pending: Vec<u8>,
    pipe: &mut P,
    stop: impl Future<Output = ()>,
    patience: Duration,
) -> Pumped
where
    C: AsyncRead + AsyncWrite + Unpin,
    P: AsyncRead + AsyncWrite + Unpin,
{
    let (mut up, mut down) = (Way::new(pending, patience), Way::new(Vec::new(), patience));
    let mut stop = pin!(stop);
    let (mut stopped, mut up_done) = (false, false);
    let ended = poll_fn(|context| {
        if !stopped && stop.as_mut().poll(context).is_ready() {
            stopped = true;
            up.from_ended = true;
        }
        if !up_done && let Poll::Ready(result) = up.poll(context, client, pipe) {
            match result {
                Ok(()) => {}
                Err(Fault::From(error)) => return Poll::Ready(Ended::ClientBroke(error)),
                // The node takes no more: it may have said BYE, which is still to be carried.
                Err(Fault::To(error)) => tracing::debug!(%error, "the node takes no more of a passed-on connection"),
                Err(Fault::Stalled) => return Poll::Ready(Ended::Stalled),
            }
            up_done = true;
        }
        Poll::Ready(match ready!(down.poll(context, pipe, client)) {
            Ok(()) => Ended::Orderly,
            Err(Fault::From(error)) => Ended::PipeBroke(error),
            Err(Fault::To(error)) => Ended::ClientBroke(error),
            Err(Fault::Stalled) => Ended::Stalled,
        })
    })
    .await;
    Pumped { from_client: up.carried, to_client: down.carried, ended }
}

/// Which side of a way failed.
enum Fault {
    From(io::Error),
    To(io::Error),
    Stalled,
}

/// One direction.
struct Way {
    /// Read and not written yet.
    pending: Vec<u8>,
    at: usize,
    /// Something was written that may still be held back.
    unflushed: bool,
    from_ended: bool,
    carried: usize,
    patience: Duration,
    /// Runs while something waits to be taken.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Way {
    fn new(pending: Vec<u8>, patience: Duration) -> Self {
        Self { carried: pending.len(), pending, at: 0, unflushed: false, from_ended: false, patience, stalled: None }
    }

    /// Carries what there is; ready once all has been carried up to the end.
    fn poll<F, T>(&mut self, context: &mut Context<'_>, from: &mut F, to: &mut T) -> Poll<Result<(), Fault>>
    where
        F: AsyncRead + Unpin,
        T: AsyncWrite + Unpin,
    {
        loop {
            while let Some(rest) = self.pending.get(self.at..).filter(|rest| !rest.is_empty()) {
                match Pin::new(&mut *to).poll_write(context, rest) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(Fault::To(io::ErrorKind::WriteZero.into()))),
                    Poll::Ready(Ok(written)) => self.wrote(written),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(Fault::To(error))),
                    Poll::Pending => return self.wait(context),
                }
            }
            (self.pending, self.at) = (Vec::new(), 0);
            if self.unflushed {
                match Pin::new(&mut *to).poll_flush(context) {
                    Poll::Ready(flushed) => flushed.map_err(Fault::To)?,
                    Poll::Pending => return self.wait(context),
                }
                self.unflushed = false;
                self.stalled = None;
            }
            if self.from_ended {
                return match Pin::new(&mut *to).poll_shutdown(context) {
                    Poll::Ready(result) => Poll::Ready(result.map_err(Fault::To)),
                    Poll::Pending => self.wait(context),
                };
            }
            // On the stack and for the time of this call only, so that a thousand waiting connections need none.
            let mut buffer = [MaybeUninit::uninit(); READ_BYTES];
            let mut buffer = ReadBuf::uninit(&mut buffer);
            ready!(Pin::new(&mut *from).poll_read(context, &mut buffer)).map_err(Fault::From)?;
            let octets = buffer.filled();
            self.carried += octets.len();
            self.from_ended = octets.is_empty();
            self.pending = octets.to_vec();
        }
    }

    fn wrote(&mut self, count: usize) {
        self.at += count;
        self.unflushed = true;
        self.stalled = None;
    }

    /// Nothing can be written now.
    fn wait(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(self.patience)));
        stalled.as_mut().poll(context).map(|()| Err(Fault::Stalled))
    }
}

#[cfg(test)]
mod tests;
