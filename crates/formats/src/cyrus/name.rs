//! Mailbox names: as Cyrus has them inside, in its databases, on its disk, and as clients see them.
//!
//! Inside, levels are parted by `.`, a dot within a level is `^`, and everything is in modified UTF-7: `user.alice.a^b.&ZeVnLIqe-`, with a virtual
//! domain `example.org!user.alice`.

use std::path::PathBuf;

use paquebot_protocol::{decode_utf7, encode_utf7};
use paquebot_types::MailboxName;

/// Between levels in the keys of 3.6's databases, where a dot is a dot.
const DATABASE_SEPARATOR: char = '\x1f';
/// Between a domain and a name there.
const DATABASE_DOMAIN: char = '\x1d';

/// How the store shows names to its clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// A user's mailboxes stand beside INBOX instead of below it.
    pub alternative: bool,
    /// Clients part levels by `/`, so that a level can hold a dot.
    pub slashes: bool,
    /// What other users' and shared mailboxes stand below, in an alternative namespace.
    pub users: String,
    pub shared: String,
}

/// An internal name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Internal {
    pub domain: Option<String>,
    /// Without the domain.
    pub name: String,
}

impl Internal {
    pub fn parse(text: &str) -> Option<Self> {
        let (domain, name) = match text.split_once('!') {
            Some((domain, name)) => (Some(domain.to_owned()), name),
            None => (None, text),
        };
        let is_level =
            |level: &str| !level.is_empty() && !level.contains(['/', '\0', DATABASE_SEPARATOR, DATABASE_DOMAIN]);
        let is_domain = domain.as_deref().is_none_or(|domain| is_level(domain) && !domain.starts_with('.'));
        (is_domain && name.split('.').all(is_level)).then(|| Self { domain, name: name.to_owned() })
    }

    /// INBOX of a user, who may have a domain.
    pub fn inbox(user: &str) -> Option<Self> {
        let (local, domain) = match user.rsplit_once('@') {
            Some((local, domain)) => (local, Some(domain.to_ascii_lowercase())),
            None => (user, None),
        };
        let name = format!("user.{}", local.replace('.', "^"));
        // With `^` it would be another user's INBOX.
        let sane = !local.is_empty() && !local.contains(['!', '/', '^']) && !local.contains(char::is_control);
        Self::parse(&name).filter(|_| sane).map(|inbox| Self { domain, ..inbox })
    }

    /// From a key of 3.6's mailboxes.db without its `N`.
    pub fn from_database(key: &str) -> Option<Self> {
        let (domain, name) = match key.split_once(DATABASE_DOMAIN) {
            Some((domain, name)) => (Some(domain.to_owned()), name),
            None => (None, key),
        };
        let name = name.replace('.', "^").replace(DATABASE_SEPARATOR, ".");
        Self::parse(&name).map(|internal| Self { domain, ..internal })
    }

    pub fn to_database(&self) -> String {
        let name = self.name.replace('.', "\x1f").replace('^', ".");
        self.domain.as_ref().map_or(name.clone(), |domain| format!("{domain}{DATABASE_DOMAIN}{name}"))
    }

    /// The name of the user whose mailbox this is; `None` for a shared one.
    pub fn user(&self) -> Option<String> {
        let local = self.name.strip_prefix("user.")?.split('.').next()?.replace('^', ".");
        Some(self.domain.as_ref().map_or(local.clone(), |domain| format!("{local}@{domain}")))
    }

    /// What is below another mailbox's name: empty for itself.
    pub fn below<'a>(&'a self, other: &Self) -> Option<&'a str> {
        let rest = self.name.strip_prefix(&other.name).filter(|_| self.domain == other.domain)?;
        if rest.is_empty() { Some("") } else { rest.strip_prefix('.') }
    }

    /// The name as one text.
    pub fn whole(&self) -> String {
        self.domain.as_ref().map_or(self.name.clone(), |domain| format!("{domain}!{}", self.name))
    }

    /// Whether it is kept only until somebody cleans up.
    pub fn is_deleted(&self) -> bool {
        self.name.starts_with("DELETED.")
    }
}

