//! Cyrus IMAP 3.

use std::fs;

use anyhow::Result;

use crate::versus::server::{Kind, PASSWORD, Place, STORE, USERS};

pub static CYRUS: Kind = Kind {
    name: "Cyrus",
    short: "cyrus",
    packages: &["cyrus-imapd", "sasl2-bin"],
    lmtp: true,
    prefix: "",
    promise: "its defaults: messages and the mailbox's index are flushed, changes of flags too",
    configure,
};

const REALM: &str = "versus.example";

/// Debian's settings, with processes that serve 200 connections in turn, no limit near, and nothing done at night.
fn configure(place: &Place) -> Result<String> {
    let Place { imap, imaps, lmtp, .. } = place;
    let imapd = format!(
        "configdirectory: {STORE}/conf
proc_path: /run/cyrus/proc
mboxname_lockpath: /run/cyrus/lock
defaultpartition: default
partition-default: {STORE}/spool
servername: {REALM}
unixhierarchysep: yes
altnamespace: yes
munge8bit: no
duplicatesuppression: no
autocreate_quota: 0
autocreate_post: yes
allowplaintext: yes
sasl_mech_list: PLAIN
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: {STORE}/sasldb2
idlesocket: /run/cyrus/socket/idle
lmtpsocket: /run/cyrus/socket/lmtp
notifysocket: /run/cyrus/socket/notify
tls_server_cert: {STORE}/tls.crt
tls_server_key: {STORE}/tls.key
"
    );
    let services = format!(
        "START {{
  recover cmd=\"ctl_cyrusdb -C {STORE}/imapd.conf -r\"
  idled cmd=\"idled -C {STORE}/imapd.conf\"
}}
SERVICES {{
  imap cmd=\"imapd -C {STORE}/imapd.conf -U 200\" listen=\"127.0.0.1:{imap}\" prefork=2 maxchild=-1
  imaps cmd=\"imapd -C {STORE}/imapd.conf -s -U 200\" listen=\"127.0.0.1:{imaps}\" prefork=2 maxchild=-1
  lmtp cmd=\"lmtpd -C {STORE}/imapd.conf -a -U 200\" listen=\"127.0.0.1:{lmtp}\" prefork=1 maxchild=-1
}}
EVENTS {{
  checkpoint cmd=\"ctl_cyrusdb -C {STORE}/imapd.conf -c\" period=30
}}
"
    );
    fs::write(place.folder.join("imapd.conf"), imapd)?;
    fs::write(place.folder.join("cyrus.conf"), services)?;
    Ok(format!(
        "if [ ! -e {STORE}/sasldb2 ]; then
  for n in $(seq {USERS}); do echo {PASSWORD} | saslpasswd2 -p -c -f {STORE}/sasldb2 -u {REALM} u$n; done
  for folder in db msg log quota user sieve backup; do mkdir -p {STORE}/conf/$folder; done
  mkdir -p {STORE}/spool
  chown -R cyrus {STORE}/conf {STORE}/spool {STORE}/sasldb2 {STORE}/tls.key
fi
mkdir -p /run/cyrus/proc /run/cyrus/lock /run/cyrus/socket
chown -R cyrus /run/cyrus
exec /usr/lib/cyrus/bin/master -C {STORE}/imapd.conf -M {STORE}/cyrus.conf -p /run/cyrus/master.pid"
    ))
}
