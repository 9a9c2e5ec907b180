//! Flat databases: `key TAB value LF`, sorted, with NUL, TAB, CR and LF as 0xff and the octet with its highest bit set, and 0xff doubled.

use std::collections::BTreeMap;

use super::Damage;

pub fn read(octets: &[u8]) -> (BTreeMap<Vec<u8>, Vec<u8>>, Option<Damage>) {
    let (mut entries, mut damage) = (BTreeMap::new(), None);
    let mut at = 0;
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        let text = line.strip_suffix(b"\n");
        match text.and_then(|text| text.iter().position(|octet| *octet == b'\t').map(|tab| text.split_at(tab))) {
            Some((key, value)) => {
                entries.insert(plain(key), plain(value.get(1..).unwrap_or_default()));
            }
            None if damage.is_none() => damage = Some((at, "a line is no key with a value")),
            None => {}
        }
        at += line.len() as u64;
    }
    (entries, damage)
}

fn plain(text: &[u8]) -> Vec<u8> {
    let mut octets = text.iter();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(octet) = octets.next() {
        match octet {
            0xff => match octets.next() {
                Some(0xff) | None => plain.push(0xff),
                Some(hidden) => plain.push(hidden & 0x7f),
            },
            octet => plain.push(*octet),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_entries() {
        let (entries, damage) = read(b"\x1fVER\x1f\t2\na\xff\x89b\t\xff\xffv\xff\x8a\nNINBOX\t\nlost");
        assert_eq!(damage, Some((27, "a line is no key with a value")));
        let told: Vec<(&[u8], &[u8])> = entries.iter().map(|(key, value)| (&key[..], &value[..])).collect();
        assert_eq!(told, [(&b"\x1fVER\x1f"[..], &b"2"[..]), (b"NINBOX", b""), (b"a\tb", b"\xffv\n")]);
    }
}
