//! `dovecot-keywords`: which letter in a file's name stands for which keyword.

use paquebot_types::Keyword;

use super::layout::{LETTERS, number};

/// Index n: what the letter `a` + n stands for.
pub type Letters = [Option<Keyword>; LETTERS];

/// Lines `<n> <keyword>`; others are passed over.
pub fn parse(text: &[u8]) -> Letters {
    let mut letters = Letters::default();
    for line in text.split(|octet| *octet == b'\n') {
        let Some((digits, name)) = split_once(line) else { continue };
        let at = number::<usize>(digits).and_then(|at| letters.get_mut(at));
        let keyword = std::str::from_utf8(name.trim_ascii()).ok().and_then(|name| Keyword::new(name).ok());
        if let (Some(letter), Some(keyword)) = (at, keyword) {
            *letter = Some(keyword);
        }
    }
    letters
}

/// The file with keywords added at the lowest free numbers; `None` if there is no room. Lines that say nothing to us stay, and their numbers are taken.
pub fn with(text: &[u8], new: &[Keyword]) -> Option<Vec<u8>> {
    let lines = text.split(|octet| *octet == b'\n').filter_map(split_once);
    let taken: Vec<usize> = lines.filter_map(|(digits, _)| number(digits)).collect();
    let mut free = (0..LETTERS).filter(|at| !taken.contains(at));
    let mut out = text.to_vec();
    if !out.is_empty() && !out.ends_with(b"\n") {
        out.push(b'\n');
    }
    for keyword in new {
        out.extend_from_slice(format!("{} {keyword}\n", free.next()?).as_bytes());
    }
    Some(out)
}

fn split_once(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let blank = memchr::memchr(b' ', line)?;
    Some((&line[..blank], &line[blank + 1..]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn new_keywords_take_the_lowest_free_letters() {
        let old = b"0 Work\n2 $Junk\nx\n3 \xff\n";
        let letters = parse(old);
        assert_eq!(letters[0], Keyword::new("Work").ok());
        assert_eq!((&letters[1], &letters[3]), (&None, &None));
        let new = [Keyword::new("a").unwrap(), Keyword::new("b").unwrap()];
        let text = with(old, &new).unwrap();
        assert_eq!(text, b"0 Work\n2 $Junk\nx\n3 \xff\n1 a\n4 b\n");
        let many: Vec<Keyword> = (0..27).map(|n| Keyword::new(&format!("k{n}")).unwrap()).collect();
        assert_eq!(with(b"", &many), None);
        assert_eq!(parse(&with(b"", &many[..26]).unwrap())[25].as_ref(), Some(&many[25]));
    }
}
