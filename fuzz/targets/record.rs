#![no_main]
//! Records of the log.
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(record) = paquebot_model::Record::decode(data) {
        let _ = record.encode();
    }
});
