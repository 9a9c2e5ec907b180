#![no_main]
//! Where a message ends does not depend on where the chunks do. The first byte says how long chunks are.
use paquebot_delivery::protocol::data::DotDecoder;

fn decode(data: &[u8], chunk: usize) -> Vec<u8> {
    let (mut decoder, mut message) = (DotDecoder::default(), Vec::new());
    for piece in data.chunks(chunk) {
        decoder.decode(piece, &mut message);
    }
    message
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some((&chunk, data)) = data.split_first() {
        decode(data, usize::from(chunk).max(1));
    }
});
