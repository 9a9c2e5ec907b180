//! `paquebot doctor`: whether a directory can hold mail.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::Context as _;
use paquebot_guard::{FileSystem, Purpose};
use rustix::fs::{FlockOperation, fcntl_lock, flock};
use serde_json::json;

use crate::cli;

/// Prints the table; exit code 1 if something does not work.
pub fn run(options: &cli::Doctor) -> anyhow::Result<ExitCode> {
    let directory = &options.directory;
    if options.try_lock {
        return try_lock(directory);
    }
    let found = FileSystem::of(directory).with_context(|| format!("cannot look at {}", directory.display()))?;
    let kind = judge(directory, &found);
    // What is refused by its type is not written to.
    let attempts: &[(&str, Attempt)] = if kind.is_ok() { &ATTEMPTS } else { &[] };
    let mut rows = vec![Row::needed("file system", kind)];
    if !attempts.is_empty() {
        let place = tempfile::Builder::new().prefix(".paquebot-doctor-").tempdir_in(directory);
        let place = place.with_context(|| format!("cannot write to {}", directory.display()))?;
        rows.extend(attempts.iter().map(|(name, attempt)| Row::needed(name, attempt(place.path()))));
    }
    rows.push(shared_tmp());
    match options.output.json {
        true => println!("{}", as_json(directory, &found, &rows)),
        false => print(&rows),
    }
    Ok(ExitCode::from(u8::from(!will_do(&rows))))
}

/// One thing that was looked at.
struct Row {
    name: &'static str,
    verdict: Verdict,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Ok,
    /// Some mailboxes need it, and this directory may have none of them.
    Note,
    Failed,
}

impl Row {
    /// What no mail can do without.
    fn needed(name: &'static str, outcome: Result<String, String>) -> Self {
        match outcome {
            Ok(text) => Self { name, verdict: Verdict::Ok, text },
            Err(text) => Self { name, verdict: Verdict::Failed, text },
        }
    }
}

fn will_do(rows: &[Row]) -> bool {
    rows.iter().all(|row| row.verdict != Verdict::Failed)
}

type Attempt = fn(&Path) -> Result<String, String>;

const ATTEMPTS: [(&str, Attempt); 9] = [
    ("exclusive create", exclusive_create),
    ("hard link", link),
    ("rename over a file", rename_over),
    ("rename over an open file", rename_over_open),
    ("fcntl lock between processes", lock),
    ("flock between processes", flock_between),
    ("one view of a file", coherence),
    ("memory map", mapped),
    ("sync of file and directory", sync),
];

fn print(rows: &[Row]) {
    for Row { name, verdict, text } in rows {
        let word = match verdict {
            Verdict::Ok => "ok",
            Verdict::Note => "note",
            Verdict::Failed => "FAILED",
        };
        println!("{word:8}{name}: {text}");
    }
    if !will_do(rows) {
        println!(
            "\nMail must not lie here: put the data directory on a local disk. To have it on several machines, add a node; never share a disk."
        );
    }
}

fn as_json(directory: &Path, found: &FileSystem, rows: &[Row]) -> serde_json::Value {
    let told = rows
        .iter()
        .map(|Row { name, verdict, text }| json!({ "name": name, "ok": *verdict == Verdict::Ok, "text": text }));
    let mount =
        found.mount.as_ref().map(|mount| json!({ "point": mount.point, "type": mount.kind, "source": mount.source }));
    json!({
        "directory": directory,
        "ok": will_do(rows),
        "magic": format!("{:#x}", found.magic),
        "mount": mount,
        "checks": told.collect::<Vec<_>>(),
    })
}

/// What the file system is by its type; for each format that may not lie there, why.
fn judge(directory: &Path, found: &FileSystem) -> Result<String, String> {
    let probe = |path: &Path| if path == directory { Ok(found.clone()) } else { FileSystem::of(path) };
    paquebot_guard::check_with(directory, Purpose::Store, &probe).map_err(|error| error.to_string())?;
    let paquebot_guard::Verdict::Local { kind, warning } = paquebot_guard::judge(found, Purpose::Store, &probe) else {
        return Err("its type was judged twice, and not alike".into());
    };
    let unfit = Purpose::ALL.iter().filter(|purpose| paquebot_guard::check_with(directory, **purpose, &probe).is_err());
    let unfit: Vec<String> = unfit.map(|purpose| format!("; not for {purpose}")).collect();
    Ok(format!("{kind}, local{}{}", warning.map(|text| format!(": {text}")).unwrap_or_default(), unfit.concat()))
}

