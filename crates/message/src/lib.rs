//! A message's bytes to byte ranges, ENVELOPE, BODYSTRUCTURE, PREVIEW and search text; no I/O.
