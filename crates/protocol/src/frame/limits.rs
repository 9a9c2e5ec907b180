//! How much a client may send before anything is understood.

/// The bounds of a [`crate::Framer`]. Nothing is allocated by an announced size: memory follows what has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A command's text outside its literals, in octets; for APPEND, each message's part of it. Also the longest single line.
    pub line_bytes: usize,
    /// One literal that is kept with its command, in octets.
    pub literal_bytes: u64,
    /// All such literals of one command together, in octets.
    pub literals_bytes: u64,
    /// How many such literals one command may have.
    pub literals: usize,
    /// The largest literal that a client may send without asking: 4096 where LITERAL- is announced, no limit of its own for LITERAL+
    /// (RFC 7888, 5).
    pub nonsync_bytes: u64,
    /// One message of an APPEND, in octets: APPENDLIMIT (RFC 7889).
    pub append_bytes: u64,
    /// What of one refused command is read and thrown away, in octets, before the connection is cut.
    pub drain_bytes: u64,
    /// The same for the messages of a refused APPEND.
    pub append_drain_bytes: u64,
}

impl Limits {
    /// Before login: 8 KiB of text and as much in literals, 64 KiB are drained.
    pub const BEFORE_LOGIN: Self = Self {
        line_bytes: 8 << 10,
        literal_bytes: 8 << 10,
        literals_bytes: 8 << 10,
        literals: 64,
        nonsync_bytes: u64::MAX,
        append_bytes: 0,
        drain_bytes: 64 << 10,
        append_drain_bytes: 64 << 10,
    };

    /// After login: 64 KiB of text, 256 KiB in literals, messages of up to 128 MiB.
    pub const AFTER_LOGIN: Self = Self {
        line_bytes: 64 << 10,
        literal_bytes: 64 << 10,
        literals_bytes: 256 << 10,
        literals: 256,
        nonsync_bytes: u64::MAX,
        append_bytes: 128 << 20,
        drain_bytes: 1 << 20,
        append_drain_bytes: 256 << 20,
    };
}