/// c-client's lock files lie in /tmp, and keep nobody out who has another /tmp: a service manager may give the server one of its own.
fn shared_tmp() -> Row {
    let (verdict, text) = match compare_tmp() {
        Ok(None) => (Verdict::Ok, "locks there are seen by all programs".into()),
        Ok(Some(why)) => (Verdict::Note, format!("{why}, so mbox, MMDF and mbx must not be served here")),
        Err(error) => (Verdict::Note, format!("it cannot be looked at ({error}); mbox, MMDF and mbx have locks there")),
    };
    Row { name: "/tmp of all programs", verdict, text }
}

/// Why locks in /tmp would not hold for everybody.
fn compare_tmp() -> io::Result<Option<String>> {
    let look = |path: &str| fs::metadata(path).map(|found| (found.dev(), found.ino(), found.mode() & 0o7777));
    let ours = look("/tmp")?;
    if ours.2 & 0o1777 != 0o1777 {
        return Ok(Some(format!("not everybody can make files in it (its mode is {:o}, not 1777)", ours.2)));
    }
    match look("/proc/1/root/tmp") {
        Ok(theirs) if theirs != ours => {
            Ok(Some("other programs have another one (PrivateTmp=yes in a unit file)".into()))
        }
        // Only root may look, and where there is no /proc there is no service manager either.
        _ => Ok(None),
    }
}

fn told(error: io::Error) -> String {
    error.to_string()
}

fn exclusive_create(place: &Path) -> Result<String, String> {
    let path = place.join("exclusive");
    let create = || OpenOptions::new().write(true).create_new(true).open(&path);
    create().map_err(told)?;
    match create() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok("a second create is refused".into()),
        Err(error) => Err(told(error)),
        Ok(_) => Err("a file was created twice".into()),
    }
}

fn link(place: &Path) -> Result<String, String> {
    let (one, other) = (place.join("one"), place.join("other"));
    fs::write(&one, "x").and_then(|()| fs::hard_link(&one, &other)).map_err(told)?;
    match fs::hard_link(&one, &other) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Ok("a second link of the same name is refused".into())
        }
        Err(error) => Err(told(error)),
        Ok(()) => Err("a link took the place of another".into()),
    }
}

fn rename_over(place: &Path) -> Result<String, String> {
    let (new, old) = (place.join("new"), place.join("old"));
    let rename = || {
        fs::write(&old, "old")?;
        fs::write(&new, "new")?;
        fs::rename(&new, &old)?;
        fs::read(&old)
    };
    match rename().map_err(told)?.as_slice() {
        b"new" => Ok("the new file is there, under the old name".into()),
        _ => Err("the old file is still there".into()),
    }
}

/// Whoever has the old file open reads on in it, and it leaves no name behind (NFS leaves `.nfs` files).
fn rename_over_open(place: &Path) -> Result<String, String> {
    let own = place.join("renaming");
    let (new, old) = (own.join("new"), own.join("old"));
    let rename = || {
        fs::create_dir(&own)?;
        fs::write(&old, "old")?;
        fs::write(&new, "new")?;
        let mut open = File::open(&old)?;
        fs::rename(&new, &old)?;
        let mut read = String::new();
        open.read_to_string(&mut read)?;
        Ok::<_, io::Error>((read, fs::read_dir(&own)?.count()))
    };
    match rename().map_err(told)? {
        (read, 1) if read == "old" => Ok("whoever has the old one open reads on in it".into()),
        (_, 1) => Err("whoever has the old one open reads another".into()),
        _ => Err("the old file has left a name behind".into()),
    }
}

fn lock(place: &Path) -> Result<String, String> {
    keeps_out(&place.join("lock"), &|file, operation| fcntl_lock(file, operation))
}