impl Names {
    /// As clients of a user see it, with this server's separator; `None` if no client could.
    pub fn shown(&self, internal: &Internal, inbox: &Internal) -> Option<MailboxName> {
        let name = match internal.below(inbox) {
            Some("") => "INBOX".to_owned(),
            Some(rest) if self.alternative => self.levels(rest)?,
            Some(rest) => format!("INBOX/{}", self.levels(rest)?),
            None if internal.domain != inbox.domain => return None,
            None if self.alternative => match internal.name.strip_prefix("user.") {
                Some(rest) => format!("{}/{}", self.users, self.levels(rest)?),
                None => format!("{}/{}", self.shared, self.levels(&internal.name)?),
            },
            None => self.levels(&internal.name)?,
        };
        MailboxName::new(&name).ok()
    }

    /// The mailbox that a user means; `None` if there cannot be one of this name.
    pub fn meant(&self, name: &MailboxName, inbox: &Internal) -> Option<Internal> {
        if name.is_inbox() {
            return Some(inbox.clone());
        }
        let text = name.as_str();
        let below = |prefix: &str| text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/'));
        let own = |rest: &str| Some(format!("{}.{}", inbox.name, self.inside(rest)?));
        let inside = match (self.alternative, below("INBOX")) {
            (false, Some(rest)) => own(rest)?,
            (false, None) => self.inside(text)?,
            (true, _) => match (below(&self.users), below(&self.shared)) {
                (Some(rest), _) => format!("user.{}", self.inside(rest)?),
                (_, Some(rest)) => self.inside(rest)?,
                _ => own(text)?,
            },
        };
        Internal::parse(&inside).map(|found| Internal { domain: inbox.domain.clone(), ..found })
    }

    fn levels(&self, inside: &str) -> Option<String> {
        let show = |level: &str| {
            let level = if self.slashes { level.replace('^', ".") } else { level.to_owned() };
            decode_utf7(&level).map(|level| level.into_owned())
        };
        let levels: Option<Vec<String>> = inside.split('.').map(show).collect();
        let levels = levels?;
        // A level that decodes to a name with the separator in it would be two.
        levels.iter().all(|level| !level.contains('/')).then(|| levels.join("/"))
    }

    fn inside(&self, shown: &str) -> Option<String> {
        let hide = |level: &str| {
            let level = encode_utf7(level).into_owned();
            match self.slashes {
                true if level.contains('^') => None,
                true => Some(level.replace('.', "^")),
                false => Some(level).filter(|level| !level.contains('.')),
            }
        };
        let levels: Option<Vec<String>> = shown.split('/').map(hide).collect();
        levels.map(|levels| levels.join("."))
    }
}

/// How directories are spread over others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// Not at all.
    Plain,
    /// By the first letter.
    Letter,
    /// By a sum over the whole name (`fulldirhash`).
    Sum,
}

impl Spread {
    /// The directory for what belongs to a name.
    pub fn directory(self, name: &str) -> Option<String> {
        match self {
            Self::Plain => None,
            Self::Letter => {
                let first = name.bytes().next().map_or(b'q', |first| first.to_ascii_lowercase());
                Some(char::from(if first.is_ascii_lowercase() { first } else { b'q' }).to_string())
            }
            Self::Sum => {
                let part = name.bytes().take_while(|byte| *byte != b'.');
                let sum = part.fold(0_u32, |sum, byte| ((sum << 3) ^ (sum >> 5)) ^ u32::from(byte));
                Some(char::from(b'A' + (sum % 23) as u8).to_string())
            }
        }
    }

    /// Where a mailbox lies in a partition that goes by names.
    pub fn path(self, internal: &Internal) -> PathBuf {
        let mut path = self.domain(internal);
        let mut levels = internal.name.split('.');
        let (first, second) = (levels.next().unwrap_or_default(), levels.next());
        path.extend(self.directory(second.unwrap_or(first)));
        path.push(first);
        path.extend(second);
        path.extend(levels);
        path
    }

    fn domain(self, internal: &Internal) -> PathBuf {
        let Some(domain) = &internal.domain else { return PathBuf::new() };
        let mut path = PathBuf::from("domain");
        path.extend(self.directory(domain));
        path.push(domain);
        path
    }

    /// Where a user's own file lies in the configuration directory: it is always below a letter or a sum.
    pub fn user_file(self, inbox: &Internal, kind: &str) -> PathBuf {
        let spread = if self == Self::Plain { Self::Letter } else { self };
        let local = inbox.name.strip_prefix("user.").unwrap_or(&inbox.name).replace('^', ".");
        let mut path = spread.domain(inbox);
        path.push("user");
        path.extend(spread.directory(&local));
        path.push(format!("{local}.{kind}"));
        path
    }

