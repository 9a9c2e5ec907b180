//! What each part of the server makes of the configuration.

use paquebot_auth::{AuthenticatorSettings, Network, Scheme, SessionLimitSettings, ThrottleSettings};
use paquebot_delivery::{Addresses, LocalUsers};
use paquebot_protocol::Limits as CommandLimits;
use paquebot_store::{Budget, Options};

use crate::config::Config;
use crate::network::NetworkText;

impl Config {
    /// The bounds of an IMAP session.
    pub fn session(&self) -> paquebot_session::Config {
        let limits = &self.limits;
        paquebot_session::Config {
            limits_before_login: CommandLimits {
                line_bytes: limits.line_before_login,
                literal_bytes: limits.literal_before_login,
                literals_bytes: limits.literals_total_before_login,
                literals: limits.literals_before_login,
                drain_bytes: limits.drain_before_login,
                append_drain_bytes: limits.message_drain_before_login,
                ..CommandLimits::BEFORE_LOGIN
            },
            limits: CommandLimits {
                line_bytes: limits.line,
                literal_bytes: limits.literal,
                literals_bytes: limits.literals_total,
                literals: limits.literals,
                append_bytes: limits.message,
                drain_bytes: limits.drain,
                append_drain_bytes: limits.message_drain,
                ..CommandLimits::AFTER_LOGIN
            },
            set_elements_max: limits.set_elements.get(),
            search_depth_max: limits.search_depth.get(),
            bad_commands_max: limits.bad_commands.get(),
            failed_logins_max: limits.failed_logins.get(),
            login_timeout: limits.login_time,
            idle_timeout: limits.idle_time,
            command_timeout: limits.command_time,
            write_timeout: limits.write_time,
            keepalive: limits.keepalive,
            plain_login: self.auth.plain_login,
            compress: self.imap.compress,
        }
    }

    /// How many IMAP sessions there may be.
    pub fn session_limits(&self) -> SessionLimitSettings {
        SessionLimitSettings {
            total: self.limits.sessions.get(),
            per_address: self.limits.sessions_per_address.get(),
            per_account: self.limits.sessions_per_account.get(),
            unbounded: self.limits.unlimited_networks.iter().map(NetworkText::network).collect(),
        }
    }

    /// The networks whose connections begin with a PROXY header.
    pub fn proxy_networks(&self) -> Vec<Network> {
        self.listen.proxy_from.iter().map(NetworkText::network).collect()
    }

    pub fn authenticator(&self) -> AuthenticatorSettings {
        let auth = &self.auth;
        let defaults = AuthenticatorSettings::default();
        AuthenticatorSettings {
            parallel_hashes: if auth.parallel_hashes == 0 { defaults.parallel_hashes } else { auth.parallel_hashes },
            cache_for: auth.remember,
            cache_entries: auth.remembered,
            scram_iterations: auth.scram_iterations,
        }
    }

    /// The delay that grows with failed logins.
    pub fn throttle(&self) -> ThrottleSettings {
        let delay = &self.auth.delay;
        ThrottleSettings {
            address: (&delay.address).into(),
            pair: (&delay.pair).into(),
            account: (&delay.account).into(),
            half_life: delay.half_life,
            shared: delay.shared.iter().map(NetworkText::network).collect(),
            entries_max: delay.entries,
        }
    }

    /// The scheme of passwords without one in the passwd-file. Loading has proved that there is a scheme of this name.
    pub fn passwd_scheme(&self) -> Scheme {
        Scheme::named(&self.auth.passwd_scheme).unwrap_or(Scheme::Crypt)
    }

    /// `machine` is the machine's own name.
    pub fn delivery(&self, machine: &str) -> paquebot_delivery::Config {
        let delivery = &self.delivery;
        let domains: Vec<String> = delivery.local_domains.iter().map(|domain| domain.to_lowercase()).collect();
        paquebot_delivery::Config {
            host_name: delivery.host_name.clone().unwrap_or_else(|| machine.to_owned()),
            message_bytes_max: delivery.message,
            drain_bytes_max: delivery.drain,
            recipients_max: delivery.recipients.get(),
            connections_max: delivery.connections.get(),
            bad_commands_max: delivery.bad_commands.get(),
            command_timeout: delivery.command_time,
            data_timeout: delivery.data_time,
            message_timeout: delivery.message_time,
            write_timeout: delivery.write_time,
            addresses: Addresses {
                delimiters: delivery.detail_delimiters.clone(),
                local_users: if domains.is_empty() { LocalUsers::AnyDomain } else { LocalUsers::Domains(domains) },
            },
        }
    }

    pub fn store_options(&self) -> Options {
        let store = &self.store;
        Options {
            cache_bytes: store.cache,
            pack_bytes: store.pack,
            reserve_step_bytes: store.reserve_step,
            index_headroom_bytes: store.index_headroom,
            ballast_bytes: store.ballast,
            checkpoint_bytes: store.checkpoint,
            checkpoint_interval: store.checkpoint_interval,
            open_packs: store.open_packs.get(),
            verify_index: store.verify_index,
        }
    }

    /// How much one upkeep does to give space back.
    pub fn reclaim_budget(&self) -> Budget {
        Budget { copy_bytes: self.store.reclaim_copy, dead_percent: self.store.reclaim_dead_percent }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_parts() {
        let config = Config::default();
        let same = |one: &dyn std::fmt::Debug, other: &dyn std::fmt::Debug| {
            assert_eq!(format!("{one:?}"), format!("{other:?}"));
        };
        same(&config.session(), &paquebot_session::Config::default());
        same(&config.session_limits(), &SessionLimitSettings::default());
        same(&config.authenticator(), &AuthenticatorSettings::default());
        same(&config.throttle(), &ThrottleSettings::default());
        same(&config.delivery("localhost"), &paquebot_delivery::Config::default());
        same(&config.store_options(), &Options::default());
        same(&config.reclaim_budget(), &Budget::default());
    }
}
