//! Only what holds a session lock: for programs that use the library and are not started again for it, as its tests.

fn main() -> std::io::Result<()> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    paquebot_formats::run_session_lock_helper(&arguments)
}
