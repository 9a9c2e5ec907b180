//! LMTP delivery.
