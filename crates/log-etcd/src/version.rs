//! Which versions of etcd keep what they have acknowledged.

/// The first that this engine is tested with.
const FIRST: (u64, u64, u64) = (3, 4, 0);
/// These can lose what they committed when they are killed (etcd's issue 13766).
const LOSSY: std::ops::RangeInclusive<(u64, u64, u64)> = (3, 5, 0)..=(3, 5, 2);

/// Why an etcd of this version is not to be used; `None` when it is fine.
pub fn refusal(version: &str) -> Option<&'static str> {
    match parse(version) {
        None => Some("its version cannot be read"),
        Some(version) if version < FIRST => Some("it is too old: take 3.4 or later"),
        Some(version) if LOSSY.contains(&version) => {
            Some("versions 3.5.0 to 3.5.2 can lose what they have acknowledged: upgrade it to 3.5.3 or later")
        }
        Some(_) => None,
    }
}

/// `3.4.23`, `3.6.0-rc.1`.
fn parse(version: &str) -> Option<(u64, u64, u64)> {
    let plain = version.split(['-', '+']).next().unwrap_or_default();
    let mut numbers = plain.split('.').map(|number| number.parse().ok());
    let parsed = (numbers.next()??, numbers.next()??, numbers.next()??);
    numbers.next().is_none().then_some(parsed)
}

#[cfg(test)]
mod tests {
    use super::refusal;

    #[test]
    fn lossy_and_old_versions_are_refused() {
        for refused in ["3.5.0", "3.5.1", "3.5.2", "3.5.2-rc.1", "3.3.27", "2.3.8", "", "3.5", "x.y.z", "3.5.9.1"] {
            assert!(refusal(refused).is_some(), "{refused}");
        }
        for taken in ["3.4.0", "3.4.23", "3.5.3", "3.5.17", "3.6.0-rc.1", "4.0.0"] {
            assert_eq!(refusal(taken), None, "{taken}");
        }
    }
}
