#![no_main]
//! Any bytes are a message, and what is written of it can be read back.
use paquebot_message::{SectionText, SummaryRef, parse, resolve, summarise};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let structure = parse(data);
    let bytes = summarise(&structure);
    let summary = SummaryRef::new(&bytes).expect("a summary that was just made is one");
    assert_eq!(summary.size(), data.len() as u64);
    for path in [&[][..], &[1], &[1, 1], &[2], &[2, 1]] {
        for text in [SectionText::Whole, SectionText::Header, SectionText::Text, SectionText::Mime] {
            if let Some(range) = resolve(summary.entries(), path, text) {
                assert!(range.start <= range.end && range.end <= data.len() as u64);
            }
        }
    }
});
