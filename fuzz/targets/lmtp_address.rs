#![no_main]
//! Paths of MAIL and RCPT.
use paquebot_delivery::protocol::address::Address;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = Address::parse_path(text);
});