fn flock_between(place: &Path) -> Result<String, String> {
    keeps_out(&place.join("flock"), &|file, operation| flock(file, operation))
}

/// A lock that this process holds must keep another out, and must be free for it afterwards.
fn keeps_out(path: &Path, lock: &dyn Fn(&File, FlockOperation) -> rustix::io::Result<()>) -> Result<String, String> {
    let file = File::create(path).map_err(told)?;
    let lock = |operation| lock(&file, operation).map_err(|error| told(error.into()));
    let other_gets_it = || {
        let program = std::env::current_exe().map_err(told)?;
        let other = Command::new(program).args(["doctor", "--try-lock"]).arg(path).status();
        other.map(|status| status.success()).map_err(|error| format!("cannot start another process: {error}"))
    };
    lock(FlockOperation::NonBlockingLockExclusive)?;
    if other_gets_it()? {
        return Err("another process got a lock that this one holds".into());
    }
    lock(FlockOperation::NonBlockingUnlock)?;
    if !other_gets_it()? {
        return Err("another process is kept out by a lock that nobody holds".into());
    }
    Ok("another process is kept out for as long as it is held".into())
}

/// The other process: exit code 0 says that it got the lock, of either kind.
fn try_lock(path: &Path) -> anyhow::Result<ExitCode> {
    let file = OpenOptions::new().write(true).open(path)?;
    let locked = fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
        && flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
    Ok(ExitCode::from(u8::from(!locked)))
}

/// What is written through a map is read from the file, and the other way round.
#[expect(unsafe_code, reason = "a map can be made in no other way; nobody else has this file, and it keeps its length")]
fn mapped(place: &Path) -> Result<String, String> {
    let compare = || {
        let path = place.join("mapped");
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        file.set_len(4096)?;
        // SAFETY: the file is in a directory that was just made for this, so no other process changes or shortens it.
        let mut map = unsafe { memmap2::MmapMut::map_mut(&file) }?;
        for round in 1..100u8 {
            let mut read = [0; 4096];
            map.fill(round);
            file.read_exact_at(&mut read, 0)?;
            if read != [round; 4096] {
                return Ok(false);
            }
            file.write_all_at(&[!round; 4096], 0)?;
            if map.iter().any(|byte| *byte != !round) {
                return Ok(false);
            }
        }
        Ok(true)
    };
    match compare().map_err(told)? {
        true => Ok("reads and maps show the same".into()),
        false => Err("a read and a map of one file differ".into()),
    }
}

fn coherence(place: &Path) -> Result<String, String> {
    let path = place.join("view");
    let compare = || {
        let mut writer = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
        let mut reader = File::open(&path)?;
        for round in 0..100u8 {
            writer.seek(SeekFrom::Start(0))?;
            writer.write_all(&[round; 4096])?;
            let (mut sequential, mut positioned) = ([0; 4096], [0; 4096]);
            reader.seek(SeekFrom::Start(0))?;
            reader.read_exact(&mut sequential)?;
            reader.read_exact_at(&mut positioned, 0)?;
            if sequential != [round; 4096] || positioned != sequential {
                return Ok(false);
            }
        }
        Ok(true)
    };
    match compare().map_err(told)? {
        true => Ok("what one handle writes another reads".into()),
        false => Err("one handle read what another had overwritten".into()),
    }
}

fn sync(place: &Path) -> Result<String, String> {
    let sync = || {
        let mut file = File::create(place.join("synced"))?;
        file.write_all(b"x")?;
        file.sync_data()?;
        file.sync_all()?;
        File::open(place)?.sync_all()
    };
    sync().map_err(told).map(|()| "both are taken".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_directory_can_hold_mail() {
        let place = tempfile::tempdir().unwrap();
        // The locks want this program as another process: tests/server/commands.rs tries them.
        for (name, attempt) in ATTEMPTS.iter().filter(|(name, _)| !name.ends_with("between processes")) {
            let own = tempfile::tempdir_in(place.path()).unwrap();
            assert!(attempt(own.path()).is_ok(), "{name}");
        }
    }
}
