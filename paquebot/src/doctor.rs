//! `paquebot doctor`: whether a directory can hold mail.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::Context as _;
use paquebot_store::fs::{Fs as _, FsKind, RealFs};
use rustix::fs::{FlockOperation, fcntl_lock};

use crate::cli;

/// Prints the table; exit code 1 if something does not work.
pub fn run(options: &cli::Doctor) -> anyhow::Result<ExitCode> {
    let directory = &options.directory;
    if options.try_lock {
        return try_lock(directory);
    }
    let kind = RealFs.kind(directory).with_context(|| format!("cannot look at {}", directory.display()))?;
    let place = tempfile::Builder::new().prefix(".paquebot-doctor-").tempdir_in(directory);
    let place = place.with_context(|| format!("cannot write to {}", directory.display()))?;
    let mut all_work = report("file system", &judge(kind));
    for (name, attempt) in ATTEMPTS {
        all_work &= report(name, &attempt(place.path()));
    }
    if !all_work {
        println!(
            "\nMail must not lie here: put the data directory on a local disk. To have it on several machines, add a node; never share a disk."
        );
    }
    Ok(ExitCode::from(u8::from(!all_work)))
}

type Attempt = fn(&Path) -> Result<String, String>;

const ATTEMPTS: [(&str, Attempt); 7] = [
    ("exclusive create", exclusive_create),
    ("hard link", link),
    ("rename over a file", rename_over),
    ("lock between processes", lock),
    ("one view of a file", coherence),
    ("memory map", mapped),
    ("sync of file and directory", sync),
];

fn report(name: &str, outcome: &Result<String, String>) -> bool {
    match outcome {
        Ok(text) => println!("ok      {name}: {text}"),
        Err(text) => println!("FAILED  {name}: {text}"),
    }
    outcome.is_ok()
}

fn judge(kind: FsKind) -> Result<String, String> {
    match kind.shared() {
        None => Ok(match kind.0 {
            0xef53 => "ext, local".into(),
            0x5846_5342 => "XFS, local".into(),
            0x9123_683e => "Btrfs, local".into(),
            0x2fc1_2fc1 => "ZFS, local".into(),
            0x794c_7630 => "overlay, local".into(),
            0x0102_1994 => "tmpfs, local, and gone when the machine restarts".into(),
            other => format!("local, of the kind {other:#x}"),
        }),
        Some(name) => Err(format!(
            "{name} is shared between machines: locks and renames are not atomic there, and a sync may not reach a disk"
        )),
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

/// A lock that this process holds must keep another out, and must be free for it afterwards.
fn lock(place: &Path) -> Result<String, String> {
    let path = place.join("lock");
    let file = File::create(&path).map_err(told)?;
    let lock = |operation| fcntl_lock(&file, operation).map_err(|error| told(error.into()));
    let other_gets_it = || {
        let program = std::env::current_exe().map_err(told)?;
        let other = Command::new(program).args(["doctor", "--try-lock"]).arg(&path).status();
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

/// The other process: exit code 0 says that it got the lock.
fn try_lock(path: &Path) -> anyhow::Result<ExitCode> {
    let file = OpenOptions::new().write(true).open(path)?;
    let locked = fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
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
        // The lock wants this program as another process: tests/commands.rs tries it.
        for (name, attempt) in ATTEMPTS.iter().filter(|(name, _)| *name != "lock between processes") {
            let own = tempfile::tempdir_in(place.path()).unwrap();
            assert!(attempt(own.path()).is_ok(), "{name}");
        }
    }
}
