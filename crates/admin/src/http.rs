//! Metrics and health over HTTP/1.1: three pages for a monitor, each a short text, one connection a request.
//!
//! The metrics are in the text format of Prometheus. Nothing here tells of a user or a message, and nothing changes anything.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::time::timeout;

/// A request's octets, at most.
const REQUEST_BYTES: u64 = 16 << 10;
/// For a request to come and its answer to go.
const PATIENCE: Duration = Duration::from_secs(10);

/// A number that a monitor may read.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    pub name: &'static str,
    pub help: &'static str,
    pub kind: Kind,
    pub value: f64,
}

/// Whether a number only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
}

/// What the pages are made of.
pub trait Source: Send + Sync {
    fn metrics(&self) -> Vec<Metric>;
    /// Why no changes are taken; `None` while they are.
    fn failure(&self) -> Option<String>;
}

/// Answers one request and closes.
pub async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, source: Arc<dyn Source>) {
    let _ = timeout(PATIENCE, answer(stream, &*source)).await;
}

async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin, source: &dyn Source) -> std::io::Result<()> {
    let (read, mut write) = tokio::io::split(stream);
    let mut lines = BufReader::new(read.take(REQUEST_BYTES)).lines();
    let Some(first) = lines.next_line().await? else { return Ok(()) };
    // The header is read to its end: closing with unread input would reset the connection under the answer.
    while lines.next_line().await?.is_some_and(|line| !line.is_empty()) {}
    let (status, kind, body) = page(&first, source);
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n",
        body.len()
    );
    write.write_all(head.as_bytes()).await?;
    if !first.starts_with("HEAD ") {
        write.write_all(body.as_bytes()).await?;
    }
    write.shutdown().await
}

fn page(request: &str, source: &dyn Source) -> (&'static str, &'static str, String) {
    const TEXT: &str = "text/plain; charset=utf-8";
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if !matches!(method, "GET" | "HEAD") {
        return ("405 Method Not Allowed", TEXT, "only GET and HEAD\n".into());
    }
    match path.split('?').next().unwrap_or_default() {
        "/metrics" => ("200 OK", "text/plain; version=0.0.4; charset=utf-8", exposition(&source.metrics())),
        "/healthz" => ("200 OK", TEXT, "alive\n".into()),
        "/readyz" => match source.failure() {
            None => ("200 OK", TEXT, "ready\n".into()),
            Some(why) => ("503 Service Unavailable", TEXT, format!("reads only: {why}\n")),
        },
        "/" => ("200 OK", TEXT, "Paquebot. /metrics for Prometheus, /healthz and /readyz for monitors.\n".into()),
        _ => ("404 Not Found", TEXT, "there are /metrics, /healthz and /readyz\n".into()),
    }
}

/// The text format of Prometheus, version 0.0.4.
fn exposition(metrics: &[Metric]) -> String {
    let mut text = String::new();
    for Metric { name, help, kind, value } in metrics {
        let kind = if *kind == Kind::Counter { "counter" } else { "gauge" };
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(Option<String>);

    impl Source for Fixed {
        fn metrics(&self) -> Vec<Metric> {
            vec![Metric { name: "paquebot_logins_total", help: "Logins.", kind: Kind::Counter, value: 3.0 }]
        }

        fn failure(&self) -> Option<String> {
            self.0.clone()
        }
    }

    async fn get(request: &str, source: Fixed) -> String {
        let (mut client, server) = tokio::io::duplex(4096);
        let serving = tokio::spawn(serve(server, Arc::new(source)));
        // A request that is too long may be cut before it is written.
        let _ = client.write_all(request.as_bytes()).await;
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        serving.await.unwrap();
        answer
    }

    #[tokio::test]
    async fn pages_are_served() {
        let metrics = get("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", Fixed(None)).await;
        assert!(metrics.starts_with("HTTP/1.1 200 OK\r\n"));
        assert!(metrics.ends_with(
            "# HELP paquebot_logins_total Logins.\n# TYPE paquebot_logins_total counter\npaquebot_logins_total 3\n"
        ));
        assert!(get("GET /readyz HTTP/1.1\r\n\r\n", Fixed(None)).await.ends_with("ready\n"));
        let failed = get("GET /readyz HTTP/1.1\r\n\r\n", Fixed(Some("the disk is gone".into()))).await;
        assert!(failed.starts_with("HTTP/1.1 503 ") && failed.contains("the disk is gone"));
        assert!(get("GET /x HTTP/1.1\r\n\r\n", Fixed(None)).await.starts_with("HTTP/1.1 404 "));
        assert!(get("POST / HTTP/1.1\r\n\r\n", Fixed(None)).await.starts_with("HTTP/1.1 405 "));
        assert!(get("HEAD / HTTP/1.1\r\n\r\n", Fixed(None)).await.ends_with("\r\n\r\n"));
    }

    #[tokio::test]
    async fn a_request_without_end_is_cut() {
        let answer = get(&"x".repeat(20_000), Fixed(None)).await;
        assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    }
}
