//! mbox and MMDF.

mod changes;
mod machine;

use std::time::{Duration, UNIX_EPOCH};

use paquebot_formats::driver;

use crate::fixtures;

#[test]
fn fixtures_are_shown_as_the_real_server_showed_them() {
    fixtures::compare(driver("mbox").unwrap(), "mbox");
    let copy = fixtures::copy("mmdf");
    // Messages without a separator line are of the file's own time: 24-Nov-2026 19:46:21.
    for name in ["delimiter-in-header", "no-from-line"] {
        let file = std::fs::File::options().write(true).open(copy.path().join("foreign").join(name)).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(1_795_549_581)).unwrap();
    }
    fixtures::compare_in(driver("mmdf").unwrap(), "mmdf", copy.path());
}
