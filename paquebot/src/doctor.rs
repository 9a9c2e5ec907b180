//! `paquebot doctor`: whether a directory can hold mail.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::Context as _;
use paquebot_store::fs::{Fs as _, FsKind, RealFs};

/// Prints the table; exit code 1 if something does not work.
pub fn run(directory: &Path) -> anyhow::Result<ExitCode> {
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

const ATTEMPTS: [(&str, Attempt); 6] = [
    ("exclusive create", exclusive_create),
    ("hard link", link),
    ("rename over a file", rename_over),
    ("lock between processes", lock),
    ("one view of a file", coherence),
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
        None => Ok("local".into()),
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

/// A lock that this process holds must keep another out: `flock` of util-linux is that other.
fn lock(place: &Path) -> Result<String, String> {
    let path = place.join("lock");
    let file = File::create(&path).map_err(told)?;
    file.lock().map_err(told)?;
    let other = Command::new("flock").arg("--nonblock").arg(&path).arg("true").status();
    let other = other.map_err(|error| format!("cannot run flock to try: {error}"))?;
    if other.success() {
        Err("another process got a lock that this one holds".into())
    } else {
        Ok("another process is kept out".into())
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
        for (name, attempt) in ATTEMPTS {
            let own = tempfile::tempdir_in(place.path()).unwrap();
            assert!(attempt(own.path()).is_ok(), "{name}");
        }
    }
}
