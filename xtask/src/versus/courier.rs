//! Courier IMAP: Maildir, a process for each connection, no LMTP (its mail transport delivers by other means).

use std::fs;

use anyhow::Result;

use crate::versus::server::{Kind, PASSWORD, Place, STORE, USERS, ids_of};

pub static COURIER: Kind = Kind {
    name: "Courier",
    short: "courier",
    packages: &["courier-imap", "courier-authdaemon", "courier-authlib-userdb"],
    lmtp: false,
    prefix: "INBOX.",
    promise: "flushes nothing: what was answered OK is on disk when the kernel gets to it",
    configure,
};

/// Debian's settings, without its limits.
const SETTINGS: &str = "\
IMAP_CAPABILITY=\"IMAP4rev1 UIDPLUS CHILDREN NAMESPACE THREAD=ORDEREDSUBJECT THREAD=REFERENCES SORT QUOTA IDLE\"
IMAP_KEYWORDS=1
IMAP_ACL=1
IMAP_IDLE_TIMEOUT=60
IMAP_MAILBOX_SANITY_CHECK=1
IMAP_CHECK_ALL_FOLDERS=0
IMAP_USELOCKS=1
IMAP_EMPTYTRASH=Trash:7
IMAP_TRASHFOLDERNAME=Trash
IMAP_TLS_REQUIRED=0
COURIERTLS=/usr/bin/couriertls
MAILDIRPATH=Maildir
";

fn configure(place: &Place) -> Result<String> {
    let (user, group) = ids_of(place, "versus")?;
    let Place { imap, imaps, .. } = place;
    let courier = place.folder.join("courier");
    fs::create_dir_all(&courier)?;
    let users: String = (1..=USERS)
        .map(|n| format!("u{n}\tuid={user}|gid={group}|home={STORE}/mail/u{n}|shell=/bin/false|imappw={{SHA}}HASH\n"))
        .collect();
    fs::write(courier.join("userdb.in"), users)?;
    fs::write(courier.join("settings"), format!("{SETTINGS}TLS_CERTFILE={STORE}/courier/imapd.pem\n"))?;
    fs::write(
        courier.join("authdaemonrc"),
        "authmodulelist=\"authuserdb\"\nauthmodulelistorig=\"authuserdb\"\ndaemons=5\nauthdaemonvar=/run/courier/authdaemon\n\
         DEBUG_LOGIN=0\nDEFAULTOPTIONS=\"\"\nLOGGEROPTS=\"\"\n",
    )?;
    let listen = "/usr/sbin/couriertcpd -address=127.0.0.1 -maxprocs=20000 -maxperip=20000 -nodnslookup -noidentlookup";
    let login = "/usr/lib/courier/courier/imaplogin /usr/bin/imapd Maildir";
    Ok(format!(
        "mount -t tmpfs -o mode=755 tmpfs /etc/courier
cp {STORE}/courier/authdaemonrc /etc/courier/
cat {STORE}/tls.key {STORE}/tls.crt >{STORE}/courier/imapd.pem
hash=$(printf %s {PASSWORD} | openssl dgst -sha1 -binary | base64)
umask 077
sed \"s|HASH|$hash|\" {STORE}/courier/userdb.in >/etc/courier/userdb
makeuserdb
umask 022
if [ ! -e {STORE}/mail ]; then
  for n in $(seq {USERS}); do mkdir -p {STORE}/mail/u$n/Maildir/cur {STORE}/mail/u$n/Maildir/new {STORE}/mail/u$n/Maildir/tmp; done
  chown -R {user}:{group} {STORE}/mail
fi
mkdir -p /run/courier/authdaemon
set -a
. {STORE}/courier/settings
. /etc/courier/authdaemonrc
/usr/lib/courier/courier-authlib/authdaemond &
while [ ! -S /run/courier/authdaemon/socket ]; do sleep 0.01; done
IMAP_TLS=1 {listen} {imaps} $COURIERTLS -server -tcpd {login} &
{listen} {imap} {login} &
trap 'exit 0' TERM
wait"
    ))
}
