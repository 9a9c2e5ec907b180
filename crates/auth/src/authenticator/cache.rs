//! Successful verifications, remembered for a short time without the passwords.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::scram_keys::hmac_sha256;
use crate::secret::Secret;
use crate::user_name::UserName;

/// HMAC-SHA-256 of user, password and stored hash under a key that lives as long as the process.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint([u8; 32]);

pub(super) struct SuccessCache {
    key: Secret,
    entries_max: usize,
    keep_for: Duration,
    entries: HashMap<Fingerprint, Entry>,
}

struct Entry {
    /// From the verification itself, not from the last use: a success is not kept alive by being used.
    verified: Instant,
    used: Instant,
}

impl SuccessCache {
    pub(super) fn new(entries_max: usize, keep_for: Duration) -> Result<Self, getrandom::Error> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(Self { key: Secret::new(key), entries_max, keep_for, entries: HashMap::new() })
    }

    pub(super) fn fingerprint(&self, user: &UserName, password: &Secret, stored_hash: &str) -> Fingerprint {
        // Each field's length before it, so that no two triples run together to the same bytes.
        let lengths =
            [user.as_str().len(), password.expose().len(), stored_hash.len()].map(|len| (len as u64).to_be_bytes());
        let [user_len, password_len, hash_len] = &lengths;
        Fingerprint(hmac_sha256(
            self.key.expose(),
            &[user_len, user.as_str().as_bytes(), password_len, password.expose(), hash_len, stored_hash.as_bytes()],
        ))
    }

    pub(super) fn contains(&mut self, fingerprint: &Fingerprint, now: Instant) -> bool {
        let keep_for = self.keep_for;
        match self.entries.get_mut(fingerprint) {
            Some(entry) if now.saturating_duration_since(entry.verified) < keep_for => {
                entry.used = now;
                true
            }
            Some(_) => {
                self.entries.remove(fingerprint);
                false
            }
            None => false,
        }
    }

    /// Remembers a success; the one unused for longest makes room.
    pub(super) fn insert(&mut self, fingerprint: Fingerprint, now: Instant) {
        if self.keep_for.is_zero() || self.entries_max == 0 {
            return;
        }
        if self.entries.len() >= self.entries_max && !self.entries.contains_key(&fingerprint) {
            let keep_for = self.keep_for;
            self.entries.retain(|_, entry| now.saturating_duration_since(entry.verified) < keep_for);
            if self.entries.len() >= self.entries_max
                && let Some(oldest) = self.entries.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| *key)
            {
                self.entries.remove(&oldest);
            }
        }
        self.entries.insert(fingerprint, Entry { verified: now, used: now });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn cache(entries_max: usize) -> SuccessCache {
        SuccessCache::new(entries_max, Duration::from_secs(60)).unwrap()
    }

    fn print(cache: &SuccessCache, user: &str, password: &str, hash: &str) -> Fingerprint {
        cache.fingerprint(&user.parse().unwrap(), &Secret::new(password), hash)
    }

    #[test]
    fn a_success_is_forgotten_in_time_even_if_used() {
        let (mut cache, start) = (cache(10), Instant::now());
        let key = print(&cache, "bob", "p", "h");
        cache.insert(key, start);
        assert!(cache.contains(&key, start + Duration::from_secs(59)));
        assert!(!cache.contains(&key, start + Duration::from_secs(60)));
        assert!(cache.entries.is_empty());
    }

    #[test]
    fn the_key_depends_on_every_field_and_its_bounds() {
        let cache = cache(10);
        let one = print(&cache, "bob", "pass", "hash");
        for other in
            [("bobp", "ass", "hash"), ("bob", "passh", "ash"), ("bob", "pass", "hash2"), ("bob", "Pass", "hash")]
        {
            assert!(print(&cache, other.0, other.1, other.2) != one);
        }
        let elsewhere = SuccessCache::new(1, Duration::ZERO).unwrap();
        assert!(print(&elsewhere, "bob", "pass", "hash") != one);
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let (mut cache, start) = (cache(2), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let [a, b, c] = ["a", "b", "c"].map(|user| print(&cache, user, "p", "h"));
        cache.insert(a, at(0));
        cache.insert(b, at(1));
        assert!(cache.contains(&a, at(2)));
        cache.insert(c, at(3));
        assert_eq!(cache.entries.len(), 2);
        assert!(cache.contains(&a, at(4)) && cache.contains(&c, at(4)) && !cache.contains(&b, at(4)));
    }

    #[test]
    fn zero_turns_it_off() {
        let mut off = SuccessCache::new(10, Duration::ZERO).unwrap();
        let key = print(&off, "a", "p", "h");
        off.insert(key, Instant::now());
        assert!(off.entries.is_empty());
    }
}
