//! Dovecot 2.3 in its three formats of one mailbox each: sdbox, mdbox, Maildir.

use std::fs;

use anyhow::{Result, bail};

use crate::versus::server::{Kind, Place, STORE, ids_of};

const PACKAGES: &[&str] = &["dovecot-imapd", "dovecot-lmtpd"];

pub static SDBOX: Kind = Kind {
    name: "Dovecot sdbox",
    short: "dovecot-sdbox",
    packages: PACKAGES,
    lmtp: true,
    prefix: "",
    promise: "`mail_fsync = optimized`, its default: messages are flushed, changes of flags are not",
    configure: |place| configure(place, "sdbox:~/sdbox"),
};
pub static MDBOX: Kind = Kind {
    name: "Dovecot mdbox",
    short: "dovecot-mdbox",
    configure: |place| configure(place, "mdbox:~/mdbox"),
    ..SDBOX
};
pub static MAILDIR: Kind = Kind {
    name: "Dovecot Maildir",
    short: "dovecot-maildir",
    configure: |place| configure(place, "maildir:~/Maildir"),
    ..SDBOX
};

/// As an operator who tunes it would: processes serve 200 connections in turn, logins are cached, no limit is near.
fn configure(place: &Place, location: &str) -> Result<String> {
    if !place.tree.as_ref().is_some_and(|tree| tree.version.contains("2.3.")) {
        bail!("this is not Dovecot 2.3, whose configuration alone is known here");
    }
    let (user, group) = ids_of(place, "versus")?;
    let Place { imap, imaps, lmtp, .. } = place;
    let text = format!(
        "protocols = imap lmtp
listen = 127.0.0.1
base_dir = /run/dovecot
state_dir = /run/dovecot
log_path = {STORE}/log
hostname = versus.example
ssl = yes
ssl_cert = <{STORE}/tls.crt
ssl_key = <{STORE}/tls.key
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_cache_size = 10 M
first_valid_uid = 1
mail_location = {location}
mail_max_userip_connections = 0
default_vsz_limit = 1 G
default_process_limit = 20000
default_client_limit = 25000
passdb {{
  driver = passwd-file
  args = {STORE}/users
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={STORE}/mail/%u
}}
namespace inbox {{
  inbox = yes
  separator = /
}}
protocol lmtp {{
  postmaster_address = postmaster@versus.example
}}
service imap-login {{
  service_count = 200
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service imap {{
  service_count = 200
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp}
  }}
}}
"
    );
    fs::write(place.folder.join("dovecot.conf"), text)?;
    Ok(format!("mkdir -p {STORE}/mail\nchown {user}:{group} {STORE}/mail\nexec dovecot -F -c {STORE}/dovecot.conf"))
}
