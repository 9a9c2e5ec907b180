//! Names of message files: `<unique>[:2,<flags>]`.
//!
//! Sources: D. J. Bernstein's description of maildir, and Dovecot's and Courier's use of it: sizes as `,S=` and `,W=` within the unique name, and
//! lower-case letters for keywords after the flags.

use std::cmp::Ordering;

use paquebot_types::Flags;

/// No file system that we serve has longer names.
pub const NAME_BYTES_MAX: usize = 255;
/// Letters that stand for keywords: `a` to `z`.
pub const LETTERS: usize = 26;

const FLAGS: [(u8, Flags); 5] = [
    (b'D', Flags::DRAFT),
    (b'F', Flags::FLAGGED),
    (b'R', Flags::ANSWERED),
    (b'S', Flags::SEEN),
    (b'T', Flags::DELETED),
];

/// A file's name as its unique part and the rest, from the colon on. `None` for what is no message's name: hidden files are other programs'.
pub fn split(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr::memchr(b':', name).unwrap_or(name.len());
    let (unique, info) = name.split_at(colon);
    (!unique.is_empty() && unique[0] != b'.').then_some((unique, info))
}

/// The letters of an info: `FS` of `:2,FS,more`. Other forms than 2 have none.
fn letters(info: &[u8]) -> &[u8] {
    let letters = info.strip_prefix(b":2,").unwrap_or_default();
    letters.split(|octet| *octet == b',').next().unwrap_or_default()
}

pub fn flags(info: &[u8]) -> Flags {
    let known = letters(info).iter().filter_map(|letter| FLAGS.iter().find(|(known, _)| known == letter));
    known.fold(Flags::NONE, |flags, (_, flag)| flags.union(*flag))
}

/// Bit n: the letter `a` + n is set.
pub fn keyword_letters(info: &[u8]) -> u32 {
    letters(info).iter().filter(|letter| letter.is_ascii_lowercase()).fold(0, |set, letter| set | 1 << (letter - b'a'))
}

/// The info with these flags. Of the keywords' letters those in `known` are set as in `keywords`; other letters, and what follows a second comma, stay.
pub fn with(info: &[u8], new: Flags, keywords: u32, known: u32) -> Vec<u8> {
    let is_kept = |letter: &u8| match letter {
        b'a'..=b'z' => known >> (letter - b'a') & 1 == 0,
        _ => !FLAGS.iter().any(|(flag, _)| flag == letter),
    };
    let old = letters(info);
    let mut set: Vec<u8> = old.iter().copied().filter(is_kept).collect();
    set.extend(FLAGS.iter().filter(|(_, flag)| new.contains(*flag)).map(|(letter, _)| *letter));
    set.extend((b'a'..=b'z').filter(|letter| keywords & known & 1 << (letter - b'a') != 0));
    set.sort_unstable();
    set.dedup();
    let rest = info.strip_prefix(b":2,").map_or(&[][..], |all| &all[old.len()..]);
    [b":2,", &set[..], rest].concat()
}

/// What a unique name says of sizes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// `S=`: octets on disk.
    pub disk: Option<u64>,
    /// `W=`: octets as IMAP shows them.
    pub shown: Option<u64>,
}

impl Sizes {
    pub fn of(unique: &[u8]) -> Self {
        let mut sizes = Self::default();
        for part in unique.split(|octet| *octet == b',').skip(1) {
            match part {
                [b'S', b'=', digits @ ..] => sizes.disk = number(digits),
                [b'W', b'=', digits @ ..] => sizes.shown = number(digits),
                _ => {}
            }
        }
        sizes
    }

    /// The octets as IMAP shows them, if what is said can be true of a file of `disk` octets. `S=` was seen to be wrong in deliveries of maildrop.
    pub fn trusted(self, disk: u64) -> Option<u64> {
        let shown = self.shown.filter(|shown| (disk..=disk.saturating_mul(2)).contains(shown));
        shown.filter(|_| self.disk.is_none_or(|said| said == disk))
    }
}

