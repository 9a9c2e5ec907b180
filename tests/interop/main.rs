//! Real clients, and a real mail transport, against the server: programs that nobody here wrote.
//!
//! `cargo xtask setup` installs them; one that is missing is a failure. Each test has a server of its own with the sample mail in it, compares what the
//! client got with the samples by SHA-256, and what the client did with what a plain connection then sees.

mod stage;

mod curl;
mod fetchmail;
mod getmail;
mod imapflow;
mod mbsync;
mod mutt;
mod offlineimap;
mod perl;
mod postfix;
mod python;
