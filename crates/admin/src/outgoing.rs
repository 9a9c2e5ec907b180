//! A user's mail on its way out of the store, for who writes it elsewhere.

use std::io;
use std::sync::Arc;

use paquebot_mailbox::{Account, BodyFile, ReadError, Reader, Service, ServiceError, Snapshot};
use paquebot_model::{Mailbox, Message};
use paquebot_types::BlobId;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::control::Line;
use crate::execute::account;
use crate::request::{Answer, Head, MailboxState, Messages};

/// Octets that are read, and sent, at once. A body that is not longer is held whole.
const PIECE_BYTES: usize = 256 << 10;
/// Pieces that wait to be sent.
const PIECES: usize = 4;
/// Messages of whose bodies one snapshot of the index tells: it keeps old pages from being used again.
const SNAPSHOT_MESSAGES: usize = 512;

/// All mailboxes by name, and the subscriptions.
pub fn mailboxes(account: &Account) -> Result<Answer, String> {
    let told = |error: ServiceError| error.to_string();
    let (names, reader) = (account.list().map_err(told)?, account.reader().map_err(told)?);
    let (mut mailboxes, mut subscribed) = (Vec::new(), Vec::new());
    for (name, listed) in names {
        if let Some(mailbox) = listed.mailbox.map(|id| reader.mailbox(id)).transpose().map_err(told)?.flatten() {
            mailboxes.push(state(mailbox));
        }
        if listed.subscribed {
            subscribed.push(name);
        }
    }
    Ok(Answer::Mailboxes { mailboxes, subscribed })
}

fn state(mailbox: Mailbox) -> MailboxState {
    MailboxState {
        name: mailbox.name,
        uid_validity: mailbox.uid_validity,
        uid_next: mailbox.uid_next,
        highest_modseq: mailbox.highest_modseq,
        messages: mailbox.messages,
        octets: mailbox.size,
        keywords: mailbox.keywords,
        special_use: mailbox.special_use,
    }
}

/// Writes a mailbox's messages as it is now: for each a line and its octets. Gives what the last line is to say; an error when nobody reads any more.
pub async fn send(
    service: &Arc<Service>,
    wanted: &Messages,
    write: &mut (impl AsyncWrite + Unpin),
) -> io::Result<Result<Answer, String>> {
    let (mut pieces, work) = match begin(service, wanted).await {
        Ok(begun) => begun,
        Err(error) => return Ok(Err(error)),
    };
    while let Some(piece) = pieces.recv().await {
        write.write_all(&piece).await?;
    }
    let done = work.await.unwrap_or_else(|error| Ok(Err(error.to_string())))?;
    Ok(done.map(|()| Answer::Done))
}

type Work = tokio::task::JoinHandle<io::Result<Result<(), String>>>;

async fn begin(service: &Arc<Service>, wanted: &Messages) -> Result<(mpsc::Receiver<Vec<u8>>, Work), String> {
    let account = account(service, &wanted.user).await?;
    account.reach_last().await;
    let (sender, pieces) = mpsc::channel(PIECES);
    let (name, octets_after, handle) = (wanted.mailbox.clone(), wanted.octets_after, Handle::current());
    let work = tokio::task::spawn_blocking(move || {
        let live = account.mailbox_named(&name).and_then(|id| id.map_or(Ok(None), |id| account.open(id)));
        let snapshot = match live {
            Ok(Some(live)) => live.current(),
            Ok(None) => return Ok(Err(format!("there is no mailbox {name}"))),
            Err(error) => return Ok(Err(told(&error))),
        };
        let sending = Sending { account, handle, reader: None, seen: 0, out: Vec::new(), pieces: sender };
        sending.all(&snapshot, octets_after).map(Ok)
    });
    Ok((pieces, work))
}

struct Sending {
    account: Account,
    handle: Handle,
    reader: Option<Reader>,
    /// Messages that were read through it.
    seen: usize,
    out: Vec<u8>,
    pieces: mpsc::Sender<Vec<u8>>,
}

impl Sending {
    /// An error ends the connection: nobody reads any more, or what was announced cannot be sent.
    fn all(mut self, snapshot: &Snapshot, octets_after: u32) -> io::Result<()> {
        for message in snapshot.messages.iter() {
            match self.head(&snapshot.mailbox, message) {
                Ok(head) if message.uid.get() <= octets_after => self.line(&Line::Message { head, octets: 0 }),
                Ok(head) => self.message(head, message.blob),
                Err(error) => self.line(&Line::Unreadable { uid: message.uid, why: told(&error) }),
            }?;
        }
        self.flush()
    }

