//! Who is subscribed to what: Dovecot's `subscriptions` or Courier's `courierimapsubscribed`, in the top directory.

use paquebot_types::MailboxName;

use super::files::Files;
use super::folders::Tree;
use super::lock::DotLock;
use super::uids::Server;
use super::{read_if_there, unique};
use crate::error::FormatError;

const DOVECOT: &str = "subscriptions";
const COURIER: &str = "courierimapsubscribed";
/// The first lines of version 2; version 1 has none.
const VERSION: &[u8] = b"V\t2\n\n";
/// Courier's names begin with it.
const PREFIX: &str = "INBOX.";

pub fn read(tree: &Tree) -> Result<Vec<MailboxName>, FormatError> {
    match tree.server {
        Server::Dovecot => {
            let text = read_if_there(&tree.top.join(DOVECOT))?.unwrap_or_default();
            Ok(parse_dovecot(tree, &text))
        }
        Server::Courier => {
            let text = read_if_there(&tree.top.join(COURIER))?.unwrap_or_default();
            Ok(lines(&text).filter_map(courier_name).collect())
        }
    }
}

pub fn subscribe(tree: &Tree, files: Files, name: &MailboxName, subscribed: bool) -> Result<(), FormatError> {
    let file = match tree.server {
        Server::Dovecot => DOVECOT,
        Server::Courier => COURIER,
    };
    let path = tree.top.join(file);
    let _lock = match tree.server {
        Server::Dovecot => Some(DotLock::take(&tree.top.join("subscriptions.lock"), &path, &tree.top)?),
        // Courier has no lock for it.
        Server::Courier => None,
    };
    let mut names = read(tree)?;
    if names.contains(name) == subscribed {
        return Ok(());
    }
    match subscribed {
        true => names.push(name.clone()),
        false => names.retain(|other| other != name),
    }
    let text: Vec<u8> = match tree.server {
        Server::Dovecot => {
            let lines: String = names.iter().map(|name| dovecot_line(tree, name)).collect();
            [VERSION, lines.as_bytes()].concat()
        }
        Server::Courier => names.iter().map(courier_line).collect::<String>().into_bytes(),
    };
    files.replace(&path, &tree.top.join(format!(".temp.{}", unique::name())), &text).map(|_| ())
}

fn parse_dovecot(tree: &Tree, text: &[u8]) -> Vec<MailboxName> {
    let Some(text) = text.strip_prefix(VERSION) else {
        // Version 1: the separator is that of the configuration.
        let separator = if lines(text).any(|line| line.contains('/')) { '/' } else { '.' };
        return lines(text).filter_map(|line| joined(tree, line.split(separator).map(str::to_owned))).collect();
    };
    lines(text).filter_map(|line| joined(tree, line.split('\t').map(unescape))).collect()
}

fn joined(tree: &Tree, levels: impl Iterator<Item = String>) -> Option<MailboxName> {
    let levels: Option<Vec<String>> = levels.map(|level| tree.decode(&level)).collect();
    MailboxName::new(&levels?.join("/")).ok()
}

fn dovecot_line(tree: &Tree, name: &MailboxName) -> String {
    // No level holds what would have to be escaped: control characters are no part of names.
    let levels: Vec<String> = name.as_str().split('/').map(|level| tree.encode(level)).collect();
    format!("{}\n", levels.join("\t"))
}

/// 0x01 and a letter stand for an octet that divides.
fn unescape(level: &str) -> String {
    let mut out = String::with_capacity(level.len());
    let mut chars = level.chars();
    while let Some(char) = chars.next() {
        match (char, char == '\x01') {
            (_, true) => out.extend(chars.next().map(|escaped| match escaped {
                '0' => '\0',
                '1' => '\x01',
                't' => '\t',
                'n' => '\n',
                'r' => '\r',
                other => other,
            })),
            (char, false) => out.push(char),
        }
    }
    out
}

fn courier_name(line: &str) -> Option<MailboxName> {
    if line.eq_ignore_ascii_case("INBOX") {
        return Some(MailboxName::inbox());
    }
    MailboxName::new(&line.strip_prefix(PREFIX)?.replace('.', "/")).ok()
}

fn courier_line(name: &MailboxName) -> String {
    match name.is_inbox() {
        true => "INBOX\n".to_owned(),
        false => format!("{PREFIX}{}\n", name.as_str().replace('/', ".")),
    }
}

/// Those that are text, without empty ones.
fn lines(text: &[u8]) -> impl Iterator<Item = &str> {
    let lines = text.split(|octet| *octet == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
    lines.map(|line| line.trim_end_matches('\r')).filter(|line| !line.is_empty())
}
