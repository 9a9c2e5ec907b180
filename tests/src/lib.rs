//! What needs several crates: transcripts, interop, crash.
