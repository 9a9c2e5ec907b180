//! What a run came to, for people and for scripts.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::histogram::Histogram;
use crate::process::Usage;
use crate::tally::Counts;

/// The result of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    pub work: String,
    pub tls: String,
    pub connections: u32,
    pub users: usize,
    pub seed: u64,
    /// How long it was measured.
    pub seconds: f64,
    pub operations: u64,
    pub operations_per_second: f64,
    pub latencies: Vec<Latency>,
    pub errors: BTreeMap<String, u64>,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    /// CPU time of the load generator itself: near one second a second and thread it is what limits the numbers above.
    pub client_cpu_seconds: f64,
    pub server: Option<Server>,
    pub idle: Option<Idle>,
    /// The timed steps of a script, in its order.
    pub steps: Vec<Step>,
}

/// A step of a script, all its rounds together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    pub name: String,
    /// Commands that were answered OK.
    pub commands: u64,
    /// The time that they took, one after the other.
    pub seconds: f64,
    /// The server's CPU time, if its process was named.
    pub cpu_seconds: Option<f64>,
    pub written_bytes: Option<u64>,
    /// Untagged responses, and the bytes of all that came.
    pub responses: u64,
    pub bytes_received: u64,
}

/// Latencies of one kind of operation, or of a stage of one, in microseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Latency {
    pub kind: String,
    pub count: u64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub max_us: f64,
}

/// The server's process and its children.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Server {
    pub cpu_seconds: f64,
    pub cpu_us_per_operation: f64,
    /// Bytes of pages made dirty, or written past the cache.
    pub written_bytes: u64,
    pub resident_bytes_before: u64,
    pub resident_bytes_after: u64,
    pub proportional_bytes_after: u64,
}

/// Connections in IDLE.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Idle {
    pub connections: u32,
    /// The server's memory for each, as far as its process is known.
    pub resident_bytes_per_connection: Option<f64>,
    pub anonymous_bytes_per_connection: Option<f64>,
    /// With each page that processes share counted once.
    pub proportional_bytes_per_connection: Option<f64>,
    pub notifications: u64,
    /// Those that did not come in time.
    pub missed: u64,
}

impl Latency {
    fn new(kind: &str, histogram: &Histogram) -> Self {
        let micros = |duration: Duration| duration.as_nanos() as f64 / 1000.0;
        Self {
            kind: kind.into(),
            count: histogram.count(),
            p50_us: micros(histogram.quantile(0.5)),
            p99_us: micros(histogram.quantile(0.99)),
            max_us: micros(histogram.max()),
        }
    }
}

impl Server {
    pub fn new(before: Usage, after: Usage, operations: u64) -> Self {
        let cpu = after.spent.cpu.saturating_sub(before.spent.cpu);
        Self {
            cpu_seconds: cpu.as_secs_f64(),
            cpu_us_per_operation: cpu.as_micros() as f64 / operations.max(1) as f64,
            written_bytes: after.spent.written_bytes.saturating_sub(before.spent.written_bytes),
            resident_bytes_before: before.resident_bytes,
            resident_bytes_after: after.resident_bytes,
            proportional_bytes_after: after.proportional_bytes,
        }
    }
}

impl Report {
    /// What was counted, over the time that it took; the caller fills in the rest.
    pub fn new(counts: &Counts, elapsed: Duration) -> Self {
        let seconds = elapsed.as_secs_f64();
        Self {
            work: String::new(),
            tls: String::new(),
            connections: 0,
            users: 0,
            seed: 0,
            seconds,
            operations: counts.operations,
            operations_per_second: counts.operations as f64 / seconds.max(1e-9),
            latencies: counts.latencies.iter().map(|(kind, histogram)| Latency::new(kind, histogram)).collect(),
            errors: counts.errors.clone(),
            bytes_sent: counts.bytes_sent,
            bytes_received: counts.bytes_received,
            client_cpu_seconds: 0.0,
            server: None,
            idle: None,
            steps: Vec::new(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { work, tls, connections, users, seed, seconds, .. } = self;
        writeln!(f, "{work}: {connections} connections, {users} users, TLS {tls}, seed {seed}, {seconds:.1} s")?;
        let (sent, received) = (megabytes(self.bytes_sent), megabytes(self.bytes_received));
        writeln!(
            f,
            "{} operations, {:.1}/s, {} errors, {sent} sent, {received} received",
            self.operations,
            self.operations_per_second,
            self.errors.values().sum::<u64>()
        )?;
        for (kind, count) in &self.errors {
            writeln!(f, "  error {count:>8}  {kind}")?;
        }
        writeln!(f, "{:<22} {:>10} {:>11} {:>11} {:>11}", "", "count", "p50", "p99", "max")?;
        for Latency { kind, count, p50_us, p99_us, max_us } in &self.latencies {
            let [p50, p99, max] = [p50_us, p99_us, max_us].map(|us| time(*us));
            writeln!(f, "{kind:<22} {count:>10} {p50:>11} {p99:>11} {max:>11}")?;
        }
        for Step { name, commands, seconds, cpu_seconds, .. } in &self.steps {
            let each = |seconds: f64| time(seconds * 1e6 / (*commands).max(1) as f64);
            let cpu = cpu_seconds.map_or(String::new(), |cpu| format!(", server CPU {}", each(cpu)));
            writeln!(f, "{name}: {commands} commands, each {}{cpu}", each(*seconds))?;
        }
        if let Some(idle) = &self.idle {
            writeln!(
                f,
                "idle: {} notifications to {} connections, {} missed",
                idle.notifications, idle.connections, idle.missed
            )?;
            if let (Some(resident), Some(own), Some(share)) = (
                idle.resident_bytes_per_connection,
                idle.anonymous_bytes_per_connection,
                idle.proportional_bytes_per_connection,
            ) {
                let [resident, own, share] = [resident, own, share].map(|bytes| bytes / 1024.0);
                writeln!(
                    f,
                    "idle: {resident:.2} KiB of server memory a connection, {own:.2} KiB of it anonymous; {share:.2} KiB with what is shared counted once"
                )?;
            }
        }
        if let Some(server) = &self.server {
            writeln!(
                f,
                "server: CPU {:.2} s, {} an operation; {} written; memory {} before, {} after",
                server.cpu_seconds,
                time(server.cpu_us_per_operation),
                megabytes(server.written_bytes),
                megabytes(server.resident_bytes_before),
                megabytes(server.resident_bytes_after)
            )?;
        }
        write!(f, "load generator: CPU {:.2} s", self.client_cpu_seconds)
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

fn time(us: f64) -> String {
    if us < 1000.0 { format!("{us:.0} us") } else { format!("{:.2} ms", us / 1000.0) }
}
