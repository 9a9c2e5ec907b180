#![no_main]
//! Frames do not depend on where the chunks end. The first byte says how long chunks are.
use paquebot_protocol::{Framer, Limits};

fn events(data: &[u8], chunk: usize) -> Vec<String> {
    let mut framer = Framer::new(Limits::AFTER_LOGIN);
    let (mut seen, mut message) = (Vec::new(), Vec::new());
    for mut input in data.chunks(chunk) {
        while let Some(event) = framer.next(&mut input) {
            match event {
                paquebot_protocol::Event::Data(bytes) => message.extend_from_slice(bytes),
                paquebot_protocol::Event::Fatal(error) => {
                    seen.push(error.to_string());
                    return seen;
                }
                event => seen.push(format!("{} {event:?}", message.escape_ascii())),
            }
        }
    }
    seen
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some((&chunk, data)) = data.split_first() {
        assert_eq!(events(data, usize::from(chunk).max(1)), events(data, data.len().max(1)));
    }
});
