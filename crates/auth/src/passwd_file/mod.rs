//! A file of users in Dovecot's passwd-file syntax, read again when it changes.

mod line;

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

use crate::password::{Cost, Scheme, SchemeError};
use crate::source::{CredentialSource, Found, SourceError};
use crate::user_name::{UserName, UserNameError};
use line::{Line, parse_line};

/// The largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// How often the file is looked at for changes, at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How many lines that cannot be used are reported; a file of another kind altogether would have one on each.
const PROBLEMS_MAX: usize = 20;
/// How many costs are kept for the work that failed logins take.
const COSTS_MAX: usize = 4;
/// How many are told apart before the most common are kept.
const COSTS_COUNTED_MAX: usize = 64;

/// The users of one file:
///
/// ```text
/// user:password:uid:gid:gecos:home:shell:extra fields
/// ```
///
/// Trailing fields may be missing. Empty lines and lines that start with `#` or `:` are passed over. The password is `{SCHEME}value`,
/// or a value of the default scheme. Of the extra fields, parted by spaces, `nologin` and `allow_nets=` are honoured, all others are
/// passed over, as are the fields from uid to shell. A line that cannot be used locks its user out and no one else; it is logged by
/// file and line number, without its password.
///
/// A look-up looks at the file's times, size and inode, once a second at most, and reads it again if they changed. If it cannot be
/// read, look-ups fail until it can be: users who were taken out must not live on.
///
/// Of the costs of its hashes the four most common count for the time that failures take (see [`CredentialSource::costs`]): users
/// whose hashes are of a fifth kind can be told by it.
#[derive(Debug)]
pub struct PasswdFile {
    path: PathBuf,
    default_scheme: Scheme,
    loaded: Mutex<Loaded>,
}

/// The file cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum PasswdFileError {
    #[error("passwd-file {path}: cannot be read; check that it exists and that the server's user may read it")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("passwd-file {path}: has {bytes} bytes, more than {FILE_BYTES_MAX}")]
    TooLarge { path: PathBuf, bytes: u64 },
}

/// A line that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("passwd-file {path}, line {line}: {reason}")]
pub struct LineProblem {
    pub path: PathBuf,
    /// From 1.
    pub line: usize,
    pub reason: LineError,
}

/// What is wrong with a line. Holds nothing of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    #[error("not UTF-8")]
    NotUtf8,
    #[error("no password field; a line is `user:password:uid:gid:gecos:home:shell:extra fields`")]
    NoPassword,
    #[error("{0}")]
    UserName(#[from] UserNameError),
    #[error("{0}")]
    Password(#[from] SchemeError),
    #[error("allow_nets is not a list of addresses and address/bits networks, parted by commas")]
    AllowNets,
    #[error("the user stands on line {first} already, which counts")]
    Duplicate { first: usize },
}

#[derive(Debug)]
struct Loaded {
    stamp: Stamp,
    looked: Instant,
    users: HashMap<UserName, User>,
    costs: Vec<Cost>,
    problems: Vec<LineProblem>,
}

#[derive(Debug)]
struct User {
    line: usize,
    /// Nothing if the line cannot be used.
    found: Option<Found>,
}

/// What tells one state of the file from the next. The change time catches an edit that leaves time of modification and size alone.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    changed: (i64, i64),
    bytes: u64,
    inode: u64,
}

impl PasswdFile {
    /// Reads the file. `default_scheme` is for passwords without `{SCHEME}`; Dovecot's is [`Scheme::Crypt`].
    pub fn open(path: impl Into<PathBuf>, default_scheme: Scheme) -> Result<Self, PasswdFileError> {
        let path = path.into();
        let loaded = load(&path, default_scheme, Instant::now())?;
        Ok(Self { path, default_scheme, loaded: Mutex::new(loaded) })
    }

    /// The lines that could not be used when the file was last read, the first 20 of them.
    pub fn problems(&self) -> Vec<LineProblem> {
        self.loaded.lock().problems.clone()
    }

    /// How many users have a line that can be used.
    pub fn users(&self) -> usize {
        self.loaded.lock().users.values().filter(|user| user.found.is_some()).count()
    }

