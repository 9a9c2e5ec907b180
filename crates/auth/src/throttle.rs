//! The delay that grows with failed logins, by address and by account.
//!
//! It makes guessing slow without locking anybody out: an account's own delay stays small, so that its owner gets in from a clean
//! address while others guess; the long delays are for the addresses that the guesses come from.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::network::{Network, party};
use crate::user_name::UserName;

/// How one count of failures becomes a delay: none for the first `free`, then `first`, doubled with each more, up to `most`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Curve {
    pub free: u32,
    pub first: Duration,
    pub most: Duration,
}

/// How a [`Throttle`] behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThrottleSettings {
    /// Failures of one address (IPv4 /32, IPv6 /64), whatever the account.
    pub address: Curve,
    /// Failures of one address at one account.
    pub pair: Curve,
    /// Failures at one account from everywhere. `most` is what the owner waits at a clean address, at worst.
    pub account: Curve,
    /// The time in which a count halves.
    pub half_life: Duration,
    /// Networks whose addresses are shared by many who cannot be told apart, a webmail's or a proxy's: failures from there count for
    /// the account alone. None by default.
    pub shared: Vec<Network>,
    /// How many addresses, accounts and pairs are remembered, of each.
    pub entries_max: usize,
}

impl Default for ThrottleSettings {
    /// Up to 15 seconds for an address, 3 for an account; halved every five minutes; 16,384 of each kind (12 MB or so at most).
    fn default() -> Self {
        let most = Duration::from_secs(15);
        Self {
            address: Curve { free: 5, first: Duration::from_millis(500), most },
            pair: Curve { free: 1, first: Duration::from_millis(500), most },
            account: Curve { free: 10, first: Duration::from_millis(250), most: Duration::from_secs(3) },
            half_life: Duration::from_secs(300),
            shared: Vec::new(),
            entries_max: 16_384,
        }
    }
}

/// Counts failures and says how long to wait before the next password is looked at.
///
/// Names that do not exist are counted like those that do. The caller asks [`delay`](Self::delay), waits, verifies, and reports.
pub struct Throttle {
    settings: ThrottleSettings,
    counts: Mutex<Counts>,
}

struct Counts {
    addresses: Table<IpAddr>,
    accounts: Table<UserName>,
    pairs: Table<(IpAddr, UserName)>,
}

impl Throttle {
    pub fn new(settings: ThrottleSettings) -> Self {
        let counts = Counts { addresses: Table::new(), accounts: Table::new(), pairs: Table::new() };
        Self { settings, counts: Mutex::new(counts) }
    }

    /// How long to wait, before looking at the password, with a login for `user` (nothing if the name was no name) from `address`.
    pub fn delay(&self, address: IpAddr, user: Option<&UserName>, now: Instant) -> Duration {
        let address = self.own_address(address);
        let ThrottleSettings { address: by_address, pair: by_pair, account: by_account, half_life, .. } =
            &self.settings;
        let counts = self.counts.lock();
        let address_delay = address.map(|address| by_address.delay(counts.addresses.score(&address, now, *half_life)));
        let account_delay = user.map(|user| by_account.delay(counts.accounts.score(user, now, *half_life)));
        let pair_delay = address
            .zip(user)
            .map(|(address, user)| by_pair.delay(counts.pairs.score(&(address, user.clone()), now, *half_life)));
        [address_delay, account_delay, pair_delay].into_iter().flatten().max().unwrap_or_default()
    }

    /// Counts a failure: a wrong user or password, or a message outside a mechanism's grammar.
    pub fn failed(&self, address: IpAddr, user: Option<&UserName>, now: Instant) {
        let address = self.own_address(address);
        let ThrottleSettings { half_life, entries_max, .. } = self.settings;
        let mut counts = self.counts.lock();
        if let Some(address) = address {
            counts.addresses.add(address, now, half_life, entries_max);
        }
        if let Some(user) = user {
            counts.accounts.add(user.clone(), now, half_life, entries_max);
        }
        if let Some((address, user)) = address.zip(user) {
            counts.pairs.add((address, user.clone()), now, half_life, entries_max);
        }
    }

    /// Takes back what the address failed at this account. What it failed at others stays, so that an account of one's own does not
    /// buy guesses at others'; what others failed at this account stays too.
    pub fn succeeded(&self, address: IpAddr, user: &UserName, now: Instant) {
        let Some(address) = self.own_address(address) else { return };
        let half_life = self.settings.half_life;
        let mut counts = self.counts.lock();
        if let Some(own) = counts.pairs.remove(&(address, user.clone()), now, half_life) {
            counts.addresses.subtract(&address, own, now, half_life);
            counts.accounts.subtract(user, own, now, half_life);
        }
    }

