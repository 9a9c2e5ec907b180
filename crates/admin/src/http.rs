//! Metrics, health and status over HTTP/1.1: short pages for a monitor, one connection a request.
//!
//! Nothing here tells of a user's name or a message, and nothing changes anything.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use crate::request::{Answer, ClusterRequest, Running};

/// A request's header, at most, in octets.
const REQUEST_BYTES: usize = 16 << 10;
/// For a request to come and its answer to go.
const PATIENCE: Duration = Duration::from_secs(10);

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// A number that a monitor may read.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Of a counter without its `_total`.
    pub name: &'static str,
    pub help: &'static str,
    pub kind: Kind,
    pub value: u64,
}

/// Whether a number only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
}

/// What the pages are made of, and the status that `paquebot status` shows.
pub trait Source: Send + Sync + 'static {
    fn metrics(&self) -> Vec<Metric>;
    /// Why no changes are taken; `None` while they are.
    fn failure(&self) -> Option<String>;
    fn running(&self) -> Running;
    /// What a node of a cluster does with the commands for it; `None` on one machine.
    fn cluster(&self) -> Option<Arc<dyn Cluster>> {
        None
    }
}

/// A node of a cluster, for commands.
pub trait Cluster: Send + Sync {
    /// Carries a command out. An error is for the operator.
    fn command(&self, request: ClusterRequest) -> ClusterCommand<'_>;
}

/// A command that is being carried out.
pub type ClusterCommand<'a> = Pin<Box<dyn Future<Output = Result<Answer, String>> + Send + 'a>>;

/// Answers one request and closes.
pub async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, source: Arc<dyn Source>) {
    let answer = service_fn(|request: Request<Incoming>| {
        let response = page(request.method(), request.uri().path(), &source);
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let mut http = http1::Builder::new();
    let http = http.keep_alive(false).half_close(true).max_buf_size(REQUEST_BYTES);
    let connection = http.serve_connection(TokioIo::new(stream), answer);
    // Whoever breaks off is not answered; nobody else is concerned.
    let _ = timeout(PATIENCE, connection).await;
}

fn page(method: &Method, path: &str, source: &Arc<dyn Source>) -> Response<String> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut refused = response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n".into());
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match path {
        "/metrics" => response(StatusCode::OK, OPEN_METRICS, exposition(source.clone())),
        "/healthz" => response(StatusCode::OK, TEXT, "alive\n".into()),
        "/readyz" => match source.failure() {
            None => response(StatusCode::OK, TEXT, "ready\n".into()),
            Some(why) => response(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("reads only: {why}\n")),
        },
        "/status" => response(StatusCode::OK, JSON, status(&**source)),
        "/" => {
            let pages = "Paquebot: /metrics for Prometheus, /healthz and /readyz for monitors, /status for people.\n";
            response(StatusCode::OK, TEXT, pages.into())
        }
        _ => response(StatusCode::NOT_FOUND, TEXT, "there are /metrics, /healthz, /readyz and /status\n".into()),
    }
}

fn response(status: StatusCode, kind: HeaderValue, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn status(source: &dyn Source) -> String {
    let version = env!("CARGO_PKG_VERSION");
    serde_json::json!({ "version": version, "failure": source.failure(), "running": source.running() }).to_string()
}

/// The text format of OpenMetrics, as Prometheus reads it.
fn exposition(source: Arc<dyn Source>) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Numbers(source)));
    let mut out = String::new();
    // Writing to a string fails only if a metric cannot be encoded, and whole numbers can.
    let _ = text::encode(&mut out, &registry);
    out
}

struct Numbers(Arc<dyn Source>);

impl std::fmt::Debug for Numbers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Numbers")
    }
}

impl Collector for Numbers {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        for Metric { name, help, kind, value } in self.0.metrics() {
            match kind {
                Kind::Counter => {
                    let counter = ConstCounter::new(value);
                    counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
                }
                Kind::Gauge => {
                    let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
                    gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    struct Fixed(Option<String>);

    impl Source for Fixed {
        fn metrics(&self) -> Vec<Metric> {
            vec![
                Metric { name: "paquebot_logins", help: "Logins.", kind: Kind::Counter, value: 3 },
                Metric { name: "paquebot_sessions", help: "Sessions now.", kind: Kind::Gauge, value: 2 },
            ]
        }

        fn failure(&self) -> Option<String> {
            self.0.clone()
        }

        fn running(&self) -> Running {
            Running { process: 7, uptime_seconds: 1, listening: vec!["imap 127.0.0.1:1".into()], imap_sessions: 2 }
        }
    }

    async fn get(request: &str, failure: Option<&str>) -> String {
        let (mut client, server) = tokio::io::duplex(4096);
        let source = Arc::new(Fixed(failure.map(str::to_owned)));
        let serving = tokio::spawn(serve(server, source));
        // A request that is too long is answered before it is read to its end.
        let _ = client.write_all(request.as_bytes()).await;
        let _ = client.shutdown().await;
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        serving.await.unwrap();
        answer
    }

    #[tokio::test]
    async fn metrics_are_in_the_format_of_monitors() {
        let answer = get("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", None).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("openmetrics-text"), "{answer}");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let expected = "# HELP paquebot_logins Logins.\n# TYPE paquebot_logins counter\npaquebot_logins_total 3\n\
                        # HELP paquebot_sessions Sessions now.\n# TYPE paquebot_sessions gauge\npaquebot_sessions 2\n# EOF\n";
        assert_eq!(body, expected);
    }

    #[tokio::test]
    async fn readiness_follows_the_store() {
        assert!(get("GET /readyz HTTP/1.0\r\n\r\n", None).await.starts_with("HTTP/1.0 200"));
        let failed = get("GET /readyz HTTP/1.1\r\n\r\n", Some("disk")).await;
        assert!(failed.starts_with("HTTP/1.1 503") && failed.ends_with("reads only: disk\n"), "{failed}");
        assert!(get("GET /healthz HTTP/1.1\r\n\r\n", Some("disk")).await.starts_with("HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn status_is_an_object() {
        let answer = get("GET /status HTTP/1.1\r\n\r\n", Some("disk")).await;
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let status: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!((&status["failure"], &status["running"]["imap_sessions"]), (&"disk".into(), &2.into()));
    }

    #[tokio::test]
    async fn what_is_no_page_is_refused() {
        for (request, status) in [
            ("POST /metrics HTTP/1.1\r\n\r\n", "405"),
            ("GET /../secret HTTP/1.1\r\n\r\n", "404"),
            ("nonsense\r\n\r\n", "400"),
        ] {
            assert!(get(request, None).await.starts_with(&format!("HTTP/1.1 {status}")), "{request}");
        }
        let long = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(20_000));
        assert!(get(&long, None).await.starts_with("HTTP/1.1 431"));
        let head = get("HEAD /healthz HTTP/1.1\r\n\r\n", None).await;
        assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
    }
}
