//! The PROXY protocol, versions 1 and 2: the line or header that a load balancer puts before a connection, to say whose it is.
//!
//! <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>. It is asked for from balancers only that are known to send it: who may
//! send one can say to be anybody.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest header that is read: with some 3 KiB of what a balancer may add, all of which is skipped.
pub const PROXY_HEADER_MAX: usize = 4096;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Before what the addresses and additions take.
const FIXED: usize = 16;
const LINE_START: &[u8] = b"PROXY ";
/// The longest line of version 1, with its CRLF.
const LINE_MAX: usize = 107;
/// `PROXY UNKNOWN` CRLF: no header of either version is shorter, so that many octets can be read without reading too many.
const SHORTEST: usize = 15;

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proxied {
    /// Whose connection it is, and where that came to.
    For { client: SocketAddr, local: SocketAddr },
    /// The balancer's own, to see whether the server is there; or a client of which there is no address.
    Unnamed,
}

/// How far a header has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyHeader {
    /// It has at least so many octets more; what comes behind the header is never among them.
    Needs(usize),
    Whole(Proxied),
}

/// The octets are no header, or one that is not for a connection such as this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    #[error("there is no PROXY header")]
    None,
    #[error("the PROXY line is longer than {LINE_MAX} octets or does not say what it should")]
    Line,
    #[error("the PROXY header has the version and command 0x{0:02x}, which are not known")]
    Version(u8),
    #[error("the PROXY header is for an address family and transport of 0x{0:02x}, which no TCP connection has")]
    Family(u8),
    #[error("the PROXY header of {0} octets is too short for its addresses")]
    Short(usize),
    #[error("the PROXY header has {0} octets, and {PROXY_HEADER_MAX} are read at most")]
    TooLong(usize),
}

/// Reads a header, of which `octets` have come.
///
/// ```
/// use paquebot_protocol::{Proxied, ProxyHeader, parse_proxy_header};
/// assert_eq!(parse_proxy_header(b"PROXY TCP4 192"), Ok(ProxyHeader::Needs(1)));
/// let whole = parse_proxy_header(b"PROXY TCP4 192.0.2.1 192.0.2.9 50000 143\r\n");
/// let (client, local) = ("192.0.2.1:50000".parse().unwrap(), "192.0.2.9:143".parse().unwrap());
/// assert_eq!(whole, Ok(ProxyHeader::Whole(Proxied::For { client, local })));
/// ```
pub fn parse_proxy_header(octets: &[u8]) -> Result<ProxyHeader, ProxyError> {
    if !octets.is_empty() && starts_alike(octets, SIGNATURE) {
        return binary(octets);
    }
    if !starts_alike(octets, LINE_START) {
        return Err(ProxyError::None);
    }
    if octets.len() < SHORTEST && !octets.ends_with(b"\r\n") {
        return Ok(ProxyHeader::Needs(SHORTEST - octets.len()));
    }
    match octets.iter().position(|octet| *octet == b'\n') {
        Some(end) if end + 1 == octets.len() && octets.len() <= LINE_MAX => {
            line(octets).map(ProxyHeader::Whole).ok_or(ProxyError::Line)
        }
        None if octets.len() < LINE_MAX => Ok(ProxyHeader::Needs(1)),
        _ => Err(ProxyError::Line),
    }
}

/// Whether one is the beginning of the other.
fn starts_alike(octets: &[u8], start: &[u8]) -> bool {
    octets.iter().zip(start).all(|(one, other)| one == other)
}

/// ```text
/// line = "PROXY UNKNOWN" [SP *CHAR] CRLF /
///        "PROXY " ("TCP4" / "TCP6") SP address SP address SP port SP port CRLF
/// ```
fn line(octets: &[u8]) -> Option<Proxied> {
    let text = std::str::from_utf8(octets).ok()?.strip_suffix("\r\n")?.strip_prefix("PROXY ")?;
    if text == "UNKNOWN" || text.starts_with("UNKNOWN ") {
        return Some(Proxied::Unnamed);
    }
    let (family, rest) = text.split_once(' ')?;
    let mut words = rest.split(' ');
    let mut address = || -> Option<IpAddr> {
        let word = words.next()?;
        match family {
            "TCP4" => word.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            "TCP6" => word.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    let (client, local) = (address()?, address()?);
    let (client_port, local_port) = (port(words.next()?)?, port(words.next()?)?);
    let named = Proxied::For { client: (client, client_port).into(), local: (local, local_port).into() };
    words.next().is_none().then_some(named)
}

/// A number without sign and leading zeros, as the protocol has it.
fn port(word: &str) -> Option<u16> {
    let is_plain = word == "0" || (!word.starts_with('0') && word.bytes().all(|byte| byte.is_ascii_digit()));
    is_plain.then(|| word.parse().ok()).flatten()
}

/// ```text
/// header = signature (version command) (family transport) length addresses additions
/// ```
fn binary(octets: &[u8]) -> Result<ProxyHeader, ProxyError> {
    let Some((fixed, rest)) = octets.split_first_chunk::<FIXED>() else {
        return Ok(ProxyHeader::Needs(FIXED - octets.len()));
    };
    let [.., version_command, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if !matches!(version_command, 0x20 | 0x21) {
        return Err(ProxyError::Version(version_command));
    }
    if FIXED + length > PROXY_HEADER_MAX {
        return Err(ProxyError::TooLong(FIXED + length));
    }
    if rest.len() < length {
        return Ok(ProxyHeader::Needs(length - rest.len()));
    }
    if version_command == 0x20 {
        return Ok(ProxyHeader::Whole(Proxied::Unnamed));
    }
    let too_short = ProxyError::Short(FIXED + length);
    let addresses = rest.get(..length).ok_or(too_short)?;
    match family {
        // Unspecified, or a client on the balancer's machine by a UNIX socket.
        0x00 | 0x31 => Ok(ProxyHeader::Whole(Proxied::Unnamed)),
        0x11 => named::<4, 12>(addresses).ok_or(too_short),
        0x21 => named::<16, 36>(addresses).ok_or(too_short),
        other => Err(ProxyError::Family(other)),
    }
}

/// Both addresses of `A` octets each, then both ports: `ALL` octets in all.
fn named<const A: usize, const ALL: usize>(octets: &[u8]) -> Option<ProxyHeader>
where
    IpAddr: From<[u8; A]>,
{
    let all = octets.first_chunk::<ALL>()?;
    let (client, rest) = all.split_first_chunk::<A>()?;
    let (local, ports) = rest.split_first_chunk::<A>()?;
    let (client_port, local_port) = (ports.first_chunk::<2>()?, ports.last_chunk::<2>()?);
    let address = |address: &[u8; A], port: &[u8; 2]| SocketAddr::new((*address).into(), u16::from_be_bytes(*port));
    let (client, local) = (address(client, client_port), address(local, local_port));
    Some(ProxyHeader::Whole(Proxied::For { client, local }))
}

#[cfg(test)]
mod tests;