    fn reader(&mut self) -> Result<&Reader, ServiceError> {
        self.seen += 1;
        if self.seen.is_multiple_of(SNAPSHOT_MESSAGES) {
            self.reader = None;
        }
        match &mut self.reader {
            Some(reader) => Ok(reader),
            none => Ok(none.insert(self.account.reader()?)),
        }
    }

    fn head(&mut self, mailbox: &Mailbox, message: &Message) -> Result<Head, ServiceError> {
        let hash = self.reader()?.blob(message.blob, |row| row.hash)?;
        let bits = message.keywords();
        let keywords = mailbox.keywords.iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1);
        Ok(Head {
            uid: message.uid,
            flags: message.flags,
            keywords: keywords.map(|(_, keyword)| keyword.clone()).collect(),
            internal_date: message.internal_date,
            modseq: message.modseq,
            size: message.size,
            hash,
        })
    }

    /// Sends a message with its octets, which were proved before: who reads them has no other to compare them with.
    fn message(&mut self, head: Head, blob: BlobId) -> io::Result<()> {
        let uid = head.uid;
        match self.proved(blob) {
            Ok(Proved::Whole(octets)) => {
                self.line(&Line::Message { head, octets: octets.len() as u64 })?;
                self.out.extend_from_slice(&octets);
                if self.out.len() >= PIECE_BYTES { self.flush() } else { Ok(()) }
            }
            Ok(Proved::Large(body)) => {
                self.line(&Line::Message { head, octets: body.len() })?;
                self.flush()?;
                self.pieces_of(&body)
            }
            Err(error) => self.line(&Line::Unreadable { uid, why: told(&error) }),
        }
    }

    /// Reads a body; one that is not here, or damaged, is fetched from another machine if there is one.
    fn proved(&mut self, blob: BlobId) -> Result<Proved, ServiceError> {
        let first = match self.read(blob) {
            Ok(proved) => return Ok(proved),
            Err(error) => error,
        };
        let damaged = match &first {
            ServiceError::Body(_) => self.reader().and_then(|reader| reader.location(blob)).ok(),
            _ => None,
        };
        let handle = self.handle.clone();
        if !self.account.can_fetch() || handle.block_on(self.account.fetch(blob, damaged)).is_err() {
            return Err(first);
        }
        self.reader = None;
        self.read(blob)
    }

    fn read(&mut self, blob: BlobId) -> Result<Proved, ServiceError> {
        let body = self.reader()?.body(blob)?;
        if body.len() <= PIECE_BYTES as u64 {
            return Ok(Proved::Whole(body.read_verified()?.into()));
        }
        let (mut sum, mut piece, mut at) = (blake3::Hasher::new(), vec![0; PIECE_BYTES], 0);
        loop {
            let count = body.read_at(at, &mut piece)?;
            sum.update(&piece[..count]);
            at += count as u64;
            if count == 0 {
                break;
            }
        }
        match sum.finalize().as_bytes() == &body.hash().0 {
            true => Ok(Proved::Large(body)),
            false => Err(ServiceError::Body(
                self.reader()?.location(blob).map(|at| ReadError::Corrupt { pack: at.pack, offset: at.offset })?,
            )),
        }
    }

    /// Once its octets are announced they must all come.
    fn pieces_of(&mut self, body: &BodyFile) -> io::Result<()> {
        let mut at = 0;
        while at < body.len() {
            let mut piece = vec![0; PIECE_BYTES];
            let count = body.read_at(at, &mut piece).map_err(io::Error::other)?;
            piece.truncate(count);
            at += count as u64;
            self.send(piece)?;
        }
        Ok(())
    }

    fn line(&mut self, line: &Line) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, line)?;
        self.out.push(b'\n');
        if self.out.len() >= PIECE_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = std::mem::replace(&mut self.out, Vec::with_capacity(2 * PIECE_BYTES));
        self.send(piece)
    }

    fn send(&mut self, piece: Vec<u8>) -> io::Result<()> {
        self.pieces.blocking_send(piece).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// A body whose octets are those that were written.
enum Proved {
    Whole(Vec<u8>),
    Large(BodyFile),
}

/// With its causes.
fn told(error: &ServiceError) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
