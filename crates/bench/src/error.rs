//! What can go wrong: an operation's failure is counted, the run's is told.

use std::io;

/// Why one operation failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("cannot connect to {address}")]
    Connect { address: String, source: io::Error },
    #[error("the TLS handshake failed")]
    Tls(#[source] io::Error),
    #[error("the connection broke")]
    Io(#[from] io::Error),
    #[error("the server closed the connection")]
    Closed,
    #[error("no answer in time")]
    Timeout,
    /// NO, BAD or BYE; an LMTP reply that is not positive.
    #[error("{command} was answered {answer}")]
    Refused { command: &'static str, answer: String },
    #[error("the server's answer cannot be understood: {0}")]
    Protocol(&'static str),
}

impl ClientError {
    /// Few enough to count by: no text that differs from time to time.
    pub fn kind(&self) -> String {
        match self {
            Self::Connect { .. } => "connect".into(),
            Self::Tls(_) => "tls".into(),
            Self::Io(_) => "broken".into(),
            Self::Closed => "closed".into(),
            Self::Timeout => "timeout".into(),
            Self::Protocol(_) => "protocol".into(),
            Self::Refused { command, answer } => format!("{command}: {}", kind_of(answer)),
        }
    }

    /// Whether the connection can be used further.
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Refused { answer, .. } => answer.starts_with("BYE") || answer.starts_with("421"),
            _ => true,
        }
    }
}

/// An answer without its text: `NO [OVERQUOTA]`, `450 4.2.1`.
fn kind_of(answer: &str) -> String {
    let mut words = answer.split(' ');
    let first = words.next().unwrap_or_default();
    match words.next() {
        Some(code) if code.starts_with('[') => format!("{first} {}]", code.trim_end_matches(']')),
        Some(code) if code.starts_with(|c: char| c.is_ascii_digit()) && code.contains('.') => format!("{first} {code}"),
        _ => first.into(),
    }
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error("{0}")]
    Misused(String),
    #[error("no connection could be prepared")]
    NothingPrepared(#[source] ClientError),
    #[error("cannot read the script {path}")]
    Script { path: String, source: io::Error },
    #[error("the script ended early")]
    ScriptBroken(#[source] ClientError),
    #[error("cannot read process {pid}")]
    Process { pid: u32, source: io::Error },
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
    #[error("cannot write the report")]
    Report(#[source] io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_codes_and_no_text() {
        let cases = [
            ("NO [OVERQUOTA] 5 octets too many", "x: NO [OVERQUOTA]"),
            ("NO [BADCHARSET (UTF-8)] no", "x: NO [BADCHARSET]"),
            ("BAD what?", "x: BAD"),
            ("550 5.1.1 who?", "x: 550 5.1.1"),
            ("550 No such user", "x: 550"),
            ("", "x: "),
        ];
        for (answer, kind) in cases {
            assert_eq!(ClientError::Refused { command: "x", answer: answer.into() }.kind(), kind);
        }
    }
}
