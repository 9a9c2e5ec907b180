#![no_main]
//! Stored passwords.
use paquebot_auth::{Scheme, StoredPassword};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = StoredPassword::parse(text, Scheme::Plain);
});
