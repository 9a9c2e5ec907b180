//! Notes at mailboxes and messages.
//!
//! ```text
//! key   = (unique-id / internal-name / UID) NUL entry NUL user NUL                     ; no user: everybody's
//! value = length(4) [NUL*4] value NUL content-type NUL long [modseq(8) flags(1)]       ; long of 8 octets where there are 4 NULs, else of 4
//! ```

use std::ops::ControlFlow;
use std::path::Path;

use super::database::Database;
use super::octets::u32_at;
use super::report;
use crate::error::FormatError;
use crate::mailbox::Annotation;

/// Whose notes the owner's are, whatever the owner's name.
const OWNER: &str = "[.OwNeR.]";
/// The note is gone, and kept for replication.
const GONE: u8 = 1;

/// Who looks at notes.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    pub user: &'a str,
    pub is_owner: bool,
}

/// The notes at what a key begins with, in the database of this name: everybody's and the reader's own.
pub fn read(path: &Path, subject: &str, reader: Reader<'_>) -> Result<Vec<Annotation>, FormatError> {
    let Some(database) = open(path)? else { return Ok(Vec::new()) };
    Ok(read_from(&database, path, subject, reader))
}

/// The database of notes; a damaged one is as none.
pub fn open(path: &Path) -> Result<Option<Database>, FormatError> {
    match Database::open(path) {
        Err(FormatError::Damaged { offset, .. }) => {
            report::damage(path, offset, "notes cannot be read");
            Ok(None)
        }
        opened => opened,
    }
}

pub fn read_from(database: &Database, path: &Path, subject: &str, reader: Reader<'_>) -> Vec<Annotation> {
    let mut found = Vec::new();
    // What has no subject is noted at the server.
    if subject.is_empty() {
        return found;
    }
    database.scan(format!("{subject}\0").as_bytes(), &mut |key, value| {
        let mut parts =
            key.split(|octet| *octet == 0).skip(1).map(|part| std::str::from_utf8(part).unwrap_or_default());
        let (entry, user) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let shared = user.is_empty();
        if shared || user == reader.user || (user == OWNER && reader.is_owner) {
            match parse(value) {
                Some(Some(value)) => found.push(Annotation { entry: entry.to_owned(), shared, value }),
                Some(None) => {}
                None => report::damage(path, 0, "the value of a note is none"),
            }
        }
        ControlFlow::Continue(())
    });
    found
}

/// A note's value, or `None` within if it is gone; `None` if these octets are no note.
fn parse(octets: &[u8]) -> Option<Option<Vec<u8>>> {
    let length = u32_at(octets, 0)? as usize;
    [8, 4].into_iter().find_map(|long| {
        let padding = octets.get(4..long)?;
        let end = long.checked_add(length)?;
        let (value, rest) = (octets.get(long..end)?, octets.get(end..)?.strip_prefix(b"\0")?);
        let rest = rest.get(rest.iter().position(|octet| *octet == 0)? + 1..)?;
        let gone = match rest.len().checked_sub(long)? {
            0 => false,
            9 => rest.last().is_some_and(|flags| flags & GONE != 0),
            _ => return None,
        };
        padding.iter().all(|octet| *octet == 0).then(|| (!gone).then(|| value.to_vec()))
    })
}

/// The key and value of a note, of everybody's or of the owner's.
pub fn write(subject: &str, note: &Annotation) -> (Vec<u8>, Vec<u8>) {
    let user = if note.shared { "" } else { OWNER };
    let mut value = u32::try_from(note.value.len()).unwrap_or(u32::MAX).to_be_bytes().to_vec();
    value.extend([0; 4]);
    value.extend(&note.value);
    value.extend(b"\0text/plain\0");
    // No date, no mod-sequence, no flags.
    value.extend([0; 8 + 8 + 1]);
    (format!("{subject}\0{}\0{user}\0", note.entry).into_bytes(), value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_of_either_width() {
        let wide = b"\0\0\0\x05\0\0\0\0\\Sent\0text/plain\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x23\0";
        assert_eq!(parse(wide), Some(Some(b"\\Sent".to_vec())));
        let note = Annotation { entry: "/specialuse".into(), shared: false, value: b"\\Sent".to_vec() };
        let (key, value) = write("abc", &note);
        assert_eq!((&key[..], parse(&value)), (&b"abc\0/specialuse\0[.OwNeR.]\0"[..], Some(Some(note.value))));
        let narrow = b"\0\0\0\x05\\Sent\0text/plain\0\0\0\0\0";
        assert_eq!(parse(narrow), Some(Some(b"\\Sent".to_vec())));
        let gone = b"\0\0\0\0\0\0\0\0\0text/plain\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x23\x01";
        assert_eq!(parse(gone), Some(None));
        // Before 3.0 it ended without a mod-sequence and flags.
        let old = wide.len() - 9;
        for cut in 0..wide.len() {
            let whole = (cut == old).then(|| Some(b"\\Sent".to_vec()));
            assert_eq!(parse(&wide[..cut]), whole, "{cut}");
        }
    }
}
