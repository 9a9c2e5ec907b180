//! One message, with places for its number and its thread's.

use crate::random::Random;

const PEOPLE: [(&str, &str); 10] = [
    ("Anna Berger", "anna.berger"),
    ("Ben Okafor", "ben.okafor"),
    ("=?utf-8?Q?Cl=C3=A9o_Martin?=", "cleo.martin"),
    ("Daniel Novak", "daniel.novak"),
    ("Emi Tanaka", "emi.tanaka"),
    ("=?utf-8?B?0JbQtdC90Y8g0J/QtdGC0YDQvtCy?=", "zhenya.petrov"),
    ("Fatima Haddad", "fatima.haddad"),
    ("Giulia Conti", "giulia.conti"),
    ("Build Robot", "builds"),
    ("List Administrator", "list-owner"),
];

/// What texts and subjects are made of.
const WORDS: [&str; 48] = [
    "the",
    "meeting",
    "invoice",
    "schedule",
    "please",
    "attached",
    "report",
    "tomorrow",
    "server",
    "update",
    "question",
    "project",
    "thanks",
    "for",
    "and",
    "with",
    "about",
    "review",
    "contract",
    "delivery",
    "budget",
    "travel",
    "hotel",
    "ticket",
    "release",
    "version",
    "failed",
    "passed",
    "customer",
    "order",
    "payment",
    "reminder",
    "agenda",
    "minutes",
    "draft",
    "final",
    "comments",
    "design",
    "Grüße",
    "réunion",
    "señor",
    "morgen",
    "besprechung",
    "documents",
    "photos",
    "weekend",
    "family",
    "birthday",
];

const LINE_BYTES: usize = 72;
const BASE64_LINE_BYTES: usize = 76;
/// Messages from here on bring an attachment.
const ATTACHMENT_FROM_BYTES: usize = 20_000;
/// References name no more than this many messages before.
const REFERENCES_MAX: u64 = 10;

/// A place that holds the number of a message, in 16 hexadecimal digits.
#[derive(Debug, Clone)]
struct Place {
    at: usize,
    /// How many messages back.
    back: u64,
}

#[derive(Debug, Clone)]
pub struct Template {
    bytes: Vec<u8>,
    places: Vec<Place>,
}

impl Template {
    /// Makes template `index` of a seed: the answer to the `depth` templates before it, and as near below `size` bytes as its structure
    /// allows, unless that is too small for any message.
    pub fn new(seed: u64, index: u64, depth: u64, size: u32) -> Self {
        let mut random = Random::stream(seed, index + 1);
        let mut template = Self { bytes: Vec::with_capacity(size as usize), places: Vec::new() };
        template.headers(&mut random, seed, index, depth);
        template.body(&mut random, index, size as usize);
        template
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Puts message number `n` in place of what `out` holds.
    pub fn write(&self, n: u64, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&self.bytes);
        for place in &self.places {
            let number = format!("{:016x}", n.wrapping_sub(place.back));
            out[place.at..place.at + 16].copy_from_slice(number.as_bytes());
        }
    }

