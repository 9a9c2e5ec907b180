#![no_main]
//! Pages and the other rows of the index.
use paquebot_model::{Account, Blob, Login, Mailbox, Page, Row, Tombstone};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some(page) = Page::decode(data) {
        assert_eq!(Page::decode(&page.encode()), Some(page));
    }
    let _ = (Account::decode(data), Blob::decode(data), Login::decode(data), Mailbox::decode(data), Tombstone::decode(data));
});
