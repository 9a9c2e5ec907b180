//! IMAP bytes to typed commands, typed responses to bytes; no I/O.