    /// The address to count under, unless many share it.
    fn own_address(&self, address: IpAddr) -> Option<IpAddr> {
        let shared = self.settings.shared.iter().any(|network| network.contains(address));
        (!shared).then(|| party(address))
    }
}

impl Curve {
    fn delay(&self, score: f64) -> Duration {
        // Half a failure counts as one, so that a count decays step by step.
        let failures = score.round() as u32;
        match failures.checked_sub(self.free) {
            None | Some(0) => Duration::ZERO,
            Some(over) => self.first.saturating_mul(1u32.checked_shl(over - 1).unwrap_or(u32::MAX)).min(self.most),
        }
    }
}

/// The highest count. It bounds how long a delay outlives the failures: five half-lives bring it below any free number.
const SCORE_MAX: f64 = 32.0;

/// Decaying counts, of a bounded number of keys.
struct Table<K>(HashMap<K, Count>);

#[derive(Clone, Copy)]
struct Count {
    score: f64,
    at: Instant,
}

impl Count {
    fn now(&self, now: Instant, half_life: Duration) -> f64 {
        let half_lives = now.saturating_duration_since(self.at).as_secs_f64() / half_life.as_secs_f64().max(1e-3);
        self.score * (-half_lives).exp2()
    }
}

impl<K: Hash + Eq + Clone> Table<K> {
    fn new() -> Self {
        Self(HashMap::new())
    }

    fn score(&self, key: &K, now: Instant, half_life: Duration) -> f64 {
        self.0.get(key).map_or(0.0, |count| count.now(now, half_life))
    }

    fn add(&mut self, key: K, now: Instant, half_life: Duration, entries_max: usize) {
        if self.0.len() >= entries_max && !self.0.contains_key(&key) {
            self.make_room(now, half_life, entries_max);
        }
        let count = self.0.entry(key).or_insert(Count { score: 0.0, at: now });
        *count = Count { score: (count.now(now, half_life) + 1.0).min(SCORE_MAX), at: now };
    }

    fn subtract(&mut self, key: &K, score: f64, now: Instant, half_life: Duration) {
        if let Some(count) = self.0.get_mut(key) {
            *count = Count { score: (count.now(now, half_life) - score).max(0.0), at: now };
            if count.score < 0.5 {
                self.0.remove(key);
            }
        }
    }

    fn remove(&mut self, key: &K, now: Instant, half_life: Duration) -> Option<f64> {
        self.0.remove(key).map(|count| count.now(now, half_life))
    }