    /// What the lock of a name is called that is no mailbox's path.
    pub fn lock(self, name: &str) -> PathBuf {
        let name = name.replace('.', "^");
        let mut path: PathBuf = self.directory(&name).into_iter().collect();
        path.push(name);
        path
    }
}

/// Where something lies that goes by a mailbox's unique id, below the partition or the configuration directory's `user`.
pub fn by_id(unique_id: &str) -> Option<PathBuf> {
    let mut letters = unique_id.chars();
    let (first, second) = (letters.next()?, letters.next()?);
    let sane = unique_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    sane.then(|| ["uuid", &first.to_string(), &second.to_string(), unique_id].iter().collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn names(alternative: bool, slashes: bool) -> Names {
        Names { alternative, slashes, users: "Other Users".into(), shared: "Shared Folders".into() }
    }

    #[test]
    fn names_are_shown_and_meant() {
        let alice = Internal::inbox("alice").unwrap();
        for (alternative, inside, shown) in [
            (false, "user.alice", "INBOX"),
            (false, "user.alice.a^b.c d", "INBOX/a.b/c d"),
            (false, "user.alice.&ZeVnLIqe-", "INBOX/日本語"),
            (false, "user.bob.Sent", "user/bob/Sent"),
            (false, "lists.x", "lists/x"),
            (true, "user.alice.Sent", "Sent"),
            (true, "user.bob.Sent", "Other Users/bob/Sent"),
            (true, "lists.x", "Shared Folders/lists/x"),
        ] {
            let internal = Internal::parse(inside).unwrap();
            let name = MailboxName::new(shown).unwrap();
            assert_eq!(names(alternative, true).shown(&internal, &alice), Some(name.clone()), "{inside}");
            assert_eq!(names(alternative, true).meant(&name, &alice), Some(internal), "{shown}");
        }
        let dotted = MailboxName::new("INBOX/a.b").unwrap();
        assert_eq!(names(false, false).meant(&dotted, &alice), None);
        let alicia = Internal::parse("user.alicia").unwrap();
        assert_eq!(alicia.below(&alice), None);
    }

    #[test]
    fn users_have_dots_and_domains() {
        let inbox = Internal::inbox("jo.hn@Example.org").unwrap();
        assert_eq!(inbox.whole(), "example.org!user.jo^hn");
        assert_eq!(inbox.user().as_deref(), Some("jo.hn@example.org"));
        assert_eq!(Internal::from_database("user\x1fjo.hn").unwrap().name, "user.jo^hn");
        assert_eq!(inbox.to_database(), "example.org\x1duser\x1fjo.hn");
        assert_eq!(Internal::from_database(&inbox.to_database()), Some(inbox));
        assert_eq!(Internal::parse("user.jo^hn.Sent").unwrap().to_database(), "user\x1fjo.hn\x1fSent");
        for user in ["", "@x", "a/b", "a!b", "a^b", "a\nb"] {
            assert_eq!(Internal::inbox(user), None, "{user}");
        }
        assert_eq!(Internal::parse("user..x"), None);
        assert_eq!(Internal::parse("user.a/../b"), None);
    }

    #[test]
    fn paths_are_spread() {
        let carol = Internal::parse("user.Carol.Sent").unwrap();
        assert_eq!(Spread::Plain.path(&carol), PathBuf::from("user/Carol/Sent"));
        assert_eq!(Spread::Letter.path(&carol), PathBuf::from("c/user/Carol/Sent"));
        assert_eq!(Spread::Letter.path(&Internal::parse("9lists").unwrap()), PathBuf::from("q/9lists"));
        let there = Internal::inbox("carol@example.org").unwrap();
        assert_eq!(Spread::Letter.path(&there), PathBuf::from("domain/e/example.org/c/user/carol"));
        assert_eq!(Spread::Letter.user_file(&there, "seen"), PathBuf::from("domain/e/example.org/user/c/carol.seen"));
        let dotted = Internal::inbox("jo.hn").unwrap();
        assert_eq!(Spread::Plain.user_file(&dotted, "sub"), PathBuf::from("user/j/jo.hn.sub"));
        assert_eq!(Spread::Letter.lock("*U*jo.hn@example.org"), PathBuf::from("q/*U*jo^hn@example^org"));
        assert_eq!(Spread::Plain.lock("xsawb"), PathBuf::from("xsawb"));
        assert_eq!(by_id("xsawb").unwrap(), PathBuf::from("uuid/x/s/xsawb"));
        assert_eq!((by_id("x"), by_id("../../etc")), (None, None));
    }
}
