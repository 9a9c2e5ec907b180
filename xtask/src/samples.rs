//! `cargo xtask samples`: the sample mail is what its script makes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{self, root};
use crate::setup;

/// Makes the samples anew, in a folder of their own, and compares; with `--write`, in their place.
pub fn run(arguments: &[String]) -> Result<()> {
    let samples = root().join("samples");
    match arguments {
        [] => {}
        [flag] if flag == "--write" => return make(&samples),
        other => bail!("samples takes --write or nothing, not {other:?}"),
    }
    let fresh = setup::folder().join("samples");
    fs::create_dir_all(&fresh)?;
    make(&fresh)?;
    let (kept, made) = (files(&samples)?, files(&fresh)?);
    let mut differing: Vec<_> =
        made.iter().filter(|(name, data)| kept.get(*name) != Some(data)).map(|(name, _)| name).collect();
    differing.extend(kept.keys().filter(|name| !made.contains_key(*name)));
    if !differing.is_empty() {
        bail!(
            "samples/ is not what samples/make.py makes (`cargo xtask samples --write` would change it): {differing:?}"
        );
    }
    println!("samples/ is what samples/make.py makes: {} files", made.len());
    Ok(())
}

fn make(into: &Path) -> Result<()> {
    let script = root().join("samples/make.py");
    process::run(Command::new("python3").arg("-B").arg(script).args(["--seed", "2007", "--to"]).arg(into))
}

/// The manifest and all messages, by their path.
fn files(samples: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut read = |name: PathBuf| -> Result<()> {
        let path = samples.join(&name);
        let data = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        found.insert(name, data);
        Ok(())
    };
    read("manifest.json".into())?;
    for folder in fs::read_dir(samples.join("mail"))? {
        let folder = folder?.file_name();
        for message in fs::read_dir(samples.join("mail").join(&folder))? {
            read(Path::new("mail").join(&folder).join(message?.file_name()))?;
        }
    }
    Ok(found)
}