    /// Drops a quarter, the lowest counts first: who floods the table with keys that failed once does not push out those that failed
    /// often. Since it makes much room at once, a failure pays little for it on average.
    fn make_room(&mut self, now: Instant, half_life: Duration, entries_max: usize) {
        self.0.retain(|_, count| count.now(now, half_life) >= 0.5);
        let keep = entries_max - entries_max.div_ceil(4);
        if self.0.len() > keep {
            let mut counts: Vec<(f64, K)> =
                self.0.iter().map(|(key, count)| (count.now(now, half_life), key.clone())).collect();
            let excess = counts.len() - keep;
            counts.select_nth_unstable_by(excess - 1, |(one, _), (two, _)| one.total_cmp(two));
            for (_, key) in &counts[..excess] {
                self.0.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const OWNER: &str = "198.51.100.1";
    const GUESSER: &str = "203.0.113.9";

    fn throttle() -> Throttle {
        Throttle::new(ThrottleSettings::default())
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn user(name: &str) -> UserName {
        name.parse().unwrap()
    }

    #[test]
    fn the_delay_grows_with_failures_and_has_an_end() {
        let (throttle, now, bob) = (throttle(), Instant::now(), user("bob"));
        let delays: Vec<u128> = (0..10)
            .map(|_| {
                let delay = throttle.delay(ip(GUESSER), Some(&bob), now);
                throttle.failed(ip(GUESSER), Some(&bob), now);
                delay.as_millis()
            })
            .collect();
        assert_eq!(delays, [0, 0, 500, 1000, 2000, 4000, 8000, 15000, 15000, 15000]);
    }

    #[test]
    fn one_address_pays_for_failures_at_many_accounts() {
        let (throttle, now) = (throttle(), Instant::now());
        for number in 0..8 {
            throttle.failed(ip(GUESSER), Some(&user(&format!("u{number}"))), now);
        }
        assert_eq!(throttle.delay(ip(GUESSER), Some(&user("another")), now), Duration::from_secs(2));
        assert_eq!(throttle.delay(ip(GUESSER), None, now), Duration::from_secs(2));
    }

    #[test]
    fn the_owner_gets_in_from_a_clean_address_while_others_guess() {
        let (throttle, now, bob) = (throttle(), Instant::now(), user("bob"));
        for second in 0..1000u64 {
            let guesser = IpAddr::from([203, 0, (second >> 8) as u8, second as u8]);
            throttle.failed(guesser, Some(&bob), now + Duration::from_secs(second));
        }
        let later = now + Duration::from_secs(1000);
        let delay = throttle.delay(ip(OWNER), Some(&bob), later);
        assert!(delay > Duration::ZERO && delay < Duration::from_secs(10), "{delay:?}");
        // Nor does anyone else notice.
        assert_eq!(throttle.delay(ip(OWNER), Some(&user("alice")), later), Duration::ZERO);
    }

    #[test]
    fn success_takes_back_only_ones_own_failures_at_that_account() {
        let (throttle, now) = (throttle(), Instant::now());
        let (bob, mallory) = (user("bob"), user("mallory"));
        for _ in 0..7 {
            throttle.failed(ip(OWNER), Some(&bob), now);
        }
        throttle.succeeded(ip(OWNER), &bob, now);
        assert_eq!(throttle.delay(ip(OWNER), Some(&bob), now), Duration::ZERO);

        for _ in 0..7 {
            throttle.failed(ip(GUESSER), Some(&bob), now);
            throttle.succeeded(ip(GUESSER), &mallory, now);
        }
        assert!(throttle.delay(ip(GUESSER), Some(&bob), now) >= Duration::from_secs(8));
        assert!(throttle.delay(ip(GUESSER), Some(&mallory), now) > Duration::ZERO);
    }

    #[test]
    fn failures_decay() {
        let (throttle, now, bob) = (throttle(), Instant::now(), user("bob"));
        for _ in 0..1000 {
            throttle.failed(ip(GUESSER), Some(&bob), now);
        }
        let after = |minutes: u64| throttle.delay(ip(GUESSER), Some(&bob), now + Duration::from_secs(60 * minutes));
        assert_eq!(after(0), Duration::from_secs(15));
        assert!(after(20) < Duration::from_secs(2), "{:?}", after(20));
        assert_eq!(after(30), Duration::ZERO);
    }

    #[test]
    fn an_ipv6_customer_is_one_address() {
        let (throttle, now) = (throttle(), Instant::now());
        for host in 0..10u16 {
            throttle.failed(IpAddr::from([0x2001, 0xdb8, 1, 2, 0, 0, 0, host]), None, now);
        }
        assert!(throttle.delay(ip("2001:db8:1:2:ffff::1"), None, now) > Duration::ZERO);
        assert_eq!(throttle.delay(ip("2001:db8:1:3::1"), None, now), Duration::ZERO);
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_one() {
        let (throttle, now) = (throttle(), Instant::now());
        for _ in 0..10 {
            throttle.failed(ip("::ffff:203.0.113.9"), None, now);
        }
        assert!(throttle.delay(ip(GUESSER), None, now) > Duration::ZERO);
        assert_eq!(throttle.delay(ip("::ffff:198.51.100.1"), None, now), Duration::ZERO);
    }

    #[test]
    fn failures_behind_a_shared_address_count_for_the_account_alone() {
        let shared = vec!["127.0.0.0/8".parse().unwrap()];
        let throttle = Throttle::new(ThrottleSettings { shared, ..ThrottleSettings::default() });
        let (now, bob) = (Instant::now(), user("bob"));
        for _ in 0..30 {
            throttle.failed(ip("127.0.0.1"), Some(&bob), now);
        }
        assert_eq!(throttle.delay(ip("127.0.0.1"), Some(&bob), now), Duration::from_secs(3));
        assert_eq!(throttle.delay(ip("127.0.0.1"), Some(&user("ann")), now), Duration::ZERO);
    }

    #[test]
    fn memory_is_bounded_and_a_flood_does_not_wash_out_the_guilty() {
        let throttle = Throttle::new(ThrottleSettings { entries_max: 100, ..ThrottleSettings::default() });
        let (now, bob) = (Instant::now(), user("bob"));
        for _ in 0..10 {
            throttle.failed(ip(GUESSER), Some(&bob), now);
        }
        for number in 0..5000u32 {
            throttle.failed(IpAddr::from(number.to_be_bytes()), Some(&user(&format!("u{number}"))), now);
        }
        let counts = throttle.counts.lock();
        assert!(counts.addresses.0.len() <= 100 && counts.accounts.0.len() <= 100 && counts.pairs.0.len() <= 100);
        drop(counts);
        assert_eq!(throttle.delay(ip(GUESSER), Some(&bob), now), Duration::from_secs(15));
    }
}
