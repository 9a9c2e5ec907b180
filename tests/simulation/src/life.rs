//! A node's life: from a start to a crash, which comes at a step that the seed names.

use std::ops::Range;
use std::sync::Arc;

use paquebot_log::BoxFuture;
use paquebot_log_etcd::simulated::{Gate, Random, SimulatedEtcd};
use paquebot_model::RecordId;
use paquebot_replica::Stamps;
use paquebot_store::recorded::RecordedFs;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

/// Whatever of a node can be seen from outside passes a step of its life: once it is dead nothing of it can be seen any more.
pub struct Life {
    pub fs: RecordedFs,
    name: String,
    etcd: SimulatedEtcd,
    state: Mutex<State>,
    dead: watch::Sender<bool>,
}

struct State {
    /// How many operations of the disk were over when something of it was last seen, and at the step at which the node died: what was seen no crash takes back.
    disk: Range<usize>,
    /// The node dies at so many steps from now.
    steps_left: Option<u64>,
}

impl Life {
    pub fn begin(name: String, fs: RecordedFs, etcd: SimulatedEtcd) -> Arc<Self> {
        let state = Mutex::new(State { disk: 0..0, steps_left: None });
        Arc::new(Self { fs, name, etcd, state, dead: watch::Sender::new(false) })
    }

    /// Resolves if the node lives. It may die here.
    pub async fn step(&self, at: &'static str) {
        let dies = {
            let mut state = self.state.lock();
            if self.is_dead() {
                drop(state);
                return std::future::pending().await;
            }
            state.steps_left = state.steps_left.map(|left| left.saturating_sub(1));
            let (dies, over) = (state.steps_left == Some(0), self.fs.recorded());
            state.disk = if dies { state.disk.start } else { over }..over;
            dies
        };
        self.etcd.note(&format!("{}: {at}", self.name));
        if dies {
            self.die();
            std::future::pending().await
        }
    }

    pub fn gate(self: &Arc<Self>) -> Gate {
        let life = self.clone();
        Arc::new(move |at| {
            let life = life.clone();
            let step: BoxFuture<'static, ()> = Box::pin(async move { life.step(at).await });
            step
        })
    }

    pub fn die_after(&self, steps: u64) {
        self.state.lock().steps_left = Some(steps.max(1));
    }

    pub fn die(&self) {
        self.etcd.note(&format!("{} dies", self.name));
        self.dead.send_replace(true);
    }

    pub fn is_dead(&self) -> bool {
        *self.dead.borrow()
    }

    /// Resolves when the node is dead.
    pub async fn death(&self) {
        let _ = self.dead.subscribe().wait_for(|dead| *dead).await;
    }

    /// The crash came when so many operations of the disk were over: some number in this range.
    pub fn crash_range(&self) -> Range<usize> {
        let last = self.state.lock().disk.clone();
        last.start..self.fs.recorded().max(last.end) + 1
    }
}

/// Ids and times of records, as a seed decides.
pub fn stamps(random: Random) -> Stamps {
    let random = Mutex::new(random);
    let begun = Instant::now();
    Arc::new(move || {
        let mut random = random.lock();
        let mut id = [0; 16];
        id[..8].copy_from_slice(&random.draw().to_be_bytes());
        id[8..].copy_from_slice(&random.draw().to_be_bytes());
        // Clocks of nodes differ, and go wrong.
        let time_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(0) + random.below(10_000);
        Ok((RecordId(id), 1_700_000_000_000 + time_ms))
    })
}
