//! Latencies, counted in buckets whose width grows with the value.

use std::time::Duration;

/// Buckets for each doubling: a value is told with an error of 1/64 at most.
const STEPS: u32 = 64;
const STEP_BITS: u32 = STEPS.trailing_zeros();

/// Counts of durations, from a nanosecond up, in at most 30 KB.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    counts: Vec<u64>,
    count: u64,
    max: Duration,
}

impl Histogram {
    pub fn record(&mut self, value: Duration) {
        let bucket = bucket(u64::try_from(value.as_nanos()).unwrap_or(u64::MAX));
        if bucket >= self.counts.len() {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.count += 1;
        self.max = self.max.max(value);
    }

    /// How many were recorded.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The longest, exactly.
    pub fn max(&self) -> Duration {
        self.max
    }

    /// The duration that this share of the recorded ones do not exceed, 0 for none recorded. `share` is from 0 to 1.
    pub fn quantile(&self, share: f64) -> Duration {
        let rank = ((self.count as f64 * share).ceil() as u64).clamp(1, self.count.max(1));
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_nanos(largest(bucket)).min(self.max);
            }
        }
        Duration::ZERO
    }
}

/// The bucket of a value: values below [`STEPS`] have their own, above it each doubling has as many buckets.
fn bucket(value: u64) -> usize {
    let magnitude = (u64::BITS - value.leading_zeros()).saturating_sub(STEP_BITS + 1);
    (magnitude * STEPS) as usize + (value >> magnitude) as usize
}

/// The largest value in a bucket.
fn largest(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let magnitude = (bucket / u64::from(STEPS)).saturating_sub(1);
    let value = u128::from(bucket - magnitude * u64::from(STEPS) + 1) << magnitude;
    u64::try_from(value - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other_and_hold_what_they_say() {
        assert!((1..5000).all(|value| (0..=1).contains(&(bucket(value) - bucket(value - 1)))));
        for value in (0..5000).chain((0..64).flat_map(|shift| [(1u64 << shift) - 1, 1 << shift, u64::MAX >> shift])) {
            let at = bucket(value);
            assert!(largest(at) >= value, "{value}");
            assert!(largest(at) - value <= value / 64, "{value}: {}", largest(at));
            assert!(at == 0 || largest(at - 1) < value, "{value}");
        }
    }

    #[test]
    fn quantiles_are_close_and_the_maximum_exact() {
        let mut histogram = Histogram::default();
        for micros in 1..=10_000 {
            histogram.record(Duration::from_micros(micros));
        }
        for (share, micros) in [(0.5, 5_000.0), (0.99, 9_900.0), (1.0, 10_000.0), (0.0, 1.0)] {
            let told = histogram.quantile(share).as_nanos() as f64 / 1000.0;
            assert!((micros..=micros * 1.02).contains(&told), "{share}: {told}");
        }
        assert_eq!((histogram.count(), histogram.max()), (10_000, Duration::from_millis(10)));
    }

    #[test]
    fn nothing_recorded_is_zero() {
        assert_eq!(Histogram::default().quantile(0.5), Duration::ZERO);
    }

    #[test]
    fn the_longest_duration_has_a_bucket() {
        let mut histogram = Histogram::default();
        histogram.record(Duration::MAX);
        assert_eq!(histogram.quantile(0.5), Duration::from_nanos(u64::MAX));
        assert!(histogram.counts.len() * 8 < 31_000);
    }
}
