//! What every socket between nodes is set to.

use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// A passed-on connection may be silent for long; a machine that went away is noticed all the same.
const IDLE: Duration = Duration::from_secs(10);
const INTERVAL: Duration = Duration::from_secs(3);
const PROBES: u32 = 3;
/// What was sent and is not confirmed for so long breaks the connection.
const UNCONFIRMED: Duration = Duration::from_secs(15);

/// Small messages leave at once, and dead machines are noticed.
pub(crate) fn prepare(socket: &TcpStream) {
    let keep_alive = TcpKeepalive::new().with_time(IDLE).with_interval(INTERVAL).with_retries(PROBES);
    let reference = SockRef::from(socket);
    // Each is an improvement only: a kernel that refuses one serves all the same.
    let _ = socket.set_nodelay(true);
    let _ = reference.set_tcp_keepalive(&keep_alive);
    #[cfg(target_os = "linux")]
    let _ = reference.set_tcp_user_timeout(Some(UNCONFIRMED));
}