    /// Every user with a line that can be used, by name.
    pub fn all(&self) -> Vec<(UserName, Found)> {
        let loaded = self.loaded.lock();
        let usable = loaded.users.iter().filter_map(|(name, user)| Some((name.clone(), user.found.clone()?)));
        let mut all: Vec<_> = usable.collect();
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        all
    }

    fn find_at(&self, user: &UserName, now: Instant) -> Result<Option<Found>, PasswdFileError> {
        let mut loaded = self.loaded.lock();
        if now.saturating_duration_since(loaded.looked) >= LOOK_EVERY {
            // An error leaves `looked` as it is, so that the next look-up tries again.
            if stamp(&metadata(&self.path)?) == loaded.stamp {
                loaded.looked = now;
            } else {
                *loaded = load(&self.path, self.default_scheme, now)?;
            }
        }
        Ok(loaded.users.get(user).and_then(|user| user.found.clone()))
    }
}

impl CredentialSource for PasswdFile {
    fn find(&self, user: &UserName) -> Result<Option<Found>, SourceError> {
        self.find_at(user, Instant::now())
            .map_err(|error| SourceError { what: error.to_string(), source: Some(Box::new(error)) })
    }

    fn costs(&self) -> Vec<Cost> {
        self.loaded.lock().costs.clone()
    }
}

fn metadata(path: &Path) -> Result<Metadata, PasswdFileError> {
    fs::metadata(path).map_err(|source| PasswdFileError::Read { path: path.to_owned(), source })
}

fn stamp(metadata: &Metadata) -> Stamp {
    use std::os::unix::fs::MetadataExt;
    Stamp {
        modified: metadata.modified().ok(),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
        bytes: metadata.len(),
        inode: metadata.ino(),
    }
}

fn load(path: &Path, default_scheme: Scheme, now: Instant) -> Result<Loaded, PasswdFileError> {
    let failed = |source| PasswdFileError::Read { path: path.to_owned(), source };
    let file = fs::File::open(path).map_err(failed)?;
    // Taken from the open file and before reading: a change during the reading shows at the next look.
    let stamp = stamp(&file.metadata().map_err(failed)?);
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(PasswdFileError::TooLarge { path: path.to_owned(), bytes: stamp.bytes });
    }
    let (users, errors) = parse(&bytes, default_scheme);
    let problems: Vec<_> = errors
        .into_iter()
        .take(PROBLEMS_MAX)
        .map(|(line, reason)| LineProblem { path: path.to_owned(), line, reason })
        .collect();
    for problem in &problems {
        tracing::warn!("{problem}");
    }
    let costs = common_costs(&users);
    Ok(Loaded { stamp, looked: now, users, costs, problems })
}

/// All users, and the lines (counted from 1) that cannot be used.
fn parse(bytes: &[u8], default_scheme: Scheme) -> (HashMap<UserName, User>, Vec<(usize, LineError)>) {
    let mut users: HashMap<UserName, User> = HashMap::new();
    let mut errors = Vec::new();
    for (index, bytes) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = index + 1;
        match parse_line(bytes, default_scheme) {
            Ok(Line::Nothing) => {}
            Ok(Line::User { name, found }) => {
                let found = found.map_err(|reason| errors.push((line, reason))).ok();
                match users.get(&name) {
                    Some(User { line: first, .. }) => errors.push((line, LineError::Duplicate { first: *first })),
                    None => {
                        users.insert(name, User { line, found });
                    }
                }
            }
            Err(reason) => errors.push((line, reason)),
        }
    }
    (users, errors)
}

/// The distinct costs of the users' hashes, the most common first.
fn common_costs(users: &HashMap<UserName, User>) -> Vec<Cost> {
    let mut counts: Vec<(Cost, usize)> = Vec::new();
    for found in users.values().filter_map(|user| user.found.as_ref()) {
        let Ok(stored) = found.credentials.stored_password() else { continue };
        let cost = stored.cost();
        match counts.iter().position(|(known, _)| *known == cost) {
            Some(index) => counts[index].1 += 1,
            // Many distinct costs are no real file; the bound keeps the search short.
            None if counts.len() < COSTS_COUNTED_MAX => counts.push((cost, 1)),
            None => {}
        }
    }
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.into_iter().take(COSTS_MAX).map(|(cost, _)| cost).collect()
}

#[cfg(test)]
mod tests;
