//! Keys of the index's tables. Numbers are big-endian, so that they sort as they count.

use paquebot_types::{AccountId, BlobId, ShardId};

use crate::location::{Location, PackId};

/// A body's owner: shard, account, blob.
pub(crate) type OwnerKey = [u8; 14];
/// A body's place and owner: pack, offset, owner.
pub(crate) type ResidentKey = [u8; 30];

/// Keys of most rows fit here with their shard.
const ROW_KEY_STACK: usize = 62;

/// Calls `then` with the row's key in the table: the shard, then the model's key.
pub(crate) fn with_row<T>(shard: ShardId, key: &[u8], then: impl FnOnce(&[u8]) -> T) -> T {
    let shard = shard.0.to_be_bytes();
    if key.len() <= ROW_KEY_STACK {
        let mut buf = [0; ROW_KEY_STACK + 2];
        buf[..2].copy_from_slice(&shard);
        buf[2..2 + key.len()].copy_from_slice(key);
        then(&buf[..2 + key.len()])
    } else {
        then(&[&shard, key].concat())
    }
}

pub(crate) fn owner(shard: ShardId, account: AccountId, blob: BlobId) -> OwnerKey {
    let mut key = [0; 14];
    key[..2].copy_from_slice(&shard.0.to_be_bytes());
    key[2..6].copy_from_slice(&account.get().to_be_bytes());
    key[6..].copy_from_slice(&blob.get().to_be_bytes());
    key
}

/// `None` for bytes that no owner has.
pub(crate) fn parse_owner(key: &OwnerKey) -> Option<(ShardId, AccountId, BlobId)> {
    let [s0, s1, a0, a1, a2, a3, blob @ ..] = *key;
    let account = AccountId::new(u32::from_be_bytes([a0, a1, a2, a3]))?;
    Some((ShardId(u16::from_be_bytes([s0, s1])), account, BlobId::new(u64::from_be_bytes(blob))?))
}

/// The least and the greatest key that owners in a shard can have.
pub(crate) fn owners_of(shard: ShardId) -> (OwnerKey, OwnerKey) {
    let (mut first, mut last) = ([0; 14], [0xff; 14]);
    first[..2].copy_from_slice(&shard.0.to_be_bytes());
    last[..2].copy_from_slice(&shard.0.to_be_bytes());
    (first, last)
}

pub(crate) fn resident(pack: PackId, offset: u64, owner: &OwnerKey) -> ResidentKey {
    let mut key = [0; 30];
    key[..8].copy_from_slice(&pack.0.to_be_bytes());
    key[8..16].copy_from_slice(&offset.to_be_bytes());
    key[16..].copy_from_slice(owner);
    key
}

/// The place and the owner in a resident's key.
pub(crate) fn parse_resident(key: &ResidentKey) -> (PackId, u64, OwnerKey) {
    let number = |at: usize| {
        let mut number = [0; 8];
        number.copy_from_slice(&key[at..at + 8]);
        u64::from_be_bytes(number)
    };
    let mut owner = [0; 14];
    owner.copy_from_slice(&key[16..]);
    (PackId(number(0)), number(8), owner)
}

/// The least and the greatest key that residents of one place can have.
pub(crate) fn residents_at(location: Location) -> (ResidentKey, ResidentKey) {
    (resident(location.pack, location.offset, &[0; 14]), resident(location.pack, location.offset, &[0xff; 14]))
}

/// The least and the greatest key that residents of one pack can have.
pub(crate) fn residents_of(pack: PackId) -> (ResidentKey, ResidentKey) {
    (resident(pack, 0, &[0; 14]), resident(pack, u64::MAX, &[0xff; 14]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn long_and_short_row_keys_carry_their_shard() {
        for len in [0, 1, ROW_KEY_STACK, ROW_KEY_STACK + 1, 500] {
            let key = vec![7; len];
            with_row(ShardId(0x0102), &key, |whole| {
                assert_eq!(whole.len(), len + 2);
                assert_eq!((&whole[..2], &whole[2..]), ([1, 2].as_slice(), key.as_slice()));
            });
        }
    }

    #[test]
    fn owners_and_residents_go_there_and_back() {
        let (account, blob) = (AccountId::new(9).unwrap(), BlobId::new(1 << 40).unwrap());
        let key = owner(ShardId(3), account, blob);
        assert_eq!(parse_owner(&key), Some((ShardId(3), account, blob)));
        assert_eq!(parse_owner(&[0; 14]), None);
        let resident = resident(PackId(8), 64, &key);
        assert_eq!(parse_resident(&resident), (PackId(8), 64, key));
    }
}
