//! A node's rank for a shard.

use paquebot_peer::NodeName;
use paquebot_types::ShardId;

/// What a node brings to all its ranks.
#[derive(Debug, Clone, Copy)]
pub struct Ranking(u64);

impl Ranking {
    pub fn of(node: &NodeName) -> Self {
        let hash = *blake3::hash(node.as_str().as_bytes()).as_bytes();
        Self(u64::from_be_bytes([hash[0], hash[1], hash[2], hash[3], hash[4], hash[5], hash[6], hash[7]]))
    }

    /// Uniform over all pairs, and for ever the same: another function would move every shard.
    pub fn rank(self, shard: ShardId) -> u64 {
        mix(self.0 ^ mix(u64::from(shard.0)))
    }
}

/// Spreads every bit over all: the finalizer of SplitMix64.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_never_change() {
        let rank = |node, shard| Ranking::of(&NodeName::new(node).unwrap()).rank(ShardId(shard));
        assert_eq!((rank("a", 1), rank("a", 2), rank("b", 1)), RANKS);
    }

    const RANKS: (u64, u64, u64) = (655907055690443759, 15604652307443230966, 17935910771460948799);
}
