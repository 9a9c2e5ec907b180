//! What `cargo xtask versus` is told.

use anyhow::{Context, Result, bail};

pub const USAGE: &str = "\
cargo xtask versus [options]      (as root, on Debian)

  --quick            about five minutes: short runs, 10,000 messages in the large mailbox instead of 100,000
  --rounds N         measurements of each line at each server (3, and 5 without --quick)
  --seconds N        length of one measurement of a load (1, and 5 without --quick)
  --large N          messages in the large mailbox
  --idle N           connections in IDLE (500, and 1,000 without --quick)
  --ram              stores on the RAM disk /dev/shm instead of under target/: only CPU counts
  --servers A,B      only these: paquebot, dovecot-sdbox, dovecot-mdbox, dovecot-maildir, cyrus, courier
  --lines A,B        only these groups: flushes, check, loads, idle, large, bodies, starts; or loads by name: deliver, ...
  --page FILE        the page whose measured part is written (docs/benchmarks.md)";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub quick: bool,
    pub rounds: u32,
    pub seconds: u32,
    pub large: u32,
    pub idle: u32,
    pub ram: bool,
    pub servers: Option<Vec<String>>,
    pub lines: Option<Vec<String>>,
    pub page: Option<String>,
}

impl Options {
    pub fn parse(arguments: &[String]) -> Result<Self> {
        let quick = arguments.iter().any(|argument| argument == "--quick");
        let (rounds, seconds, large, idle) = if quick { (3, 1, 10_000, 500) } else { (5, 5, 100_000, 1000) };
        let mut options =
            Self { quick, rounds, seconds, large, idle, ram: false, servers: None, lines: None, page: None };
        let mut arguments = arguments.iter();
        while let Some(name) = arguments.next() {
            let mut value = || arguments.next().with_context(|| format!("{name} has no value\n\n{USAGE}"));
            match name.as_str() {
                "--quick" => {}
                "--ram" => options.ram = true,
                "--rounds" => options.rounds = number(value()?)?,
                "--seconds" => options.seconds = number(value()?)?,
                "--large" => options.large = number(value()?)?,
                "--idle" => options.idle = number(value()?)?,
                "--servers" => options.servers = Some(list(value()?)),
                "--lines" => options.lines = Some(list(value()?)),
                "--page" => options.page = Some(value()?.clone()),
                other => bail!("there is no {other:?}\n\n{USAGE}"),
            }
        }
        Ok(options)
    }

    /// Whether a group of lines is measured, or a line of it.
    pub fn wants(&self, group: &str, line: &str) -> bool {
        self.lines.as_ref().is_none_or(|wanted| wanted.iter().any(|name| name == group || name == line))
    }
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::to_owned).collect()
}

fn number(text: &str) -> Result<u32> {
    match text.parse() {
        Ok(number @ 1..) => Ok(number),
        _ => bail!("{text:?} is no number from 1 up\n\n{USAGE}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options> {
        Options::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn quick_changes_what_is_not_said() {
        let options = parse("--rounds 2 --quick").unwrap();
        assert_eq!((options.rounds, options.seconds, options.large), (2, 1, 10_000));
        assert_eq!(parse("").unwrap().large, 100_000);
        for bad in ["--rounds 0", "--rounds", "--fast", "--idle x"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lines_are_wanted_by_name_or_group() {
        assert!(parse("").unwrap().wants("loads", "deliver"));
        let options = parse("--lines deliver,large").unwrap();
        assert!(options.wants("loads", "deliver") && options.wants("large", "sort"));
        assert!(!options.wants("loads", "append"));
    }
}
