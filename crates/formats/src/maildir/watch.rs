//! What changes in a mailbox's directories, name by name, from the kernel (inotify): with it nobody has to list a directory twice.
//!
//! The process has one queue of the kernel for all open mailboxes, since a user may have only some hundred of them. Whoever looks for his own events
//! gives the others theirs. Where there is no inotify, or its limits are reached, mailboxes are listed instead.

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

/// Events that wait for a mailbox, at most: with more it is listed.
const WAITING: usize = 20_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    New,
    Cur,
    /// Of Courier's keywords.
    Keywords,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Came,
    Went,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Event {
    pub place: Place,
    pub what: What,
    pub name: Box<[u8]>,
}

/// What a mailbox has not heard yet.
#[derive(Debug, Default)]
struct Waiting {
    events: Vec<Event>,
    /// Not all could be kept: the directories have to be listed.
    lost: bool,
}

type Queue = Arc<Mutex<Waiting>>;

/// The directories of one mailbox, watched for as long as this is there.
#[derive(Debug)]
pub struct Watch {
    queue: Queue,
}

/// Who hears of a watched directory.
type Hearers = Vec<(Place, Queue)>;

#[derive(Debug)]
struct Shared {
    kernel: OwnedFd,
    directories: HashMap<i32, Hearers>,
}

impl Watch {
    /// `None` where the kernel does not tell.
    pub fn new(directories: &[(Place, &Path)]) -> Option<Self> {
        let mut shared = shared()?;
        let watch = Self { queue: Queue::default() };
        let what = WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVE | WatchFlags::MOVE_SELF;
        for (place, path) in directories {
            match inotify::add_watch(&shared.kernel, *path, what | WatchFlags::ONLYDIR | WatchFlags::DELETE_SELF) {
                Ok(directory) => {
                    shared.directories.entry(directory).or_default().push((*place, Arc::clone(&watch.queue)));
                }
                Err(error) => {
                    tracing::debug!(path = %path.display(), %error, "cannot be watched, and is listed instead");
                    drop(shared);
                    return None;
                }
            }
        }
        Some(watch)
    }

    /// What has happened since the last call, in its order; `None` if the directories have to be listed.
    pub fn take(&mut self) -> Option<Vec<Event>> {
        shared()?.distribute();
        let waiting = std::mem::take(&mut *lock(&self.queue));
        (!waiting.lost).then_some(waiting.events)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let Some(mut shared) = shared() else { return };
        let Shared { kernel, directories } = &mut *shared;
        directories.retain(|directory, hearers| {
            hearers.retain(|(_, queue)| !Arc::ptr_eq(queue, &self.queue));
            if hearers.is_empty() {
                let _ = inotify::remove_watch(&*kernel, *directory);
            }
            !hearers.is_empty()
        });
    }
}

impl Shared {
    /// Gives each mailbox what has happened in its directories.
    fn distribute(&mut self) {
        let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
        let mut reader = Reader::new(&self.kernel, &mut buffer);
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return,
                Err(error) => {
                    tracing::error!(%error, "the kernel's queue of events cannot be read: directories are listed");
                    self.directories.values().flatten().for_each(|(_, queue)| lose(queue));
                    return;
                }
            };
            let events = event.events();
            if events.contains(ReadFlags::QUEUE_OVERFLOW) {
                self.directories.values().flatten().for_each(|(_, queue)| lose(queue));
                continue;
            }
            let Some(hearers) = self.directories.get(&event.wd()) else { continue };
            let what = match events {
                events if events.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO) => What::Came,
                events if events.intersects(ReadFlags::DELETE | ReadFlags::MOVED_FROM) => What::Went,
                // The directory itself went, or moved.
                _ => {
                    hearers.iter().for_each(|(_, queue)| lose(queue));
                    continue;
                }
            };
            let Some(name) = event.file_name() else { continue };
            for (place, queue) in hearers {
                let mut waiting = lock(queue);
                if waiting.events.len() < WAITING {
                    waiting.events.push(Event { place: *place, what, name: name.to_bytes().into() });
                } else {
                    waiting.lost = true;
                }
            }
        }
    }
}

fn lose(queue: &Queue) {
    *lock(queue) = Waiting { events: Vec::new(), lost: true };
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `None` where there is no inotify.
fn shared() -> Option<MutexGuard<'static, Shared>> {
    static SHARED: OnceLock<Option<Mutex<Shared>>> = OnceLock::new();
    let shared = SHARED.get_or_init(|| match inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC) {
        Ok(kernel) => Some(Mutex::new(Shared { kernel, directories: HashMap::new() })),
        Err(error) => {
            tracing::warn!(%error, "the kernel does not tell of changes in directories: maildirs are listed instead");
            None
        }
    });
    shared.as_ref().map(lock)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_mailbox_hears_of_its_own_directories() {
        let directory = tempfile::tempdir().unwrap();
        let (one, other) = (directory.path().join("one"), directory.path().join("other"));
        std::fs::create_dir(&one).unwrap();
        std::fs::create_dir(&other).unwrap();
        let mut first = Watch::new(&[(Place::Cur, &one)]).unwrap();
        let mut second = Watch::new(&[(Place::Cur, &other), (Place::New, &one)]).unwrap();
        std::fs::write(one.join("a"), "").unwrap();
        std::fs::rename(one.join("a"), other.join("b")).unwrap();
        let event = |place, what, name: &str| Event { place, what, name: name.as_bytes().into() };
        assert_eq!(first.take().unwrap(), [event(Place::Cur, What::Came, "a"), event(Place::Cur, What::Went, "a")]);
        let (came, went) = (event(Place::New, What::Came, "a"), event(Place::New, What::Went, "a"));
        assert_eq!(second.take().unwrap(), [came, went, event(Place::Cur, What::Came, "b")]);
        drop(first);
        std::fs::remove_dir(&one).unwrap();
        assert_eq!(second.take(), None, "a directory that went has to be looked for");
    }
}
