//! `maildirsize`: how much a Maildir++ holds, in its top directory. Kept right where it is, never made.
//!
//! The first line says the limits; each other one octets and messages, which are added up. Whoever changes something appends a line.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::files::Files;
use super::unique;
use super::{failed, if_there};
use crate::error::FormatError;

/// Beyond this it is added up, as Courier and Dovecot do.
const BYTES_MAX: u64 = 5120;

#[derive(Debug)]
pub struct Quota {
    path: PathBuf,
    files: Files,
}

impl Quota {
    /// Of the maildir at the top.
    pub fn new(top: &Path, files: Files) -> Self {
        Self { path: top.join("maildirsize"), files }
    }

    /// Enters that there are so many octets and messages more, or less.
    pub fn change(&self, bytes: i64, messages: i64) -> Result<(), FormatError> {
        if (bytes, messages) == (0, 0) {
            return Ok(());
        }
        let change = || {
            let Some(mut file) = if_there(OpenOptions::new().append(true).open(&self.path))? else { return Ok(0) };
            // 14 octets with the line end, as Courier has it, in one write: others append too.
            file.write_all(format!("{:>13}\n", format!("{bytes} {messages}")).as_bytes())?;
            Ok(file.metadata()?.len())
        };
        let size = change().map_err(|source| failed("write", &self.path, source))?;
        if size > BYTES_MAX { self.add_up() } else { Ok(()) }
    }

    fn add_up(&self) -> Result<(), FormatError> {
        let text = std::fs::read_to_string(&self.path).map_err(|source| failed("read", &self.path, source))?;
        let mut lines = text.lines();
        let limits = lines.next().unwrap_or_default();
        let (mut bytes, mut messages) = (0i64, 0i64);
        for line in lines {
            let mut numbers = line.split_ascii_whitespace().map(|number| number.parse::<i64>().unwrap_or(0));
            bytes = bytes.saturating_add(numbers.next().unwrap_or(0));
            messages = messages.saturating_add(numbers.next().unwrap_or(0));
        }
        let sum = format!("{limits}\n{:>13}\n", format!("{bytes} {messages}"));
        let temporary = self.path.with_file_name(format!("tmp/{}", unique::name()));
        self.files.replace(&self.path, &temporary, sum.as_bytes()).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::driver::Root;

    #[test]
    fn the_sum_stays_right_when_it_is_added_up() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("tmp")).unwrap();
        let root = Root { directory: directory.path().into(), ..Root::default() };
        let quota = Quota::new(directory.path(), Files::of(&root));
        quota.change(5, 1).unwrap();
        let path = directory.path().join("maildirsize");
        assert!(!path.exists(), "it is never made");
        std::fs::write(&path, "1000000S,100C\n         1000 2\n").unwrap();
        for _ in 0..400 {
            quota.change(10, 1).unwrap();
            quota.change(-3, 0).unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.len() as u64 <= BYTES_MAX && text.starts_with("1000000S,100C\n"));
        quota.add_up().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1000000S,100C\n     3800 402\n");
    }
}
