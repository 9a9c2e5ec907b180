//! One IMAP connection.
