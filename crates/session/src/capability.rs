//! The list of capabilities.
