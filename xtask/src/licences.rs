//! The licences of everything that is built in: each dependency must offer one that we take.

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::process::{cargo, output_of};

/// The licences that we take, by their SPDX names.
const TAKEN: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Fails with the list of the packages whose licence we don't take.
pub fn check() -> Result<()> {
    let metadata: Value =
        serde_json::from_str(&output_of(cargo().args(["metadata", "--format-version=1", "--all-features"]))?)?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let refused: Vec<String> = packages.iter().filter_map(refusal).collect();
    if !refused.is_empty() {
        bail!("licences that we don't take:\n  {}", refused.join("\n  "));
    }
    println!("licences: {} packages, each under one that we take", packages.len());
    Ok(())
}

fn refusal(package: &Value) -> Option<String> {
    let licence = package["license"].as_str().unwrap_or("(none stated)");
    let taken = is_taken(licence);
    (!taken).then(|| {
        format!("{} {}: {licence}", package["name"].as_str().unwrap_or("?"), package["version"].as_str().unwrap_or("?"))
    })
}

/// Whether an SPDX expression lets us choose licences that we take. A slash is the old way to write OR.
///
/// ```text
/// expression = all *( ("OR" / "/") all )
/// all        = one *( "AND" one )
/// one        = "(" expression ")" / name [ "WITH" name ]
/// ```
fn is_taken(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let taken = any(&mut rest);
    taken == Some(true) && rest.is_empty()
}

/// `None`: the expression is broken.
fn any(words: &mut &[&str]) -> Option<bool> {
    let mut taken = all(words)?;
    while next_is(words, "OR") {
        taken |= all(words)?;
    }
    Some(taken)
}

fn all(words: &mut &[&str]) -> Option<bool> {
    let mut taken = one(words)?;
    while next_is(words, "AND") {
        taken &= one(words)?;
    }
    Some(taken)
}

fn one(words: &mut &[&str]) -> Option<bool> {
    if next_is(words, "(") {
        let taken = any(words)?;
        return next_is(words, ")").then_some(taken);
    }
    let (name, rest) = words.split_first()?;
    *words = rest;
    if next_is(words, "WITH") {
        let (exception, rest) = words.split_first()?;
        *words = rest;
        return Some(TAKEN.contains(&format!("{name} WITH {exception}").as_str()));
    }
    Some(TAKEN.contains(name))
}

fn next_is(words: &mut &[&str], word: &str) -> bool {
    let found = words.first() == Some(&word);
    if found {
        *words = &words[1..];
    }
    found
}

#[cfg(test)]
mod tests {
    use super::is_taken;

    #[test]
    fn an_expression_is_taken_if_a_choice_in_it_is() {
        for (expression, taken) in [
            ("MIT", true),
            ("MIT OR Apache-2.0", true),
            ("MIT/Apache-2.0", true),
            ("GPL-3.0 OR MIT", true),
            ("GPL-3.0", false),
            ("MIT AND GPL-3.0", false),
            ("(MIT OR GPL-2.0) AND ISC", true),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
            ("Apache-2.0 WITH LLVM-exception OR GPL-2.0", true),
            ("GPL-2.0 WITH Classpath-exception-2.0", false),
            ("MIT OR", false),
            ("", false),
            ("(MIT", false),
        ] {
            assert_eq!(is_taken(expression), taken, "{expression}");
        }
    }
}
