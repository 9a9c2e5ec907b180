//! Where a store's files are, and how it names its mailboxes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::name::{Internal, Names, Spread, by_id};
use crate::driver::Root;
use crate::error::FormatError;

/// imapd.conf, with what it includes, at most.
const CONFIGURATION_BYTES_MAX: u64 = 1 << 20;
/// Files that include files.
const INCLUDES_MAX: usize = 8;

/// The files of one server's store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// `configdirectory`: databases, and what belongs to users.
    pub configuration: PathBuf,
    /// Where locks are, if there is a place for them: a copy of a store has none.
    locks: PathBuf,
    pub names: Names,
    partitions: BTreeMap<String, Partition>,
    default_partition: String,
    /// How directories may be spread, the likeliest first.
    spreads: Vec<Spread>,
    mailboxes: PathBuf,
    annotations: PathBuf,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Partition {
    data: PathBuf,
    meta: Option<PathBuf>,
    archive: Option<PathBuf>,
    /// Which files are in the directory for meta files: `header`, `index`.
    in_meta: BTreeSet<String>,
}

/// The directories of one mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Of the messages.
    pub messages: PathBuf,
    /// Of messages that were moved to slower disks.
    pub archived: Option<PathBuf>,
    pub header: PathBuf,
    pub index: PathBuf,
    pub annotations: PathBuf,
    /// Where the mailbox's lock may be.
    pub locks: Vec<PathBuf>,
}

impl Store {
    /// The store at a root: a directory with `conf` and `spool` in it, or an imapd.conf.
    pub fn at(root: &Root) -> Result<Self, FormatError> {
        match root.directory.is_file() {
            true => Self::configured(&root.directory),
            false => Ok(Self::plain(&root.directory)),
        }
    }

    /// Whether there is a store at all.
    pub fn exists(&self) -> bool {
        let has_mailboxes = |partition: &Partition| partition.data.is_dir();
        self.configuration.is_dir() && self.partitions.values().any(has_mailboxes)
    }

    fn plain(directory: &Path) -> Self {
        let configuration = directory.join("conf");
        let partition = Partition { data: directory.join("spool"), ..Partition::default() };
        let names =
            Names { alternative: false, slashes: true, users: "Other Users".into(), shared: "Shared Folders".into() };
        Self {
            locks: configuration.join("lock"),
            names,
            partitions: BTreeMap::from([("default".to_owned(), partition)]),
            default_partition: "default".to_owned(),
            spreads: vec![Spread::Plain, Spread::Letter, Spread::Sum],
            mailboxes: configuration.join("mailboxes.db"),
            annotations: configuration.join("annotations.db"),
            configuration,
        }
    }

    fn configured(file: &Path) -> Result<Self, FormatError> {
        let mut options = BTreeMap::new();
        read_options(file, INCLUDES_MAX, &mut options)?;
        let option = |name: &str| options.get(name).map(String::as_str);
        let path = |name: &str| option(name).map(PathBuf::from);
        let Some(configuration) = path("configdirectory") else {
            return Err(FormatError::CannotHold(format!(
                "{} has no configdirectory: is it an imapd.conf?",
                file.display()
            )));
        };
        let is = |name: &str, default: bool| option(name).map_or(default, is_yes);
        let spread = match (is("fulldirhash", false), is("hashimapspool", false)) {
            (true, true) => Spread::Sum,
            (false, true) => Spread::Letter,
            (_, false) => Spread::Plain,
        };
        let mut partitions = BTreeMap::new();
        for (name, value) in &options {
            if let Some(name) = name.strip_prefix("partition-") {
                let (meta, archive) =
                    (path(&format!("metapartition-{name}")), path(&format!("archivepartition-{name}")));
                let in_meta = option("metapartition_files").unwrap_or_default();
                let in_meta = in_meta.split_whitespace().map(str::to_owned).collect();
                partitions.insert(name.to_owned(), Partition { data: PathBuf::from(value), meta, archive, in_meta });
            }
        }
        let prefix =
            |name: &str, default: &str| option(name).unwrap_or(default).trim_end_matches(['/', '.']).to_owned();
        Ok(Self {
            locks: path("mboxname_lockpath").unwrap_or_else(|| configuration.join("lock")),
            names: Names {
                alternative: is("altnamespace", true),
                slashes: is("unixhierarchysep", true),
                users: prefix("userprefix", "Other Users"),
                shared: prefix("sharedprefix", "Shared Folders"),
            },
            partitions,
            default_partition: option("defaultpartition").unwrap_or("default").to_owned(),
            spreads: vec![spread],
            mailboxes: path("mboxlist_db_path").unwrap_or_else(|| configuration.join("mailboxes.db")),
            annotations: path("annotation_db_path").unwrap_or_else(|| configuration.join("annotations.db")),
            configuration,
        })
    }

