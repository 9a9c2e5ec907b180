//! Connecting to etcd.

use std::time::Duration;

use etcd_client::{Certificate, Client, ConnectOptions, Identity, TlsOptions};

use crate::failure::Failure;
use crate::options::Options;

/// A member whose connection says nothing for this long is asked whether it is there, and has as long to answer. etcd closes the connections
/// of those who ask more often than every five seconds.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(6), Duration::from_secs(3));

/// A client of etcd's own, for what is not the log's: by the same addresses, certificates and login. It asks the members in turn, one that is away too: whoever
/// has it tells it to leave that one out.
pub async fn connect(options: &Options) -> Result<Client, Failure> {
    let first = options.endpoints.first().map_or("", String::as_str);
    Ok(Client::connect(&options.endpoints, Some(self::options(options, first))).await?)
}

pub fn options(options: &Options, endpoint: &str) -> ConnectOptions {
    let (interval, timeout) = KEEP_ALIVE;
    let mut connect = ConnectOptions::new()
        .with_connect_timeout(options.attempt)
        .with_keep_alive(interval, timeout)
        // A member that has lost its quorum says so, instead of keeping a watch silent.
        .with_require_leader(true)
        .with_auto_token_refresh(true);
    if let Some(login) = &options.login {
        connect = connect.with_user(&login.name, &login.password);
    }
    if let Some(tls) = options.tls.as_ref().filter(|_| endpoint.starts_with("https://")) {
        let mut config = TlsOptions::new();
        if let Some(authority) = &tls.authority {
            config = config.ca_certificate(Certificate::from_pem(authority));
        }
        if let Some((certificate, key)) = &tls.client {
            config = config.identity(Identity::from_pem(certificate, key));
        }
        if let Some(name) = &tls.server_name {
            config = config.domain_name(name);
        }
        connect = connect.with_tls(config);
    }
    connect
}
