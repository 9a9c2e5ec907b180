//! What needs several crates: transcripts, interop, crash. There is nothing in this library: the tests are beside it.
