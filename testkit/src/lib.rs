//! For tests only: transcript runner, failing disk, real servers.