    fn line(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// A message's id, its number left open.
    fn id(&mut self, seed: u64, back: u64) {
        self.bytes.push(b'<');
        self.places.push(Place { at: self.bytes.len(), back });
        self.bytes.extend_from_slice(format!("{:016x}.{seed:x}@bench.example>", 0).as_bytes());
    }

    fn headers(&mut self, random: &mut Random, seed: u64, index: u64, depth: u64) {
        let (from, to) = (random.pick(&PEOPLE), random.pick(&PEOPLE));
        self.line(&format!("Received: from mail.bench.example (mail.bench.example [192.0.2.{}])", random.below(255)));
        self.line(&format!("\tby mx.bench.example with ESMTPS; {}", date(index)));
        self.line(&format!("From: {} <{}@bench.example>", from.0, from.1));
        self.line(&format!("To: {} <{}@bench.example>", to.0, to.1));
        self.line(&format!("Date: {}", date(index)));
        // All of a thread have the subject of its first.
        let mut of_thread = Random::stream(!seed, index - depth);
        let words: Vec<&str> = (0..2 + of_thread.below(5)).map(|_| ascii_word(&mut of_thread)).collect();
        self.line(&format!("Subject: {}{}", if depth > 0 { "Re: " } else { "" }, words.join(" ")));
        self.bytes.extend_from_slice(b"Message-ID: ");
        self.id(seed, 0);
        self.line("");
        if depth > 0 {
            self.bytes.extend_from_slice(b"In-Reply-To: ");
            self.id(seed, 1);
            self.line("");
            self.bytes.extend_from_slice(b"References:");
            for back in (1..=depth.min(REFERENCES_MAX)).rev() {
                self.bytes.extend_from_slice(if back == depth.min(REFERENCES_MAX) { b" " } else { b"\r\n " });
                self.id(seed, back);
            }
            self.line("");
        }
        self.line("MIME-Version: 1.0");
    }

    fn body(&mut self, random: &mut Random, index: u64, size: usize) {
        let boundary = format!("=_{index:04x}_{:016x}", random.next());
        // Half of the small ones are plain text; those too small for parts all are.
        if size >= ATTACHMENT_FROM_BYTES {
            self.with_attachment(random, &boundary, size);
        } else if size > 1_600 && random.below(2) == 0 {
            self.alternative(random, &boundary, size);
        } else {
            self.text_headers("plain");
            self.words(random, size);
        }
    }

    fn text_headers(&mut self, subtype: &str) {
        self.line(&format!("Content-Type: text/{subtype}; charset=utf-8"));
        self.line("Content-Transfer-Encoding: 8bit");
        self.line("");
    }

    fn alternative(&mut self, random: &mut Random, boundary: &str, size: usize) {
        self.line(&format!("Content-Type: multipart/alternative; boundary=\"{boundary}\""));
        self.line("");
        self.line(&format!("--{boundary}"));
        self.text_headers("plain");
        self.words(random, (self.len() + size) / 2);
        self.line(&format!("--{boundary}"));
        self.text_headers("html");
        self.line("<html><body><p>");
        let end = format!("</p></body></html>\r\n--{boundary}--");
        self.words(random, size.saturating_sub(end.len() + 2));
        self.line(&end);
    }

    fn with_attachment(&mut self, random: &mut Random, boundary: &str, size: usize) {
        self.line(&format!("Content-Type: multipart/mixed; boundary=\"{boundary}\""));
        self.line("");
        self.line(&format!("--{boundary}"));
        self.text_headers("plain");
        let text = self.len() + 500 + random.below(3000) as usize;
        self.words(random, text);
        self.line(&format!("--{boundary}"));
        self.line("Content-Type: application/octet-stream");
        self.line("Content-Transfer-Encoding: base64");
        self.line(&format!("Content-Disposition: attachment; filename=\"{}.bin\"", ascii_word(random)));
        self.line("");
        let end = format!("--{boundary}--");
        let mut line = [0; BASE64_LINE_BYTES];
        while self.len() + BASE64_LINE_BYTES + end.len() + 4 <= size {
            fill_base64(random, &mut line);
            self.bytes.extend_from_slice(&line);
            self.bytes.extend_from_slice(b"\r\n");
        }
        self.line(&end);
    }

    /// Lines of words until the message has `end` bytes, or one line where it has them already.
    fn words(&mut self, random: &mut Random, end: usize) {
        loop {
            let start = self.len();
            while self.len() - start < LINE_BYTES - 12 {
                self.bytes.extend_from_slice(random.pick(&WORDS).as_bytes());
                self.bytes.push(b' ');
            }
            self.bytes.pop();
            self.line(if random.below(4) == 0 { "." } else { "" });
            if self.len() + LINE_BYTES + 2 > end {
                return;
            }
        }
    }
}

/// One of the words that texts and subjects are made of.
pub fn ascii_word(random: &mut Random) -> &'static str {
    loop {
        let word = *random.pick(&WORDS);
        if word.is_ascii() {
            return word;
        }
    }
}

/// Random bits in base64: nothing compresses them.
fn fill_base64(random: &mut Random, line: &mut [u8; BASE64_LINE_BYTES]) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in line.chunks_mut(10) {
        let mut bits = random.next();
        for digit in chunk {
            *digit = ALPHABET[(bits & 63) as usize];
            bits >>= 6;
        }
    }
}

/// The date of a template: one every 97 minutes from the start of 2024, in the form of RFC 5322, 3.3.
fn date(index: u64) -> String {
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    // 256 templates stay within the month: 97 minutes × 256 are 17 days.
    let minutes = index * 97;
    let (day, hour, minute) = (minutes / 1440, minutes / 60 % 24, minutes % 60);
    format!("{}, {:02} Jan 2024 {hour:02}:{minute:02}:{:02} +0100", DAYS[(day % 7) as usize], day + 1, index % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_of_one_month() {
        assert_eq!(date(0), "Mon, 01 Jan 2024 00:00:00 +0100");
        assert_eq!(date(255), "Thu, 18 Jan 2024 04:15:15 +0100");
    }
}
