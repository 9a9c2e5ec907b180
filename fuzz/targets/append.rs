#![no_main]
//! The pieces of an APPEND.
use paquebot_protocol::ParseContext;
use paquebot_protocol::command::{AppendForm, parse_append, parse_append_end, parse_append_next};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let context = ParseContext::default();
    let _ = parse_append(data, &context);
    for form in [AppendForm::Literal, AppendForm::Literal8, AppendForm::Utf8] {
        let _ = parse_append_next(data, form, &context);
        let _ = parse_append_end(data, form);
    }
});
