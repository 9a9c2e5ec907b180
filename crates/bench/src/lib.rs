//! A load generator for IMAP and LMTP servers.
