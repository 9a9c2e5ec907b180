//! Sockets that listen, and what they accept.

use std::fs::Permissions;
use std::future::Future;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use paquebot_auth::Network;
use paquebot_protocol::{Proxied, ProxyHeader, parse_proxy_header};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Between attempts when no connection can be accepted: too many files are open, say.
const PAUSE: Duration = Duration::from_millis(100);

/// For a load balancer to send its PROXY header.
const PROXY_HEADER_TIME: Duration = Duration::from_secs(5);

/// A listening socket.
pub enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

/// What a socket has accepted.
pub enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

impl Socket {
    /// Listens on `host:port` or `unix:/path`. A socket file that a killed server has left behind is replaced; another file is not.
    pub async fn bind(address: &str) -> anyhow::Result<Self> {
        let failed = || format!("cannot listen on {address}");
        let Some(path) = address.strip_prefix("unix:") else {
            return Ok(Self::Tcp(TcpListener::bind(address).await.with_context(failed)?));
        };
        let path = Path::new(path);
        let is_socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
        if is_socket && UnixStream::connect(path).await.is_err() {
            std::fs::remove_file(path).with_context(failed)?;
        }
        let listener = UnixListener::bind(path).with_context(failed)?;
        // Whoever delivers runs as another user, Postfix's say; who may is told by the folder's permissions, as a port on loopback has none.
        std::fs::set_permissions(path, Permissions::from_mode(0o666)).with_context(failed)?;
        Ok(Self::Unix(listener, path.into()))
    }

    /// The address as it is printed, with the port that the system chose for `:0`.
    pub fn address(&self) -> anyhow::Result<String> {
        match self {
            Self::Tcp(listener) => Ok(listener.local_addr()?.to_string()),
            Self::Unix(_, path) => Ok(format!("unix:{}", path.display())),
        }
    }

    /// Serves what connects, until `stopping` is true and the last connection has ended.
    pub async fn accept<F>(self, mut stopping: watch::Receiver<bool>, serve: impl Fn(Accepted) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.next() => match accepted {
                    Ok(accepted) => {
                        connections.spawn(serve(accepted));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                () = stopped(&mut stopping) => break,
            }
        }
        // Nobody is to connect, and then wait for a server that has stopped.
        if let Self::Unix(_, path) = &self {
            let _ = std::fs::remove_file(path);
        }
        drop(self);
        connections.join_all().await;
    }

    async fn next(&self) -> std::io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                // Answers are gathered before they are written; waiting for more in the kernel only costs time.
                stream.set_nodelay(true)?;
                Ok(Accepted::Tcp(stream, address))
            }
            Self::Unix(listener, _) => Ok(Accepted::Unix(listener.accept().await?.0)),
        }
    }
}

/// Whose connection it is: the socket's other end, or, where that is a load balancer, who its header names. `None`, logged, if a balancer
/// sends no header that can be read.
pub async fn client(stream: &mut TcpStream, peer: SocketAddr, balancers: &[Network]) -> Option<SocketAddr> {
    if !balancers.iter().any(|network| network.contains(peer.ip())) {
        return Some(peer);
    }
    let why = match timeout(PROXY_HEADER_TIME, proxied(stream)).await {
        Ok(Ok(Proxied::For { client, .. })) => return Some(client),
        Ok(Ok(Proxied::Unnamed)) => return Some(peer),
        Ok(Err(error)) => format!("{error:#}"),
        Err(_) => "its PROXY header did not come in time".to_owned(),
    };
    tracing::warn!(balancer = %peer.ip(), why, "refused a connection of a network in listen.proxy_from");
    None
}

/// Reads a PROXY header, and nothing of what follows.
async fn proxied(stream: &mut TcpStream) -> anyhow::Result<Proxied> {
    let mut header = Vec::new();
    loop {
        match parse_proxy_header(&header)? {
            ProxyHeader::Whole(proxied) => return Ok(proxied),
            ProxyHeader::Needs(more) => {
                let start = header.len();
                header.resize(start + more, 0);
                stream
                    .read_exact(&mut header[start..])
                    .await
                    .context("the connection ended before its PROXY header")?;
            }
        }
    }
}

/// The guard of what `wait_for` gives must not be held over another await.
pub async fn stopped(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stopping| *stopping).await;
}
