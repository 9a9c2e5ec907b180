//! Letting machines in that have a token and no certificate.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use super::Shared;
use crate::join::{ANSWER_BYTES_MAX, JoinRefusal, JoinRequest, REQUEST_BYTES_MAX, Welcome};
use crate::passed_on::PeerStream;

/// For a request to come; for its answer to be found; for that to go.
const PATIENCE: Duration = Duration::from_secs(5);
const DECIDE: Duration = Duration::from_secs(30);
/// Who comes with a wrong token waits for so long before the answer, twice as long each time.
const DELAY_MIN: Duration = Duration::from_millis(500);
const DELAY_MAX: Duration = Duration::from_secs(30);
/// Addresses that are remembered, at most, and for how long.
const ADDRESSES: usize = 1024;
const MEMORY: Duration = Duration::from_secs(600);

/// Remembers who came with wrong tokens.
#[derive(Default)]
pub(super) struct Doorman {
    wrong: Mutex<HashMap<IpAddr, (u32, Instant)>>,
}

impl Shared {
    pub(super) async fn join(&self, mut stream: PeerStream, address: SocketAddr) {
        let request = match timeout(PATIENCE, read(&mut stream)).await {
            Ok(Ok(request)) => request,
            _ => return tracing::debug!(%address, "a machine that wants to join sends no request that can be read"),
        };
        let node = request.node.clone();
        // The wait comes before the token is looked at, so that breaking off does not save it.
        sleep(self.joins.delay(address.ip())).await;
        let decided = match timeout(DECIDE, self.host.join(address, request)).await {
            Ok(decided) => decided,
            Err(_) => Err(JoinRefusal::Other("the cluster could not decide in time: ask again".into())),
        };
        match &decided {
            Ok(_) => {
                self.joins.right(address.ip());
                tracing::info!(%address, %node, "a node joins the cluster");
            }
            Err(refusal) => {
                if *refusal == JoinRefusal::WrongToken {
                    self.joins.wrong(address.ip());
                }
                tracing::warn!(%address, %node, %refusal, "a machine is not let into the cluster");
            }
        }
        let _ = timeout(PATIENCE, write(&mut stream, &decided)).await;
    }
}

impl Doorman {
    fn delay(&self, address: IpAddr) -> Duration {
        let wrong = self.wrong.lock();
        match wrong.get(&network(address)) {
            Some((times, last)) if last.elapsed() < MEMORY => {
                DELAY_MIN.saturating_mul(1 << times.saturating_sub(1).min(10)).min(DELAY_MAX)
            }
            _ => Duration::ZERO,
        }
    }

    fn right(&self, address: IpAddr) {
        self.wrong.lock().remove(&network(address));
    }

    fn wrong(&self, address: IpAddr) {
        let mut wrong = self.wrong.lock();
        wrong.retain(|_, (_, last)| last.elapsed() < MEMORY);
        if wrong.len() >= ADDRESSES {
            let oldest = wrong.iter().min_by_key(|(_, (_, last))| *last).map(|(address, _)| *address);
            oldest.and_then(|oldest| wrong.remove(&oldest));
        }
        let (times, last) = wrong.entry(network(address)).or_insert((0, Instant::now()));
        (*times, *last) = (times.saturating_add(1), Instant::now());
    }
}

/// Whoever has one IPv6 address has its whole /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

async fn read(stream: &mut PeerStream) -> io::Result<JoinRequest> {
    let len = usize::try_from(stream.read_u32().await?).unwrap_or(usize::MAX);
    if len > REQUEST_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; len];
    stream.read_exact(&mut bytes).await?;
    postcard::from_bytes(&bytes).map_err(|_| io::ErrorKind::InvalidData.into())
}

async fn write(stream: &mut PeerStream, decided: &Result<Welcome, JoinRefusal>) -> io::Result<()> {
    let mut bytes = postcard::to_extend(decided, vec![0; 4]).map_err(|_| io::ErrorKind::InvalidData)?;
    let len = u32::try_from(bytes.len() - 4).ok().filter(|len| *len as usize <= ANSWER_BYTES_MAX);
    let len = len.ok_or(io::ErrorKind::InvalidData)?;
    bytes[..4].copy_from_slice(&len.to_be_bytes());
    stream.write_all(&bytes).await?;
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_tokens_slow_their_address_down() {
        let (doorman, one, other) = (Doorman::default(), "192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        assert_eq!(doorman.delay(one), Duration::ZERO);
        let delays: Vec<_> = (0..9)
            .map(|_| {
                doorman.wrong(one);
                doorman.delay(one)
            })
            .collect();
        assert_eq!(delays[..3], [500, 1000, 2000].map(Duration::from_millis));
        assert_eq!(delays[8], DELAY_MAX);
        assert_eq!(doorman.delay(other), Duration::ZERO);
        doorman.right(one);
        assert_eq!(doorman.delay(one), Duration::ZERO);
    }

    #[test]
    fn a_network_of_ipv6_is_one_address_and_memory_is_bounded() {
        let doorman = Doorman::default();
        doorman.wrong("2001:db8::1".parse().unwrap());
        assert_eq!(doorman.delay("2001:db8::2".parse().unwrap()), DELAY_MIN);
        (0..ADDRESSES as u32 + 50).for_each(|n| doorman.wrong(std::net::Ipv4Addr::from(n).into()));
        assert_eq!(doorman.wrong.lock().len(), ADDRESSES);
    }
}
