//! LMTP as bytes and states, without I/O: lines, commands, replies, the data's framing and the fields that a delivery adds.

pub mod address;
pub mod command;
pub mod data;
pub mod line;
pub mod machine;
pub mod reply;
pub mod return_path;
pub mod trace;
