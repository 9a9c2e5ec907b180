//! What each server flushes before it says OK, counted: the promise that its speed is bought with.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::versus::drive::Driver;
use crate::versus::rows::{By, Load, Row};
use crate::versus::server::{Server, Watch};

/// One connection, so that nobody shares a flush with another; and many, who may.
pub static WORKS: &[Load] = &[
    work("LMTP delivery, 1 connection", "deliver --connections 1 --size 6000", 1, 0),
    work("LMTP delivery, 16 connections", "deliver --connections 16 --size 6000", 16, 0),
    work("APPEND, 1 connection", "append --connections 1 --size 6000", 1, 0),
    work("STORE, 1 connection", "store --connections 1", 1, 100),
];

const fn work(title: &'static str, arguments: &'static str, users: u32, messages: u32) -> Load {
    Load { row: Row { key: title, title, by: By::Rate, goal: 0.0 }, arguments, users, messages: (messages, messages) }
}

/// Flushes for each operation of each work; none where the server doesn't do it.
///
/// The server is started for this alone: whoever is watched like this is slow.
pub fn count(server: &mut Server, driver: &Driver) -> Result<Vec<Option<f64>>> {
    let file = driver.folder.join(format!("flushes-{}", server.kind.short));
    server.start(Watch::Flushes(&file))?;
    let mut found = Vec::new();
    for work in WORKS {
        if work.arguments.starts_with("deliver") && !server.kind.lmtp {
            found.push(None);
            continue;
        }
        // The first time makes mailboxes.
        let brief = Driver { seconds: 1, ..driver.clone() };
        brief.load(server, work)?;
        let before = lines(&file)?;
        let sample = brief.load(server, work)?;
        let operations = sample.rate * f64::from(brief.seconds);
        found.push(Some((lines(&file)? - before) as f64 / operations.max(1.0)));
    }
    server.stop()?;
    Ok(found)
}

/// A call is a line, or two if another process's came between; the second is not counted.
fn lines(file: &Path) -> Result<usize> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(flushes(&text))
}

fn flushes(text: &str) -> usize {
    text.lines().filter(|line| line.contains('(') && !line.contains("resumed>")).count()
}

#[cfg(test)]
mod tests {
    use super::flushes;

    #[test]
    fn a_call_that_was_interrupted_counts_once() {
        let text = "12 fdatasync(9) = 0\n13 fsync(4 <unfinished ...>\n12 fdatasync(9) = 0\n13 <... fsync resumed>) = 0\n\
                    14 +++ exited with 0 +++\n";
        assert_eq!(flushes(text), 3);
    }
}
