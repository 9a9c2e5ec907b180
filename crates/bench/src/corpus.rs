//! Messages from a seed: the same number is the same message, byte for byte, on every machine.
//!
//! Sizes are log-normal, most of them some KB, a few far larger, as mail is. There are plain texts, alternatives of text and HTML,
//! attachments, and threads whose References lead to the messages before. A message is made from one of some hundred templates, so that
//! making it costs no more than copying it; its Message-ID is its own, since some servers drop a message that they have seen.

use crate::random::Random;

mod template;

use template::Template;
pub use template::ascii_word;

/// How large messages are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sizes {
    /// All about as large, in bytes.
    Fixed(u32),
    /// Log-normal, median 6 KB, none larger than this.
    Natural { max: u32 },
}

/// Templates, and so different sizes and structures.
const TEMPLATES: usize = 256;
/// Bytes of all templates together, about: those of a fixed, large size are fewer.
const TEMPLATE_BYTES_MAX: u64 = 64 << 20;
/// The log-normal distribution with a median of 6,000 bytes and a deviation of 1.5 of the logarithm: how many of 100,000 messages are no
/// larger than so many bytes. Between these sizes lie on a line: logarithms are not the same to the last bit on every machine.
const NATURAL_SIZES: [(u64, u64); 10] = [
    (0, 800),
    (10_000, 880),
    (25_000, 2_180),
    (50_000, 6_000),
    (75_000, 16_500),
    (90_000, 41_000),
    (95_000, 70_700),
    (99_000, 197_000),
    (99_900, 618_000),
    (100_000, 2_000_000),
];

/// All messages of a seed.
#[derive(Debug, Clone)]
pub struct Corpus {
    templates: Vec<Template>,
}

impl Corpus {
    pub fn new(seed: u64, sizes: Sizes) -> Self {
        let mut random = Random::stream(seed, 0);
        let mut templates: Vec<Template> = Vec::new();
        let (mut bytes, mut thread_left, mut depth) = (0, 0, 0);
        while templates.len() < TEMPLATES && bytes < TEMPLATE_BYTES_MAX {
            if thread_left == 0 {
                (thread_left, depth) = (1 + random.below(6), 0);
            }
            let template = Template::new(seed, templates.len() as u64, depth, size(&mut random, sizes));
            bytes += template.len() as u64;
            templates.push(template);
            (thread_left, depth) = (thread_left - 1, depth + 1);
        }
        Self { templates }
    }

    /// Puts message number `n` in place of what `out` holds.
    pub fn write(&self, n: u64, out: &mut Vec<u8>) {
        let at = (n % self.templates.len() as u64) as usize;
        self.templates[at].write(n, out);
    }

    /// Message number `n`.
    pub fn message(&self, n: u64) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(n, &mut out);
        out
    }
}

fn size(random: &mut Random, sizes: Sizes) -> u32 {
    match sizes {
        Sizes::Fixed(bytes) => bytes,
        Sizes::Natural { max } => natural_size(random.below(100_000)).min(max),
    }
}

/// The size of the message that so many of 100,000 are smaller than.
fn natural_size(rank: u64) -> u32 {
    let above = NATURAL_SIZES.partition_point(|(share, _)| *share <= rank).clamp(1, NATURAL_SIZES.len() - 1);
    let ((from, smaller), (to, larger)) = (NATURAL_SIZES[above - 1], NATURAL_SIZES[above]);
    let bytes = smaller + (larger - smaller) * (rank - from) / (to - from);
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const NATURAL: Sizes = Sizes::Natural { max: 2_000_000 };

    fn headers(message: &[u8]) -> String {
        let text = String::from_utf8(message.to_vec()).unwrap();
        text.split_once("\r\n\r\n").unwrap().0.replace("\r\n ", " ")
    }

    fn header(message: &[u8], name: &str) -> Option<String> {
        headers(message).lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().into())
    }

    /// The bytes of a FNV hash: enough to see that nothing changed.
    fn fnv(bytes: &[u8]) -> u64 {
        bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
    }

    #[test]
    fn a_seed_always_makes_the_same_messages() {
        let (a, b, other) = (Corpus::new(7, NATURAL), Corpus::new(7, NATURAL), Corpus::new(8, NATURAL));
        for n in [0, 1, 255, 256, 1 << 40] {
            assert_eq!(a.message(n), b.message(n));
            assert_ne!(a.message(n), other.message(n));
        }
        let all = (0..64).fold(0, |sum: u64, n| sum.wrapping_add(fnv(&a.message(n))));
        assert_eq!(
            all, 1_850_526_111_089_969_151,
            "the corpus of a seed has changed: measurements cannot be compared with older ones"
        );
    }

    #[test]
    fn sizes_are_those_of_mail() {
        let corpus = Corpus::new(1, NATURAL);
        let mut sizes: Vec<usize> = (0..256).map(|n| corpus.message(n).len()).collect();
        sizes.sort_unstable();
        assert!((4_000..9_000).contains(&sizes[128]), "median {}", sizes[128]);
        assert!(sizes[0] >= 700 && sizes[255] > 100_000 && sizes[255] <= 2_000_000, "{} {}", sizes[0], sizes[255]);
        let capped = Corpus::new(1, Sizes::Natural { max: 10_000 });
        assert!((0..256).all(|n| capped.message(n).len() <= 10_000));
    }

    #[test]
    fn a_fixed_size_is_met() {
        for bytes in [2_000, 6_000, 100_000, 1_000_001] {
            let corpus = Corpus::new(1, Sizes::Fixed(bytes));
            for n in 0..20 {
                let len = corpus.message(n).len() as u32;
                assert!(len <= bytes && bytes - len < 200, "{len} of {bytes}");
            }
        }
    }

    #[test]
    fn every_message_has_an_id_of_its_own_and_threads_lead_back() {
        let corpus = Corpus::new(3, NATURAL);
        let mut ids = BTreeSet::new();
        let mut replies = 0;
        for n in (0..600).chain(1 << 32..(1 << 32) + 300) {
            let message = corpus.message(n);
            for id in header(&message, "References:").iter().flat_map(|ids| ids.split(' ')) {
                replies += 1;
                assert!(ids.contains(id), "message {n} answers {id}");
            }
            assert!(ids.insert(header(&message, "Message-ID:").unwrap()), "message {n}");
        }
        assert!(replies > 300);
    }

    #[test]
    fn messages_are_well_formed_lines() {
        let corpus = Corpus::new(3, NATURAL);
        for n in 0..256 {
            let message = corpus.message(n);
            let text = std::str::from_utf8(&message).unwrap();
            assert!(text.ends_with("\r\n"));
            assert!(text.split("\r\n").all(|line| line.len() <= 998 && !line.contains(['\r', '\n'])));
            for name in ["From:", "To:", "Subject:", "Date:", "Message-ID:", "MIME-Version:", "Content-Type:"] {
                assert!(header(&message, name).is_some(), "message {n} has no {name}");
            }
            if let Some((_, boundary)) = headers(&message).split_once("boundary=\"") {
                let boundary = boundary.split('"').next().unwrap();
                assert!(
                    text.contains(&format!("\r\n--{boundary}\r\n"))
                        && text.contains(&format!("\r\n--{boundary}--\r\n"))
                );
            }
        }
    }
}
