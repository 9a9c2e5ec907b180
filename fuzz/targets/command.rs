#![no_main]
//! Any bytes are a command or a clear error, in both modes of a session.
use paquebot_protocol::{ParseContext, parse};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    for utf8 in [false, true] {
        let context = ParseContext { utf8, ..ParseContext::default() };
        if let Err(error) = parse(data, &context) {
            assert!(!error.to_string().is_empty());
        }
    }
});
