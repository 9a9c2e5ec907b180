//! A network between two nodes that can be cut or frozen.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Passes connections on to an address.
pub struct Relay {
    pub address: SocketAddr,
    frozen: watch::Sender<bool>,
    /// Octets from the server, over all connections, after which a connection is cut; then it is no more.
    pub cut_at: Arc<AtomicU64>,
    pub connections: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Relay {
    pub async fn to(address: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap();
        let (frozen, watching) = watch::channel(false);
        let (cut_at, connections) = (Arc::new(AtomicU64::new(u64::MAX)), Arc::new(AtomicU64::new(0)));
        let (cuts, count) = (cut_at.clone(), connections.clone());
        let task = tokio::spawn(async move {
            let mut pairs = tokio::task::JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (cuts, watching) = (cuts.clone(), watching.clone());
                pairs.spawn(async move {
                    let Ok(far) = TcpStream::connect(address).await else { return };
                    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                    tokio::select! {
                        () = pump(near_in, far_out, None, watching.clone()) => {}
                        () = pump(far_in, near_out, Some(cuts), watching) => {}
                    }
                });
            }
        });
        Self { address: own, frozen, cut_at, connections, task }
    }

    /// From now on nothing passes, and nothing is closed.
    pub fn freeze(&self) {
        self.frozen.send_replace(true);
    }

    pub fn thaw(&self) {
        self.frozen.send_replace(false);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pump(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    cut: Option<Arc<AtomicU64>>,
    mut frozen: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(len @ 1..) = from.read(&mut buffer).await {
        if frozen.wait_for(|frozen| !frozen).await.is_err() {
            return;
        }
        if let Some(cut) = &cut {
            let left = cut.load(Ordering::SeqCst);
            if left != u64::MAX {
                if left < len as u64 {
                    cut.store(u64::MAX, Ordering::SeqCst);
                    return;
                }
                cut.store(left - len as u64, Ordering::SeqCst);
            }
        }
        if to.write_all(&buffer[..len]).await.is_err() {
            return;
        }
    }
}
