//! What was measured, and what it comes to: medians, and ratios within a round.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::versus::rows::{By, Row};

/// One measurement of one line at one server.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sample {
    /// Operations a second: for a single connection, those that it would do one after the other.
    pub rate: f64,
    /// The server's CPU time for each, in microseconds.
    pub cpu_us: Option<f64>,
    /// Bytes that the server wrote for each.
    pub written: Option<f64>,
    pub bytes_a_second: Option<f64>,
    /// The server's memory afterwards; where connections idle, one connection's.
    pub memory: Option<f64>,
    /// How much of the time the load generator itself was busy, from 0 to 1 and more.
    pub driver: f64,
    pub errors: u64,
}

impl Sample {
    /// The figure that a line compares.
    pub fn figure(&self, by: By) -> Option<f64> {
        match by {
            By::Rate => Some(self.rate),
            By::Time => (self.rate > 0.0).then(|| 1e6 / self.rate),
            By::Cpu => self.cpu_us,
            By::Bytes => self.bytes_a_second,
            By::Memory => self.memory,
        }
    }
}

/// The smallest, the middle and the largest of some figures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    pub min: f64,
    pub median: f64,
    pub max: f64,
}

impl Spread {
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<f64> = figures.into_iter().filter(|figure| figure.is_finite()).collect();
        figures.sort_by(f64::total_cmp);
        let (min, max) = (*figures.first()?, *figures.last()?);
        let middle = figures.len() / 2;
        let median = match figures.len() % 2 {
            1 => figures[middle],
            _ => (figures[middle - 1] + figures[middle]) / 2.0,
        };
        Some(Self { min, median, max })
    }
}

/// All samples: of each line, of each server, one for each round that it took part in.
#[derive(Debug, Default)]
pub struct Results {
    samples: BTreeMap<(&'static str, usize), BTreeMap<u32, Sample>>,
}

/// How Paquebot, the server with number 0, stands against the fastest peer of a line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    /// The peer whose median is best.
    pub peer: usize,
    /// How many times better Paquebot was, round by round.
    pub ratio: Spread,
}

impl Results {
    pub fn add(&mut self, row: &'static str, server: usize, round: u32, sample: Sample) {
        self.samples.entry((row, server)).or_default().insert(round, sample);
    }

    pub fn samples(&self, row: &'static str, server: usize) -> impl Iterator<Item = &Sample> {
        self.samples.get(&(row, server)).into_iter().flat_map(BTreeMap::values)
    }

    /// A figure of a line, over all rounds.
    pub fn spread(&self, row: &'static str, server: usize, figure: impl Fn(&Sample) -> Option<f64>) -> Option<Spread> {
        Spread::of(self.samples(row, server).filter_map(figure))
    }

    /// The fastest of the peers with numbers 1 to `servers`, and the ratio to it; none if no peer or not Paquebot was measured.
    pub fn standing(&self, row: &Row, servers: usize) -> Option<Standing> {
        let figure = |sample: &Sample| sample.figure(row.by);
        let medians = (1..servers).filter_map(|peer| Some((peer, self.spread(row.key, peer, figure)?.median)));
        let (peer, _) = match row.by {
            By::Rate | By::Bytes => medians.max_by(|a, b| a.1.total_cmp(&b.1)),
            By::Time | By::Cpu | By::Memory => medians.min_by(|a, b| a.1.total_cmp(&b.1)),
        }?;
        let (ours, theirs) = (self.samples.get(&(row.key, 0))?, self.samples.get(&(row.key, peer))?);
        let ratios = ours.iter().filter_map(|(round, ours)| {
            let (ours, theirs) = (figure(ours)?, figure(theirs.get(round)?)?);
            Some(match row.by {
                By::Rate | By::Bytes => ours / theirs,
                // What cannot be told from nothing counts as the smallest that can.
                By::Time | By::Cpu | By::Memory => theirs / ours.max(1e-3),
            })
        });
        Spread::of(ratios).map(|ratio| Standing { peer, ratio })
    }

    /// Everything, for scripts.
    pub fn json(&self, names: &[&str]) -> Value {
        let samples = self.samples.iter().flat_map(|((row, server), rounds)| {
            rounds.iter().map(move |(round, sample)| {
                json!({
                    "line": row, "server": names.get(*server), "round": round, "operations_per_second": sample.rate,
                    "server_cpu_us_per_operation": sample.cpu_us, "written_bytes_per_operation": sample.written,
                    "received_bytes_per_second": sample.bytes_a_second, "memory_bytes": sample.memory,
                    "driver_busy": sample.driver, "errors": sample.errors,
                })
            })
        });
        Value::Array(samples.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Row = Row { key: "rate", title: "", by: By::Rate, goal: 2.0 };
    const CPU: Row = Row { key: "cpu", title: "", by: By::Cpu, goal: 2.0 };

    fn rate(rate: f64) -> Sample {
        Sample { rate, ..Sample::default() }
    }

    #[test]
    fn a_spread_has_the_middle_of_what_is_there() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Some(Spread { min: 1.0, median: 2.0, max: 3.0 }));
        assert_eq!(Spread::of([4.0, 1.0]), Some(Spread { min: 1.0, median: 2.5, max: 4.0 }));
        assert_eq!(Spread::of([f64::NAN]), None);
    }

    #[test]
    fn a_ratio_is_of_the_same_round_against_the_peer_with_the_best_median() {
        let mut results = Results::default();
        // The machine is half as fast in the second round, for both.
        for (server, round, figure) in
            [(0, 0, 80.0), (0, 1, 40.0), (1, 0, 20.0), (1, 1, 10.0), (2, 0, 14.0), (2, 1, 15.0)]
        {
            results.add("rate", server, round, rate(figure));
        }
        let standing = results.standing(&RATE, 3).unwrap();
        assert_eq!(standing, Standing { peer: 1, ratio: Spread { min: 4.0, median: 4.0, max: 4.0 } });
        assert_eq!(results.standing(&RATE, 1), None, "no peers");
    }

    #[test]
    fn less_is_better_where_a_cost_is_compared() {
        let mut results = Results::default();
        for (server, cpu_us) in [(0, 10.0), (1, 30.0), (2, 50.0)] {
            results.add("cpu", server, 0, Sample { cpu_us: Some(cpu_us), ..rate(1.0) });
        }
        let standing = results.standing(&CPU, 3).unwrap();
        assert_eq!((standing.peer, standing.ratio.median), (1, 3.0));
        results.add("cpu", 3, 0, rate(1.0));
        assert_eq!(results.standing(&CPU, 4).unwrap().peer, 1, "who has no figure is not the fastest");
    }

    #[test]
    fn time_is_the_inverse_of_the_rate() {
        assert_eq!(rate(1000.0).figure(By::Time), Some(1000.0));
        assert_eq!(rate(0.0).figure(By::Time), None);
    }
}
