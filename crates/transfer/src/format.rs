//! Mail in files of another server, read by the driver of its format.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use paquebot_formats::{
    Access, Body, Changes, Driver, Expunged, FormatError, Found, Message, OpenMailbox, Root, State,
};
use paquebot_types::{MailboxName, Uid, UidSet};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use crate::source::{Pending, Piece, Rereading, Source, SourceError, SourceMailbox};

/// Mailboxes below a root. Nothing of them is changed.
#[derive(Clone)]
pub struct FormatSource {
    driver: &'static dyn Driver,
    root: Root,
}

impl FormatSource {
    pub fn new(driver: &'static dyn Driver, root: Root) -> Self {
        Self { driver, root }
    }
}

impl Source for FormatSource {
    fn name(&self) -> String {
        let of = self.root.user.as_ref().map(|user| format!(" of {user}")).unwrap_or_default();
        format!("{} {}{of}", self.driver.name(), self.root.directory.display())
    }

    fn rereading(&self) -> Rereading {
        Rereading::Cheap
    }

    fn mailboxes(&mut self) -> Pending<'_, Vec<Found>> {
        let Self { driver, root } = self.clone();
        Box::pin(blocking(move || driver.list(&root)))
    }

    fn open<'a>(&'a mut self, name: &'a MailboxName) -> Pending<'a, Box<dyn SourceMailbox>> {
        let (Self { driver, root }, name) = (self.clone(), name.clone());
        Box::pin(async move {
            let (opened, notes) = blocking(move || {
                let opened = driver.open(&root, &name, Access::Read)?;
                Ok((opened, driver.annotations(&root, &name)?))
            })
            .await?;
            let notes = notes.into_iter().map(|note| note.entry).collect();
            Ok(Box::new(FormatMailbox::new(opened, notes)) as Box<dyn SourceMailbox>)
        })
    }
}

/// A mailbox, as it was when it was last looked at. The driver blocks, so it is lent to a thread for each call.
struct FormatMailbox {
    /// `None` only while a thread has it, or after that thread panicked.
    opened: Option<Box<dyn OpenMailbox>>,
    state: State,
    messages: Arc<[Message]>,
    patience: Duration,
    /// Entries of the notes at the mailbox.
    notes: Vec<String>,
}

impl FormatMailbox {
    fn new(opened: Box<dyn OpenMailbox>, notes: Vec<String>) -> Self {
        let (state, messages, patience) = (opened.state().clone(), opened.messages().into(), opened.patience());
        Self { opened: Some(opened), state, messages, patience, notes }
    }

    async fn lent<T: Send + 'static>(
        &mut self,
        call: impl FnOnce(&mut dyn OpenMailbox) -> Result<T, FormatError> + Send + 'static,
    ) -> Result<T, SourceError> {
        let lost = || SourceError::Lost("an earlier call did not end".into());
        let mut opened = self.opened.take().ok_or_else(lost)?;
        let (opened, result) = blocking(move || {
            let result = call(opened.as_mut());
            Ok((opened, result))
        })
        .await?;
        self.opened = Some(opened);
        Ok(result?)
    }
}

impl SourceMailbox for FormatMailbox {
    fn state(&self) -> &State {
        &self.state
    }

    fn messages(&self) -> &[Message] {
        &self.messages
    }

    fn bodies<'a>(&'a mut self, uids: &'a UidSet, pieces: mpsc::Sender<Piece>) -> Pending<'a, ()> {
        let (messages, uids) = (self.messages.clone(), uids.clone());
        Box::pin(self.lent(move |opened| {
            for message in messages.iter().filter(|message| uids.contains(message.uid)) {
                if send(opened, message.uid, &pieces).is_none() {
                    break;
                }
            }
            Ok(())
        }))
    }

    fn refresh(&mut self) -> Pending<'_, Changes> {
        Box::pin(async move {
            let looked = self.lent(|opened| {
                let changes = opened.refresh(Expunged::Leave)?;
                let messages = (changes != Changes::default()).then(|| Arc::from(opened.messages()));
                Ok((changes, messages, opened.state().clone()))
            });
            let (changes, messages, state) = looked.await?;
            self.state = state;
            self.messages = messages.unwrap_or_else(|| self.messages.clone());
            Ok(changes)
        })
    }

    fn patience(&self) -> Duration {
        self.patience
    }

    fn remarks(&mut self) -> Pending<'_, Vec<(Option<Uid>, String)>> {
        Box::pin(async move {
            let mut remarks: Vec<_> = self.notes.iter().map(|entry| (None, note(entry))).collect();
            let messages = self.messages.clone();
            let of_messages = self.lent(move |opened| {
                let mut remarks = Vec::new();
                for message in messages.iter() {
                    let notes = opened.annotations(message.uid)?;
                    remarks.extend(notes.iter().map(|kept| (Some(message.uid), note(&kept.entry))));
                }
                Ok(remarks)
            });
            remarks.extend(of_messages.await?);
            Ok(remarks)
        })
    }
}

fn note(entry: &str) -> String {
    format!("the note {entry} is not kept")
}

/// Sends one message; `None` when nobody takes any more.
fn send(opened: &mut dyn OpenMailbox, uid: Uid, pieces: &mpsc::Sender<Piece>) -> Option<()> {
    let unreadable = |why: String| pieces.blocking_send(Piece::Unreadable { uid, why }).ok();
    let mut body = match opened.body(uid) {
        Ok(body) => body,
        // Expunged by somebody meanwhile: the next look tells.
        Err(FormatError::NoMessage(_)) => return Some(()),
        Err(error) => return unreadable(told(&error)),
    };
    let size = body.len();
    if size <= Piece::WHOLE_BYTES as u64 {
        return match read(body.as_mut(), 0, Piece::WHOLE_BYTES) {
            Ok(octets) => pieces.blocking_send(Piece::Whole { uid, octets }).ok(),
            Err(error) => unreadable(error.to_string()),
        };
    }
    pieces.blocking_send(Piece::Begin { uid, size }).ok()?;
    let mut at = 0;
    while at < size {
        match read(body.as_mut(), at, Piece::OCTETS_BYTES) {
            Ok(octets) => {
                at += octets.len() as u64;
                pieces.blocking_send(Piece::Octets(octets)).ok()?;
            }
            Err(error) => return unreadable(error.to_string()),
        }
    }
    pieces.blocking_send(Piece::End).ok()
}

/// Reads as many octets from `at` on as are wanted and there are: fewer is an error.
fn read(body: &mut dyn Body, at: u64, wanted: usize) -> io::Result<Bytes> {
    let mut octets = vec![0; body.within(at, wanted)];
    let mut filled = 0;
    while let Some(rest) = octets.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match body.read_at(at + filled as u64, rest)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => filled += count,
        }
    }
    Ok(octets.into())
}

/// With its causes.
fn told(error: &FormatError) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// On a thread that may wait for the disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FormatError> + Send + 'static,
) -> Result<T, SourceError> {
    match spawn_blocking(work).await {
        Ok(result) => Ok(result?),
        Err(error) => Err(SourceError::Lost(error.to_string())),
    }
}
