//! Charsets to UTF-8, whole or in chunks.

use std::borrow::Cow;

use encoding_rs::{CoderResult, Decoder, Encoding, UTF_8, WINDOWS_1252};

/// `bytes` as UTF-8, or else as windows-1252: what raw 8-bit text most likely is.
pub fn guess(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => WINDOWS_1252.decode_without_bom_handling(bytes).0,
    }
}

/// `bytes` in the charset named `label`; a charset that is not known is guessed. Malformed bytes become U+FFFD.
pub fn decode<'a>(label: &[u8], bytes: &'a [u8]) -> Cow<'a, str> {
    match lookup(label) {
        Some(charset) => charset.decode_without_bom_handling(bytes).0,
        None => guess(bytes),
    }
}

/// US-ASCII counts as unknown: what says it and holds 8-bit text is as often UTF-8 as anything else.
fn lookup(label: &[u8]) -> Option<&'static Encoding> {
    let label = label.trim_ascii();
    if label.eq_ignore_ascii_case(b"us-ascii") || label.eq_ignore_ascii_case(b"ascii") {
        return None;
    }
    Encoding::for_label_no_replacement(label)
}

/// Whether the charset `label` can be decoded: else SEARCH answers NO `[BADCHARSET]`.
pub fn is_known(label: &[u8]) -> bool {
    let label = label.trim_ascii();
    label.eq_ignore_ascii_case(b"us-ascii") || label.eq_ignore_ascii_case(b"ascii") || lookup(label).is_some()
}

/// Decodes a body chunk by chunk.
pub struct TextDecoder {
    decoder: Decoder,
    buffer: String,
}

/// Bytes of text given at a time.
const BUFFER_BYTES: usize = 4 << 10;

impl TextDecoder {
    /// A charset that is missing or not known is taken as UTF-8, whose malformed bytes become U+FFFD.
    pub fn new(label: &[u8]) -> Self {
        let charset = lookup(label).unwrap_or(UTF_8);
        Self { decoder: charset.new_decoder_without_bom_handling(), buffer: String::with_capacity(BUFFER_BYTES) }
    }

    /// Takes the next bytes and gives their text in pieces of a few kilobytes.
    pub fn push(&mut self, bytes: &[u8], sink: &mut dyn FnMut(&str)) {
        self.run(bytes, false, sink);
    }

    /// Ends the text: gives what stands for an unfinished character.
    pub fn finish(mut self, sink: &mut dyn FnMut(&str)) {
        self.run(&[], true, sink);
    }

    fn run(&mut self, bytes: &[u8], is_last: bool, sink: &mut dyn FnMut(&str)) {
        let mut rest = bytes;
        loop {
            self.buffer.clear();
            let (result, read, _) = self.decoder.decode_to_string(rest, &mut self.buffer, is_last);
            rest = rest.get(read..).unwrap_or_default();
            if !self.buffer.is_empty() {
                sink(&self.buffer);
            }
            if result == CoderResult::InputEmpty {
                return;
            }
        }
    }
}
