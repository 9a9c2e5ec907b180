//! Hearing of what other programs do to open mailboxes: from the kernel, and by looking now and then.

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

use crate::live::Live;

/// Between two looks at a mailbox that others change all the time.
const PAUSE: Duration = Duration::from_millis(20);

/// The kernel's one queue for the files of all open mailboxes: a user may have only some hundred queues.
pub(super) struct Watcher {
    kernel: Option<OwnedFd>,
    hearers: Mutex<HashMap<i32, Vec<Weak<Notify>>>>,
}

impl Watcher {
    /// Starts to listen to the kernel. Where it does not tell, mailboxes are looked at now and then only.
    pub fn start() -> Arc<Self> {
        let kernel = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK);
        let kernel =
            kernel.inspect_err(|error| tracing::warn!(%error, "changes of foreign mailboxes are heard of late"));
        let watcher = Arc::new(Self { kernel: kernel.ok(), hearers: Mutex::default() });
        if watcher.kernel.is_some() && tokio::runtime::Handle::try_current().is_ok() {
            tokio::spawn(hear(Arc::downgrade(&watcher)));
        }
        watcher
    }

    /// Has somebody hear of what happens to files. Those that he hears of already are watched on.
    fn watch(&self, paths: &[PathBuf], hearer: &Arc<Notify>) {
        let Some(kernel) = &self.kernel else { return };
        let what = WatchFlags::MODIFY
            | WatchFlags::ATTRIB
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVE
            | WatchFlags::MOVE_SELF
            | WatchFlags::DELETE_SELF;
        for path in paths {
            let mut hearers = self.hearers.lock();
            match inotify::add_watch(kernel, path, what) {
                Ok(watch) => {
                    let hearers = hearers.entry(watch).or_default();
                    hearers.retain(|other| other.strong_count() > 0);
                    if !hearers.iter().any(|other| std::ptr::eq(other.as_ptr(), Arc::as_ptr(hearer))) {
                        hearers.push(Arc::downgrade(hearer));
                    }
                }
                Err(error) => tracing::debug!(path = %path.display(), %error, "is looked at now and then only"),
            }
        }
    }

    /// Ends what nobody hears of any more.
    fn tidy(&self) {
        let Some(kernel) = &self.kernel else { return };
        self.hearers.lock().retain(|watch, hearers| {
            hearers.retain(|hearer| hearer.strong_count() > 0);
            if hearers.is_empty() {
                // It may have ended with its file.
                let _ = inotify::remove_watch(kernel, *watch);
            }
            !hearers.is_empty()
        });
    }

    /// Tells those whose files have changed.
    fn tell(&self) {
        let Some(kernel) = &self.kernel else { return };
        let mut buffer = [MaybeUninit::uninit(); 16 << 10];
        let mut reader = Reader::new(kernel, &mut buffer);
        while let Ok(event) = reader.next() {
            let hearers = self.hearers.lock();
            let wake = |hearers: &Vec<Weak<Notify>>| {
                hearers.iter().filter_map(Weak::upgrade).for_each(|hearer| hearer.notify_one());
            };
            match event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                true => hearers.values().for_each(wake),
                false => hearers.get(&event.wd()).into_iter().for_each(wake),
            }
        }
    }
}

/// Waits for a descriptor to become readable.
#[expect(deprecated, reason = "the new way is unsafe, for types that change their descriptor: an owned one does not")]
fn readable(descriptor: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(descriptor, Interest::READABLE)
}

/// Passes on what the kernel tells, for as long as anybody may hear of it.
async fn hear(watcher: Weak<Watcher>) {
    let kernel = watcher.upgrade().and_then(|watcher| watcher.kernel.as_ref()?.try_clone().ok());
    let Some(kernel) = kernel.and_then(|kernel| readable(kernel).ok()) else { return };
    loop {
        let ready = tokio::time::timeout(Duration::from_secs(1), kernel.readable()).await;
        let Some(watcher) = watcher.upgrade() else { return };
        if let Ok(Ok(mut ready)) = ready {
            watcher.tell();
            ready.clear_ready();
        }
    }
}

/// Keeps an open mailbox up with its files, for as long as somebody has it open.
pub(super) fn follow(watcher: &Arc<Watcher>, live: &Arc<Live>) {
    if tokio::runtime::Handle::try_current().is_err() {
        // Nobody would be told anyway.
        return;
    }
    let (watcher, live) = (Arc::downgrade(watcher), Arc::downgrade(live));
    tokio::spawn(async move {
        let bell = Arc::new(Notify::new());
        while let Some(look) = next_look(&watcher, &live, &bell).await {
            look.wait(&bell).await;
            tokio::time::sleep(PAUSE).await;
        }
        if let Some(watcher) = watcher.upgrade() {
            watcher.tidy();
        }
    });
}

/// What to wait for before the next look.
struct Look {
    patience: Duration,
    /// Becomes readable when another program asks for the mailbox.
    asked: Option<AsyncFd<OwnedFd>>,
}

impl Look {
    async fn wait(&self, bell: &Notify) {
        let asked = async {
            match &self.asked {
                Some(asked) => drop(asked.readable().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = bell.notified() => {}
            () = asked => {}
            () = tokio::time::sleep(self.patience) => {}
        }
    }
}

/// Looks at the mailbox, and says what to wait for; `None` when nobody has it open any more.
async fn next_look(watcher: &Weak<Watcher>, live: &Weak<Live>, bell: &Arc<Notify>) -> Option<Look> {
    let (watcher, live, bell) = (watcher.upgrade()?, live.upgrade()?, bell.clone());
    let looked = tokio::task::spawn_blocking(move || {
        let foreign = live.foreign()?;
        if live.current().gone {
            return None;
        }
        let mut handle = foreign.handle();
        // Watched first, so that nothing is missed between.
        let paths: Vec<PathBuf> = handle.mailbox().ok()?.watched().into_iter().map(Path::to_path_buf).collect();
        watcher.watch(&paths, &bell);
        if let Err(error) = foreign.look_with(&live, &mut handle) {
            tracing::warn!(mailbox = ?foreign, error = &error as &dyn std::error::Error, "cannot be looked at");
        }
        let mailbox = handle.mailbox().ok()?;
        let signal = mailbox.take_over_signal().and_then(|signal| signal.try_clone_to_owned().ok());
        Some((mailbox.patience(), signal))
    });
    let (patience, signal) = looked.await.ok()??;
    let asked = signal.and_then(|signal| readable(signal).ok());
    Some(Look { patience, asked })
}
