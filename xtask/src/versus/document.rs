//! `docs/benchmarks.md`: what was measured goes between two marks; the rest of the page is for people to write.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::versus::check::{Seen, differences};
use crate::versus::flushes;
use crate::versus::results::Results;
use crate::versus::rows::{BODIES, IDLE, IDLE_TLS, LARGE, LOADS, Row, STARTS};
use crate::versus::{plot, table};

const BEGIN: &str = "<!-- measured by `cargo xtask versus`: begin -->";
const END: &str = "<!-- measured by `cargo xtask versus`: end -->";

/// All that a run found out.
#[derive(Debug)]
pub struct Findings {
    pub names: Vec<&'static str>,
    pub versions: Vec<String>,
    pub promises: Vec<&'static str>,
    /// Of each server, flushes for each operation of each work.
    pub flushes: Vec<Vec<Option<f64>>>,
    pub seen: Vec<Option<Seen>>,
    pub results: Results,
    /// Bytes a second through a loopback socket, one thread at each end.
    pub loopback: f64,
    /// Messages in the large mailbox.
    pub large: u32,
    /// The machine, the time, the options.
    pub circumstances: String,
}

impl Findings {
    /// Writes the page's measured part and the pictures beside it.
    pub fn write(&self, page: &Path) -> Result<()> {
        let old = fs::read_to_string(page).with_context(|| format!("cannot read {}", page.display()))?;
        let new = replaced(&old, &self.markdown())?;
        let pictures = page.with_extension("");
        fs::create_dir_all(&pictures)?;
        for (name, svg) in self.pictures() {
            fs::write(pictures.join(name), svg)?;
        }
        fs::write(page, new).with_context(|| format!("cannot write {}", page.display()))
    }

    fn pictures(&self) -> [(&'static str, String); 3] {
        let loads: Vec<&'static Row> = LOADS.iter().map(|load| &load.row).chain([&IDLE, &IDLE_TLS]).collect();
        let large: Vec<&'static Row> = LARGE.iter().chain(BODIES).chain(STARTS).collect();
        let servers = |title, rows: &[&'static Row]| plot::servers(&self.results, &self.names, title, rows);
        [
            ("ratios.svg", plot::ratios(&self.results, &self.names)),
            ("loads.svg", servers("Many connections", &loads)),
            ("large.svg", servers("One large mailbox", &large)),
        ]
    }

    /// The measured part.
    pub fn markdown(&self) -> String {
        let mut text = format!("{}\n\n", self.circumstances);
        let _ = writeln!(text, "![Ratios](benchmarks/ratios.svg)\n\n{}", table::summary(&self.results, &self.names));
        let _ = writeln!(
            text,
            "One thread pushes {:.2} GB/s through a loopback socket to another here: the bound of all that is sent. \
             The large mailbox has {} messages.\n",
            self.loopback / 1e9,
            self.large
        );
        self.promises(&mut text);
        self.second_client(&mut text);
        let _ = writeln!(text, "## Every line\n\n![Loads](benchmarks/loads.svg)\n\n![Large](benchmarks/large.svg)");
        text.push_str(&table::details(&self.results, &self.names));
        text
    }

    fn promises(&self, text: &mut String) {
        text.push_str("## What each promises\n\nFlushes (fsync, fdatasync and their like) for each operation, counted by strace in a run of their own.\n\n| | version | promise |");
        for work in flushes::WORKS {
            let _ = write!(text, " {} |", work.row.title);
        }
        let _ = writeln!(text, "\n|---|---|---|{}", "---|".repeat(flushes::WORKS.len()));
        for (server, name) in self.names.iter().enumerate() {
            let _ = write!(text, "| {name} | {} | {} |", self.versions[server], self.promises[server]);
            for count in &self.flushes[server] {
                let _ = match count {
                    Some(count) => write!(text, " {count:.2} |"),
                    None => write!(text, " |"),
                };
            }
            text.push('\n');
        }
    }

    fn second_client(&self, text: &mut String) {
        let Some(first) = self.seen.iter().flatten().next() else { return };
        text.push_str(
            "\n## A second client\n\nPython's imaplib and smtplib ask every server the same (UIDs, bodies, sizes, ENVELOPE, SEARCH, SORT, THREAD, flags, \
             a delivery) and send 1,000 STOREs. The CPU time that those cost the server must be what they cost it when `paquebot bench` sends them.\n\n\
             | | answers | CPU of a STORE, second client | the same, `paquebot bench` |\n|---|---|---|---|\n",
        );
        for (server, seen) in self.seen.iter().enumerate() {
            let Some(seen) = seen else { continue };
            let differing = differences(first, seen);
            let answers =
                if differing.is_empty() { "the same".into() } else { format!("differ: {}", differing.join(", ")) };
            let ours = self.results.spread("store-single", server, |sample| sample.cpu_us);
            let ours = ours.map_or(String::new(), |spread| format!("{:.0} µs", spread.median));
            let _ = writeln!(text, "| {} | {answers} | {:.0} µs | {ours} |", self.names[server], seen.store_cpu_us);
        }
        text.push('\n');
    }
}

/// The page with another measured part.
fn replaced(page: &str, measured: &str) -> Result<String> {
    let marks = page.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = marks.with_context(|| format!("the page has no lines {BEGIN} and {END}"))?;
    Ok(format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", measured.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_measured_part_of_the_page_changes() {
        let page = format!("# Title\n\n{BEGIN}\nold\n{END}\n\nWhat we did.\n");
        let new = replaced(&page, "new\n").unwrap();
        assert_eq!(new, format!("# Title\n\n{BEGIN}\n\nnew\n\n{END}\n\nWhat we did.\n"));
        assert_eq!(replaced(&new, "new").unwrap(), new);
        assert!(replaced("nothing", "new").is_err());
    }
}
