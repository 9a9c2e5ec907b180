//! How many sessions there may be: in all, from one address, for one account.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::network::{Network, party};
use crate::user_name::UserName;

/// The bounds that [`SessionLimits`] keeps. `u32::MAX` is as good as none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionLimitSettings {
    pub total: u32,
    /// For an IPv4 address or an IPv6 /64.
    pub per_address: u32,
    pub per_account: u32,
    /// Networks whose addresses have no bound of their own: the machine itself, where webmails and proxies are.
    pub unbounded: Vec<Network>,
}

impl Default for SessionLimitSettings {
    /// 20,000 in all, 100 from an address (the machine's own excepted), 100 for an account.
    fn default() -> Self {
        let loopback =
            [Network::of(IpAddr::V4(Ipv4Addr::LOCALHOST), 8), Network::of(IpAddr::V6(Ipv6Addr::LOCALHOST), 128)];
        Self { total: 20_000, per_address: 100, per_account: 100, unbounded: loopback.to_vec() }
    }
}

/// The bound that a session would break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LimitRefusal {
    #[error("the server has as many sessions as it may ({0})")]
    Total(u32),
    #[error("this address has as many sessions as it may ({0})")]
    Address(u32),
    #[error("this account has as many sessions as it may ({0})")]
    Account(u32),
}

/// Counts the sessions. Each holds a [`SessionGuard`], and after login an [`AccountGuard`]; dropping them counts down.
///
/// ```
/// use paquebot_auth::{LimitRefusal, SessionLimitSettings, SessionLimits};
/// let limits = SessionLimits::new(SessionLimitSettings { per_account: 1, ..Default::default() });
/// let session = limits.connect("192.0.2.1".parse().ok()).unwrap();
/// let login = limits.log_in(&"bob".parse().unwrap()).unwrap();
/// assert_eq!(limits.log_in(&"bob".parse().unwrap()).err(), Some(LimitRefusal::Account(1)));
/// drop(login);
/// assert!(limits.log_in(&"bob".parse().unwrap()).is_ok());
/// ```
#[derive(Debug, Clone)]
pub struct SessionLimits(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: SessionLimitSettings,
    counts: Mutex<Counts>,
}

/// A key is here only while its count is above 0, so there are never more than sessions.
#[derive(Debug, Default)]
struct Counts {
    total: u32,
    addresses: HashMap<IpAddr, u32>,
    accounts: HashMap<UserName, u32>,
}

/// A session's place, in all and at its address.
#[derive(Debug)]
#[must_use = "the session counts only as long as this lives"]
pub struct SessionGuard {
    shared: Arc<Shared>,
    address: Option<IpAddr>,
}

/// A session's place at its account, from login to logout (or UNAUTHENTICATE).
#[derive(Debug)]
#[must_use = "the session counts only as long as this lives"]
pub struct AccountGuard {
    shared: Arc<Shared>,
    user: UserName,
}

impl SessionLimits {
    pub fn new(settings: SessionLimitSettings) -> Self {
        Self(Arc::new(Shared { settings, counts: Mutex::default() }))
    }

    /// Takes a place for a new connection; nothing for `address` is a local socket.
    pub fn connect(&self, address: Option<IpAddr>) -> Result<SessionGuard, LimitRefusal> {
        let settings = &self.0.settings;
        let bounded = |address: &IpAddr| !settings.unbounded.iter().any(|network| network.contains(*address));
        let address = address.filter(bounded).map(party);
        let mut counts = self.0.counts.lock();
        if counts.total >= settings.total {
            return Err(LimitRefusal::Total(settings.total));
        }
        if let Some(address) = address
            && !count_up(&mut counts.addresses, address, settings.per_address)
        {
            return Err(LimitRefusal::Address(settings.per_address));
        }
        counts.total += 1;
        Ok(SessionGuard { shared: self.0.clone(), address })
    }

