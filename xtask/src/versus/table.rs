//! The results as Markdown.

use std::fmt::Write as _;

use crate::versus::results::{Results, Sample, Spread, Standing};
use crate::versus::rows::{By, Row, all};

/// From this share of a processor on the load generator may be what is slow.
const DRIVER_BUSY: f64 = 0.85;

/// One line a row: Paquebot, the fastest peer, the ratio, the goal.
pub fn summary(results: &Results, names: &[&str]) -> String {
    let mut text = String::from(
        "| work | compared | Paquebot | fastest peer | ratio: median (min to max) | goal | |\n|---|---|---|---|---|---|---|\n",
    );
    for row in all() {
        let Some(ours) = results.spread(row.key, 0, |sample| sample.figure(row.by)) else { continue };
        let ours = figure(row.by, ours.median);
        let (title, by, goal) = (row.title, what(row.by), row.goal);
        let _ = match results.standing(row, names.len()) {
            None => writeln!(text, "| {title} | {by} | {ours} | no peer does it | | {goal} | |"),
            Some(standing) => {
                let Standing { peer, ratio } = standing;
                let theirs = results.spread(row.key, peer, |sample| sample.figure(row.by));
                let theirs = theirs.map_or(String::new(), |spread| figure(row.by, spread.median));
                let [min, median, max] = [ratio.min, ratio.median, ratio.max].map(times);
                let verdict = verdict(row, standing, names);
                writeln!(
                    text,
                    "| {title} | {by} | {ours} | {}: {theirs} | {median} ({min} to {max}) | {goal} | {verdict} |",
                    names[peer]
                )
            }
        };
    }
    text
}

/// Whether the goal is met, or a peer is better than Paquebot.
fn verdict(row: &Row, Standing { peer, ratio }: Standing, names: &[&str]) -> String {
    if ratio.median >= row.goal {
        "met".into()
    } else if ratio.median < 1.0 {
        format!("**{} wins**", names[peer])
    } else {
        "missed".into()
    }
}

/// A table for each line: every server.
pub fn details(results: &Results, names: &[&str]) -> String {
    let mut text = String::new();
    for row in all() {
        let lines: Vec<String> =
            names.iter().enumerate().filter_map(|(server, name)| detail(results, row, server, name)).collect();
        if !lines.is_empty() {
            let _ = writeln!(
                text,
                "\n### {}\n\n| | {}: min, median, max | per second | CPU each | written each | memory |\n|---|---|---|---|---|---|",
                row.title,
                what(row.by)
            );
            text.push_str(&lines.concat());
        }
    }
    text
}

fn detail(results: &Results, row: &'static Row, server: usize, name: &str) -> Option<String> {
    let Spread { min, median, max } = results.spread(row.key, server, |sample| sample.figure(row.by))?;
    let [min, median, max] = [min, median, max].map(|value| figure(row.by, value));
    let middle = |get: fn(&Sample) -> Option<f64>, show: fn(f64) -> String| {
        results.spread(row.key, server, get).map_or("".into(), |spread| show(spread.median))
    };
    let rate = middle(|sample| (sample.rate > 0.0).then_some(sample.rate), count);
    let cpu = middle(|sample| sample.cpu_us, microseconds);
    let written = middle(|sample| sample.written, bytes);
    let memory = middle(|sample| sample.memory, bytes);
    let driver = results.spread(row.key, server, |sample| Some(sample.driver)).map_or(0.0, |spread| spread.median);
    let errors: u64 = results.samples(row.key, server).map(|sample| sample.errors).sum();
    let mut remarks = String::new();
    if driver > DRIVER_BUSY && matches!(row.by, By::Rate | By::Bytes) {
        remarks.push_str(" (the load generator was the limit)");
    }
    if errors > 0 {
        let _ = write!(remarks, " ({errors} refusals)");
    }
    Some(format!("| {name}{remarks} | {min}, **{median}**, {max} | {rate} | {cpu} | {written} | {memory} |\n"))
}

fn what(by: By) -> &'static str {
    match by {
        By::Rate => "operations a second",
        By::Time => "time",
        By::Cpu => "server CPU",
        By::Bytes => "bytes a second",
        By::Memory => "memory",
    }
}

/// A figure with its unit.
pub fn figure(by: By, value: f64) -> String {
    match by {
        By::Rate => count(value),
        By::Time | By::Cpu => microseconds(value),
        By::Bytes => format!("{}/s", bytes(value)),
        By::Memory => bytes(value),
    }
}

/// Three digits that count.
fn digits(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn times(ratio: f64) -> String {
    format!("{}×", digits(ratio))
}

fn count(value: f64) -> String {
    let text = digits(value);
    // Thousands are set apart.
    match text.split_once('.') {
        Some(_) => text,
        None => {
            let chunks: Vec<&str> = text
                .as_bytes()
                .rchunks(3)
                .rev()
                .map(|chunk| std::str::from_utf8(chunk).expect("digits are ASCII"))
                .collect();
            chunks.join(",")
        }
    }
}

fn microseconds(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{} s", digits(v / 1e6)),
        v if v >= 1e3 => format!("{} ms", digits(v / 1e3)),
        v => format!("{} µs", digits(v)),
    }
}

fn bytes(value: f64) -> String {
    match value.abs() {
        v if v >= 1e9 => format!("{} GB", digits(value / 1e9)),
        v if v >= 1e6 => format!("{} MB", digits(value / 1e6)),
        v if v >= 1e3 => format!("{} KB", digits(value / 1e3)),
        _ => format!("{value:.0} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::versus::rows::LOADS;

    #[test]
    fn figures_have_units_and_three_digits() {
        assert_eq!(figure(By::Rate, 12_345.6), "12,346");
        assert_eq!(figure(By::Rate, 1_234_567.0), "1,234,567");
        assert_eq!(figure(By::Rate, 9.876), "9.88");
        assert_eq!(figure(By::Cpu, 850.2), "850 µs");
        assert_eq!(figure(By::Time, 1_850.0), "1.85 ms");
        assert_eq!(figure(By::Time, 12_800_000.0), "12.8 s");
        assert_eq!(figure(By::Bytes, 597e6), "597 MB/s");
        assert_eq!(figure(By::Memory, 512.0), "512 B");
    }

    fn two(ours: f64, theirs: f64) -> (Results, &'static Row) {
        let row = &LOADS[0].row;
        let mut results = Results::default();
        for (server, rate) in [(0, ours), (1, theirs)] {
            results.add(row.key, server, 0, Sample { rate, errors: server as u64, ..Sample::default() });
        }
        (results, row)
    }

    #[test]
    fn the_summary_says_who_wins() {
        let names = ["Paquebot", "Peer"];
        for (ours, theirs, verdict) in [(80.0, 10.0, "met"), (20.0, 10.0, "missed"), (10.0, 20.0, "**Peer wins**")] {
            let (results, row) = two(ours, theirs);
            let text = summary(&results, &names);
            let line = text.lines().find(|line| line.contains(row.title)).unwrap();
            assert!(line.ends_with(&format!("| 8 | {verdict} |")), "{line}");
        }
    }

    #[test]
    fn details_tell_of_refusals_and_leave_out_what_was_not_measured() {
        let (results, row) = two(80.0, 10.0);
        let text = details(&results, &["Paquebot", "Peer", "Other"]);
        assert!(text.contains(row.title) && text.contains("Peer (1 refusals)") && !text.contains("Other"));
        assert_eq!(text.matches("###").count(), 1);
    }
}
