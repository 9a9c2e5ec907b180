//! UIDVALIDITY of a list of UIDs that begins.

use std::path::Path;

use paquebot_types::UidValidity;

use super::files::Files;
use super::uids::Server;
use super::{failed, is_absent, read_if_there, unique};
use crate::clock;
use crate::error::FormatError;

/// Dovecot's counter: this file has the last value in eight hexadecimal digits, and an empty one beside it, whose name ends in it, is renamed to the
/// next: whoever can do that has the value.
const COUNTER: &str = "dovecot-uidvalidity";
/// Others may be counting too.
const ATTEMPTS: usize = 100;

/// A value that no mailbox of the tree has had.
pub fn next(top: &Path, files: Files, server: Server) -> Result<UidValidity, FormatError> {
    let now = clock::seconds_32();
    match server {
        // Seconds since 2001.
        Server::Courier => Ok(UidValidity::new(now.saturating_sub(1_000_000_000)).unwrap_or(UidValidity::MIN)),
        Server::Dovecot => count(top, files, now),
    }
}

/// Sees to it that Dovecot gives no mailbox a value that has been used.
pub fn used(top: &Path, files: Files, value: UidValidity) -> Result<(), FormatError> {
    match last(top)? {
        Some(last) if last < value.get() => {
            let marker = |value: u32| top.join(format!("{COUNTER}.{value:08x}"));
            match std::fs::rename(marker(last), marker(value.get())) {
                // Somebody counts at this moment: his values are later than what was there.
                Err(error) if is_absent(&error) => Ok(()),
                Err(source) => Err(failed("rename", &marker(last), source)),
                Ok(()) => write(top, files, value.get()),
            }
        }
        _ => Ok(()),
    }
}

fn count(top: &Path, files: Files, now: u32) -> Result<UidValidity, FormatError> {
    let marker = |value: u32| top.join(format!("{COUNTER}.{value:08x}"));
    for _ in 0..ATTEMPTS {
        let Some(last) = last(top)? else {
            let made = files.create_new(&marker(now));
            match made {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => continue,
                made => made.map_err(|source| failed("make", &marker(now), source))?,
            };
            write(top, files, now)?;
            return Ok(UidValidity::new(now).unwrap_or(UidValidity::MIN));
        };
        // Past the largest it begins anew.
        let next = last.checked_add(1).unwrap_or(1);
        match std::fs::rename(marker(last), marker(next)) {
            Err(error) if is_absent(&error) => {}
            Err(source) => return Err(failed("rename", &marker(last), source)),
            Ok(()) => {
                write(top, files, next)?;
                return Ok(UidValidity::new(next).unwrap_or(UidValidity::MIN));
            }
        }
    }
    Err(FormatError::InUse { path: top.join(COUNTER), by: "others count UIDVALIDITY all the time".into() })
}

/// The value that was given last: the highest that a file says. `None`: none was.
fn last(top: &Path) -> Result<Option<u32>, FormatError> {
    let entries = std::fs::read_dir(top).map_err(|source| failed("list", top, source))?;
    let markers = entries.filter_map(|entry| {
        let name = entry.ok()?.file_name().into_string().ok()?;
        let digits = name.strip_prefix(COUNTER)?.strip_prefix('.')?;
        u32::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 8)
    });
    markers.max().map_or_else(|| read(top), |last| Ok(Some(last)))
}

/// The value in the file, with its marker made again.
fn read(top: &Path) -> Result<Option<u32>, FormatError> {
    let text = read_if_there(&top.join(COUNTER))?.unwrap_or_default();
    let value = std::str::from_utf8(&text).ok().and_then(|text| u32::from_str_radix(text.trim(), 16).ok());
    if let Some(value) = value {
        let path = top.join(format!("{COUNTER}.{value:08x}"));
        std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|source| failed("make", &path, source))?;
    }
    Ok(value)
}

fn write(top: &Path, files: Files, value: u32) -> Result<(), FormatError> {
    let temporary = top.join(format!(".temp.{}", unique::name()));
    files.replace(&top.join(COUNTER), &temporary, format!("{value:08x}").as_bytes()).map(|_| ())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::driver::Root;

    #[test]
    fn no_value_is_given_twice() {
        let directory = tempfile::tempdir().unwrap();
        let top = directory.path();
        let files = Files::of(&Root { directory: top.into(), ..Root::default() });
        std::fs::write(top.join(COUNTER), "6b05eb42").unwrap();
        std::fs::write(top.join("dovecot-uidvalidity.6b05eb42"), "").unwrap();
        assert_eq!(next(top, files, Server::Dovecot).unwrap().get(), 0x6b05_eb43);
        assert!(top.join("dovecot-uidvalidity.6b05eb43").exists());
        used(top, files, UidValidity::new(0x6b05_eb50).unwrap()).unwrap();
        used(top, files, UidValidity::new(7).unwrap()).unwrap();
        assert_eq!(next(top, files, Server::Dovecot).unwrap().get(), 0x6b05_eb51);
        std::fs::remove_file(top.join("dovecot-uidvalidity.6b05eb51")).unwrap();
        assert_eq!(next(top, files, Server::Dovecot).unwrap().get(), 0x6b05_eb52);
        assert_eq!(std::fs::read(top.join(COUNTER)).unwrap(), b"6b05eb52");
    }
}
