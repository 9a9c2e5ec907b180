#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;

fn binary_header(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [&SIGNATURE[..], &[command, family], &length, payload].concat()
}

fn addresses(client: SocketAddr, local: SocketAddr) -> Vec<u8> {
    let mut octets = Vec::new();
    for address in [client, local] {
        match address.ip() {
            IpAddr::V4(ip) => octets.extend(ip.octets()),
            IpAddr::V6(ip) => octets.extend(ip.octets()),
        }
    }
    octets.extend(client.port().to_be_bytes());
    octets.extend(local.port().to_be_bytes());
    octets
}

/// Reads a header as a server does, never more than is needed; gives what it says and how many octets it took.
fn read(stream: &[u8]) -> Result<Option<(Proxied, usize)>, ProxyError> {
    let mut taken = 0;
    loop {
        match parse_proxy_header(&stream[..taken])? {
            ProxyHeader::Whole(proxied) => return Ok(Some((proxied, taken))),
            ProxyHeader::Needs(more) => {
                assert!(more > 0 && taken + more <= PROXY_HEADER_MAX);
                if taken + more > stream.len() {
                    return Ok(None);
                }
                taken += more;
            }
        }
    }
}

fn both_of_a_kind() -> impl Strategy<Value = (SocketAddr, SocketAddr)> {
    let v4 = any::<[(Ipv4Addr, u16); 2]>().prop_map(|[one, other]| (one.into(), other.into()));
    let v6 = any::<[(Ipv6Addr, u16); 2]>().prop_map(|[one, other]| (one.into(), other.into()));
    prop_oneof![v4, v6]
}

proptest! {
    #[test]
    fn headers_go_there_and_back_and_what_follows_is_not_touched(
        (client, local) in both_of_a_kind(), additions in prop::collection::vec(any::<u8>(), 0..600), rest: Vec<u8>,
    ) {
        let family = if client.is_ipv4() { 0x11 } else { 0x21 };
        let header = binary_header(0x21, family, &[addresses(client, local), additions].concat());
        let expected = Proxied::For { client, local };
        prop_assert_eq!(read(&[header.as_slice(), &rest].concat()), Ok(Some((expected, header.len()))));
        for cut in 0..header.len() {
            prop_assert_eq!(read(&header[..cut]), Ok(None));
        }
        let kind = if client.is_ipv4() { "TCP4" } else { "TCP6" };
        let line = format!("PROXY {kind} {} {} {} {}\r\n", client.ip(), local.ip(), client.port(), local.port());
        prop_assert_eq!(read(&[line.as_bytes(), &rest].concat()), Ok(Some((expected, line.len()))));
    }

    #[test]
    fn no_octets_make_it_panic_or_read_too_much(
        start in prop::sample::select(vec![&b""[..], LINE_START, SIGNATURE, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"]),
        rest in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let _ = read(&[start, &rest].concat());
    }
}

#[test]
fn a_balancers_own_connection_and_clients_without_address_keep_the_sockets() {
    for header in [
        binary_header(0x20, 0x00, b""),
        binary_header(0x20, 0x11, &[0; 12]),
        binary_header(0x20, 0xff, &[7; 30]),
        binary_header(0x21, 0x00, b"\x04\0\x01x"),
        binary_header(0x21, 0x31, &[b'/'; 216]),
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n".to_vec(),
    ] {
        assert_eq!(read(&header), Ok(Some((Proxied::Unnamed, header.len()))), "{}", header.escape_ascii());
    }
}

#[test]
fn what_is_no_header_is_told_by_its_first_octets() {
    for (octets, error) in [
        (&b"a LOGIN alice secret\r\n"[..], ProxyError::None),
        (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03abcdefg", ProxyError::None),
        (b"PROXZ TCP4 1.2.3.4 ", ProxyError::None),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", ProxyError::Line),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n", ProxyError::Line),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n", ProxyError::Line),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n", ProxyError::Line),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n", ProxyError::Line),
        (b"PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n", ProxyError::Line),
        (b"PROXY TCP4 ::1 5.6.7.8 1 2\r\n", ProxyError::Line),
        (b"PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n", ProxyError::Line),
        (b"PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n", ProxyError::Line),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n", ProxyError::Line),
        (b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c", ProxyError::Version(0x31)),
        (b"\r\n\r\n\0\r\nQUIT\n\x22\x11\0\x0c", ProxyError::Version(0x22)),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff", ProxyError::TooLong(65_551)),
    ] {
        assert_eq!(read(octets), Err(error), "{}", octets.escape_ascii());
    }
    assert_eq!(read(&binary_header(0x21, 0x11, &[0; 11])), Err(ProxyError::Short(27)));
    assert_eq!(read(&binary_header(0x21, 0x21, &[0; 12])), Err(ProxyError::Short(28)));
    for family in [0x01, 0x12, 0x22, 0x32, 0x41, 0xff] {
        assert_eq!(read(&binary_header(0x21, family, &[0; 300])), Err(ProxyError::Family(family)));
    }
    let endless = [b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat();
    assert_eq!(read(&endless), Err(ProxyError::Line));
}