/// All of it as a decimal number.
pub fn number<N: std::str::FromStr>(digits: &[u8]) -> Option<N> {
    let all = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| all)?.parse().ok()
}

/// The order in which messages that nobody has seen get UIDs: by the leading number, then by the microseconds if both names tell them, then by octets.
pub fn order(one: &[u8], other: &[u8]) -> Ordering {
    let (first, second) = (Moment::of(one), Moment::of(other));
    let by_fraction = match (first.micros, second.micros) {
        (Some(first), Some(second)) => first.cmp(&second),
        _ => Ordering::Equal,
    };
    first.seconds.cmp(&second.seconds).then(by_fraction).then_with(|| one.cmp(other))
}

struct Moment {
    seconds: u64,
    /// Of names whose second part is `M<digits>...`.
    micros: Option<u64>,
}

impl Moment {
    fn of(unique: &[u8]) -> Self {
        let (seconds, rest) = leading(unique);
        let micros = rest.strip_prefix(b".M").filter(|rest| rest.first().is_some_and(u8::is_ascii_digit));
        Self { seconds, micros: micros.map(|rest| leading(rest).0) }
    }
}

/// The number at the start, saturated, and what follows it.
fn leading(text: &[u8]) -> (u64, &[u8]) {
    let end = text.iter().position(|octet| !octet.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let value = digits.iter().fold(0u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    (value, rest)
}

/// When a message was delivered, by its name: seconds since 1970.
pub fn seconds(unique: &[u8]) -> u64 {
    leading(unique).0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_are_split_at_the_first_colon() {
        assert_eq!(split(b"1.2.host:2,FS"), Some((&b"1.2.host"[..], &b":2,FS"[..])));
        assert_eq!(split(b"1.2.host"), Some((&b"1.2.host"[..], &b""[..])));
        assert_eq!(split(b".hidden"), None);
        assert_eq!(split(b":2,S"), None);
        assert_eq!(split(b""), None);
    }

    #[test]
    fn flags_are_read_of_the_second_form_only() {
        assert_eq!(flags(b":2,DFPRST"), Flags::ALL);
        assert_eq!(flags(b":1,exp"), Flags::NONE);
        assert_eq!(flags(b":2,S,DT"), Flags::SEEN);
        assert_eq!(keyword_letters(b":2,FScd"), 0b1100);
        assert_eq!(flags(b""), Flags::NONE);
    }

    #[test]
    fn a_new_info_keeps_what_is_not_ours() {
        assert_eq!(with(b"", Flags::SEEN, 0, 0), b":2,S");
        assert_eq!(with(b":1,exp", Flags::NONE, 0, 0), b":2,");
        assert_eq!(with(b":2,PSZa", Flags::FLAGGED.union(Flags::DRAFT), 0b10, 0b10), b":2,DFPZab");
        assert_eq!(with(b":2,Sab,more", Flags::NONE, 0, 0b01), b":2,b,more");
    }

    #[test]
    fn new_messages_are_ordered_by_time() {
        let sorted = [
            &b"9.99_0.vm"[..],
            b"1795549991.10391_0.vm",
            b"1795549991.10409_0.vm",
            b"1795549991.M90056P10413V0_0.vm",
            b"1795549991.M101523P10418V0_0.vm",
            b"1795549992.1.vm",
        ];
        let mut names = sorted;
        names.reverse();
        names.sort_by(|one, other| order(one, other));
        assert_eq!(names, sorted);
    }

    #[test]
    fn sizes_that_cannot_be_true_are_not_trusted() {
        let sizes = Sizes::of(b"1.M2P3.host,S=188,W=198");
        assert_eq!(sizes.trusted(188), Some(198));
        assert_eq!(sizes.trusted(189), None);
        assert_eq!(Sizes::of(b"1.host,S=10,W=21").trusted(10), None);
        assert_eq!(Sizes::of(b"1.host,S=10").trusted(10), None);
        assert_eq!(Sizes::of(b"1.host,S=99999999999999999999999"), Sizes::default());
    }
}
