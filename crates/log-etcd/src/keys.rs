//! The names of keys and the values of the small ones. Everything is readable by `etcdctl`, but for the records themselves.
//!
//! ```text
//! PREFIX/cluster              whose keys these are
//! PREFIX/log/00007/base       how many records of shard 7 have been trimmed, and the revision of the last of them
//! PREFIX/log/00007/record/ID  a record; ID is 32 hex digits
//! ```

use paquebot_model::RecordId;
use paquebot_types::ShardId;

/// A cluster's number, which no other cluster has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClusterId(pub [u8; 16]);

/// Shows as 32 hex digits.
impl std::fmt::Display for ClusterId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The layout of keys that this build reads and writes.
const LAYOUT: &str = "paquebot 1";

/// What follows in the key `cluster` while the bases are being put.
const UNFINISHED: &str = " unfinished";

/// What the key `cluster` says.
#[derive(Debug, PartialEq, Eq)]
pub enum Identity {
    Cluster(ClusterId),
    /// It is being made, or that was interrupted.
    Unfinished(ClusterId),
    /// A layout of another version, or no key of ours.
    Other,
}

pub fn identity_value(cluster: ClusterId) -> String {
    format!("{LAYOUT} {cluster}")
}

pub fn unfinished_value(cluster: ClusterId) -> String {
    identity_value(cluster) + UNFINISHED
}

pub fn parse_identity(value: &[u8]) -> Identity {
    let id = std::str::from_utf8(value).ok().and_then(|value| value.strip_prefix(LAYOUT)?.strip_prefix(' '));
    let unfinished = id.and_then(|id| id.strip_suffix(UNFINISHED)).and_then(parse_hex);
    match (id.and_then(parse_hex), unfinished) {
        (Some(id), _) => Identity::Cluster(ClusterId(id)),
        (None, Some(id)) => Identity::Unfinished(ClusterId(id)),
        (None, None) => Identity::Other,
    }
}

/// Where a shard's numbering starts: `count` records have been trimmed, of which the last was made at `revision`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Base {
    pub count: u64,
    pub revision: i64,
}

impl Base {
    pub fn encode(self) -> String {
        format!("{} {}", self.count, self.revision)
    }

    pub fn decode(value: &[u8]) -> Option<Self> {
        let (count, revision) = std::str::from_utf8(value).ok()?.split_once(' ')?;
        Some(Self { count: count.parse().ok()?, revision: revision.parse().ok()? })
    }
}

/// What a key of a shard is.
#[derive(Debug, PartialEq, Eq)]
pub enum ShardKey {
    Base,
    Record(RecordId),
    /// None of ours.
    Other,
}

/// Names keys under a prefix.
#[derive(Debug, Clone)]
pub struct Keys {
    prefix: String,
}

impl Keys {
    /// `prefix` as it is configured: slashes around it don't count.
    pub fn new(prefix: &str) -> Self {
        Self { prefix: format!("{}/", prefix.trim_matches('/')) }
    }

    /// What all keys begin with.
    pub fn all(&self) -> String {
        self.prefix.clone()
    }

    pub fn cluster(&self) -> String {
        format!("{}cluster", self.prefix)
    }

    /// What all keys of a shard begin with.
    pub fn shard(&self, shard: ShardId) -> String {
        format!("{}log/{:05}/", self.prefix, shard.0)
    }

    pub fn base(&self, shard: ShardId) -> String {
        self.shard(shard) + "base"
    }

    /// What the keys of a shard's records begin with.
    pub fn records(&self, shard: ShardId) -> String {
        self.shard(shard) + "record/"
    }

    pub fn record(&self, shard: ShardId, id: RecordId) -> String {
        let mut key = self.records(shard);
        for byte in id.0 {
            key.push_str(&format!("{byte:02x}"));
        }
        key
    }

    pub fn parse(&self, shard: ShardId, key: &[u8]) -> ShardKey {
        let Some(rest) = std::str::from_utf8(key).ok().and_then(|key| key.strip_prefix(&self.shard(shard))) else {
            return ShardKey::Other;
        };
        match rest.strip_prefix("record/").and_then(parse_hex) {
            Some(id) => ShardKey::Record(RecordId(id)),
            None if rest == "base" => ShardKey::Base,
            None => ShardKey::Other,
        }
    }
}

fn parse_hex(digits: &str) -> Option<[u8; 16]> {
    let lower = digits.bytes().all(|digit| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit));
    (lower && digits.len() == 32).then(|| u128::from_str_radix(digits, 16).ok().map(u128::to_be_bytes)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_go_there_and_back() {
        let keys = Keys::new("/mail/paquebot/");
        let (shard, id) = (ShardId(7), RecordId([0xab; 16]));
        assert_eq!(keys.record(shard, id), format!("mail/paquebot/log/00007/record/{}", "ab".repeat(16)));
        assert_eq!(keys.parse(shard, keys.record(shard, id).as_bytes()), ShardKey::Record(id));
        assert_eq!(keys.parse(shard, keys.base(shard).as_bytes()), ShardKey::Base);
        for key in
            [keys.cluster(), keys.record(ShardId(8), id), keys.records(shard) + "0", keys.record(shard, id) + "0"]
        {
            assert_eq!(keys.parse(shard, key.as_bytes()), ShardKey::Other, "{key}");
        }
        assert_eq!(keys.parse(shard, keys.record(shard, id).to_uppercase().as_bytes()), ShardKey::Other);
    }

    #[test]
    fn values_go_there_and_back() {
        let base = Base { count: u64::MAX, revision: i64::MAX };
        assert_eq!(Base::decode(base.encode().as_bytes()), Some(base));
        for damaged in ["", "1", "1 2 3", "-1 2", "one 2"] {
            assert_eq!(Base::decode(damaged.as_bytes()), None, "{damaged}");
        }
        let cluster = ClusterId([0x17; 16]);
        assert_eq!(parse_identity(identity_value(cluster).as_bytes()), Identity::Cluster(cluster));
        assert_eq!(parse_identity(unfinished_value(cluster).as_bytes()), Identity::Unfinished(cluster));
        for other in [
            "",
            "paquebot 1 ",
            "paquebot 1 17171717171717171717171717171717 unfinishe",
            "paquebot 2 17171717171717171717171717171717",
            "paquebot 1 +7171717171717171717171717171717",
        ] {
            assert_eq!(parse_identity(other.as_bytes()), Identity::Other, "{other}");
        }
    }
}
