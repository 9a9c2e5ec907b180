#![no_main]
//! The header that a load balancer puts before a connection, read as a server does: never more than is needed.
use paquebot_protocol::{PROXY_HEADER_MAX, ProxyHeader, parse_proxy_header};

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    let mut taken = 0;
    while let Some(Ok(ProxyHeader::Needs(more))) = octets.get(..taken).map(parse_proxy_header) {
        assert!(more > 0, "it never asks for nothing");
        taken += more;
        assert!(taken <= PROXY_HEADER_MAX);
    }
});
