//! A proxy in front of a member that can keep its answers to itself.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What becomes of a member's answers. Requests go through in any case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answers {
    Pass,
    /// They are swallowed, and the connection stays.
    Lost,
    /// Connections end, and new ones too.
    Cut,
}

pub struct Proxy {
    pub endpoint: String,
    mode: Arc<watch::Sender<Answers>>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// Stands before the member at `endpoint`; `swap` replaces some bytes in its answers by as many others.
    pub async fn start(endpoint: &str, swap: Option<(&'static str, &'static str)>) -> Self {
        let target = endpoint.trim_start_matches("http://").to_string();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let mode = Arc::new(watch::channel(Answers::Pass).0);
        let mut tasks = JoinSet::new();
        let modes = mode.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (target, mode) = (target.clone(), modes.subscribe());
                connections.spawn(async move {
                    if let Ok(server) = TcpStream::connect(target).await {
                        carry(client, server, mode, swap).await;
                    }
                });
            }
        });
        Self { endpoint, mode, _tasks: tasks }
    }

    pub fn set(&self, answers: Answers) {
        self.mode.send_replace(answers);
    }
}

async fn carry(
    client: TcpStream,
    server: TcpStream,
    mut mode: watch::Receiver<Answers>,
    swap: Option<(&'static str, &'static str)>,
) {
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let requests = tokio::io::copy(&mut from_client, &mut to_server);
    let current = mode.clone();
    let answers = async {
        let mut buffer = vec![0; 64 << 10];
        let mut lost = false;
        while let Ok(count @ 1..) = from_server.read(&mut buffer).await {
            // What follows a lost piece would not be understood: the connection is silent until it ends.
            lost |= *current.borrow() == Answers::Lost;
            if lost {
                continue;
            }
            let piece = match swap {
                Some((from, to)) => replace(&buffer[..count], from.as_bytes(), to.as_bytes()),
                None => buffer[..count].to_vec(),
            };
            if to_client.write_all(&piece).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        _ = requests => {}
        () = answers => {}
        _ = mode.wait_for(|mode| *mode == Answers::Cut) => {}
    }
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes.to_vec();
    while let Some(at) = bytes.windows(from.len()).position(|window| window == from) {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    bytes
}
