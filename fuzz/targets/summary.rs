#![no_main]
//! A damaged summary is an error or is read, and never more.
use paquebot_message::{Form, SummaryRef};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(summary) = SummaryRef::new(data) {
        for form in [Form::Ascii, Form::Utf8] {
            let _ = (summary.envelope(form), summary.bodystructure(form), summary.body(form).count());
        }
        let _ = (summary.entries().count(), summary.references().count(), summary.sent_date(), summary.preview());
    }
});