    pub fn mailboxes(&self) -> &Path {
        &self.mailboxes
    }

    pub fn annotations(&self) -> &Path {
        &self.annotations
    }

    /// The directories that hold mailboxes.
    pub fn partitions(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.partitions.iter().map(|(name, partition)| (name.as_str(), partition.data.as_path()))
    }

    /// Where a mailbox lies. `by_name`: its directories have its name, not its unique id. `None`: of a partition that there is not.
    pub fn place(&self, internal: &Internal, partition: &str, unique_id: &str, by_name: bool) -> Option<Place> {
        let partition = if partition.is_empty() { &self.default_partition } else { partition };
        let partition = self.partitions.get(partition)?;
        if !by_name {
            let locks = self.spreads.iter().map(|spread| self.lock(spread.lock(unique_id))).collect();
            return Some(partition.place(&by_id(unique_id)?, locks));
        }
        let mut places = self.spreads.iter().map(|spread| {
            let path = spread.path(internal);
            partition.place(&path, vec![self.lock(path.clone())])
        });
        let first = places.next()?;
        match first.index.exists() {
            true => Some(first),
            false => Some(places.find(|place| place.index.exists()).unwrap_or(first)),
        }
    }

    /// A file of a user, `seen` or `sub`: by name, or by the unique id of the user's INBOX.
    pub fn user_file(&self, inbox: &Internal, inbox_id: Option<&str>, kind: &str) -> PathBuf {
        let by_id = inbox_id.and_then(by_id).map(|id| Path::new("user").join(id).join(format!("{kind}.db")));
        let by_name = self.spreads.iter().map(|spread| spread.user_file(inbox, kind));
        let mut paths: Vec<PathBuf> =
            by_id.into_iter().chain(by_name).map(|path| self.configuration.join(path)).collect();
        let at = paths.iter().position(|path| path.exists()).unwrap_or(0);
        paths.swap_remove(at)
    }

    /// Where the lock may be that a user's mailboxes have together, or those of nobody.
    pub fn user_locks(&self, user: &str) -> impl Iterator<Item = PathBuf> {
        self.spreads.iter().map(move |spread| self.lock(spread.lock(&format!("*U*{user}"))))
    }

    fn lock(&self, name: PathBuf) -> PathBuf {
        let mut path = self.locks.join(name).into_os_string();
        path.push(".lock");
        path.into()
    }
}

impl Partition {
    fn place(&self, path: &Path, locks: Vec<PathBuf>) -> Place {
        let data = self.data.join(path);
        let meta = self.meta.as_ref().map(|meta| meta.join(path));
        let file = |name: &str| match &meta {
            Some(meta) if self.in_meta.contains(name) => meta.join(format!("cyrus.{name}")),
            _ => data.join(format!("cyrus.{name}")),
        };
        Place {
            archived: self.archive.as_ref().map(|archive| archive.join(path)),
            header: file("header"),
            index: file("index"),
            annotations: file("annotations"),
            locks,
            messages: data,
        }
    }
}

fn is_yes(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "1" | "yes" | "on" | "t" | "true")
}

/// Reads `name: value` lines. Cyrus starts with no file that has a name twice; here the first counts.
fn read_options(file: &Path, includes: usize, options: &mut BTreeMap<String, String>) -> Result<(), FormatError> {
    let failed = |source| FormatError::Io { doing: "read", path: file.into(), source };
    let length = std::fs::metadata(file).map_err(failed)?.len();
    if length > CONFIGURATION_BYTES_MAX || includes == 0 {
        return Err(FormatError::CannotHold(format!("{} is too long for an imapd.conf", file.display())));
    }
    let text = std::fs::read(file).map_err(failed)?;
    for line in String::from_utf8_lossy(&text).lines() {
        let line = line.trim();
        let Some((name, value)) = line.split_once(':').filter(|_| !line.starts_with('#')) else { continue };
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        if name == "@include" {
            read_options(Path::new(value), includes - 1, options)?;
        } else {
            options.entry(name).or_insert_with(|| value.to_owned());
        }
    }
    Ok(())
}