    /// Takes a place for a login, once the password is found right.
    pub fn log_in(&self, user: &UserName) -> Result<AccountGuard, LimitRefusal> {
        let most = self.0.settings.per_account;
        if !count_up(&mut self.0.counts.lock().accounts, user.clone(), most) {
            return Err(LimitRefusal::Account(most));
        }
        Ok(AccountGuard { shared: self.0.clone(), user: user.clone() })
    }

    /// How many sessions there are.
    pub fn total(&self) -> u32 {
        self.0.counts.lock().total
    }
}

impl Drop for SessionGuard {
    fn drop(&mut self) {
        let mut counts = self.shared.counts.lock();
        counts.total -= 1;
        if let Some(address) = self.address {
            count_down(&mut counts.addresses, &address);
        }
    }
}

impl Drop for AccountGuard {
    fn drop(&mut self) {
        count_down(&mut self.shared.counts.lock().accounts, &self.user);
    }
}

/// Whether there was a place.
fn count_up<K: Hash + Eq>(counts: &mut HashMap<K, u32>, key: K, most: u32) -> bool {
    if most == 0 {
        return false;
    }
    let count = counts.entry(key).or_default();
    let free = *count < most;
    *count += u32::from(free);
    free
}

fn count_down<K: Hash + Eq>(counts: &mut HashMap<K, u32>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn limits(total: u32, per_address: u32, per_account: u32) -> SessionLimits {
        SessionLimits::new(SessionLimitSettings { total, per_address, per_account, ..SessionLimitSettings::default() })
    }

    #[test]
    fn each_bound_refuses_by_its_own_value() {
        let limits = limits(3, 2, 1);
        let connect = |address: &str| limits.connect(Some(address.parse().unwrap()));
        let held = [connect("192.0.2.1").unwrap(), connect("192.0.2.1").unwrap()];
        assert_eq!(connect("192.0.2.1").err(), Some(LimitRefusal::Address(2)));
        let _third = connect("192.0.2.2").unwrap();
        assert_eq!(connect("192.0.2.3").err(), Some(LimitRefusal::Total(3)));
        drop(held);
        assert!(connect("192.0.2.1").is_ok());

        let bob = "bob".parse().unwrap();
        let login = limits.log_in(&bob).unwrap();
        assert_eq!(limits.log_in(&bob).err(), Some(LimitRefusal::Account(1)));
        assert!(limits.log_in(&"alice".parse().unwrap()).is_ok());
        drop(login);
        assert!(limits.log_in(&bob).is_ok());
    }

    #[test]
    fn nothing_is_left_of_sessions_that_ended_or_were_refused() {
        let limits = limits(2, 1, 1);
        for _ in 0..3 {
            let one = limits.connect(Some("192.0.2.1".parse().unwrap())).unwrap();
            assert!(limits.connect(Some("192.0.2.1".parse().unwrap())).is_err());
            let two = limits.connect(Some("2001:db8::1".parse().unwrap())).unwrap();
            assert!(limits.connect(Some("2001:db8::2".parse().unwrap())).is_err());
            assert_eq!(limits.total(), 2);
            drop((one, two));
        }
        let counts = limits.0.counts.lock();
        assert_eq!((counts.total, counts.addresses.len(), counts.accounts.len()), (0, 0, 0));
    }

    #[test]
    fn the_machine_itself_and_local_sockets_have_the_total_only() {
        let limits = limits(4, 1, 1);
        let _held: Vec<_> = [Some("127.0.0.1"), Some("127.0.0.1"), Some("::1"), None]
            .map(|address| limits.connect(address.map(|text| text.parse().unwrap())).unwrap())
            .into();
        assert_eq!(limits.connect(None).err(), Some(LimitRefusal::Total(4)));
    }

    #[test]
    fn a_bound_of_zero_lets_nobody_in() {
        let limits = limits(1, 0, 0);
        assert_eq!(limits.connect(Some("192.0.2.1".parse().unwrap())).err(), Some(LimitRefusal::Address(0)));
        assert_eq!(limits.log_in(&"bob".parse().unwrap()).err(), Some(LimitRefusal::Account(0)));
    }
}
