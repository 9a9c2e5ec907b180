//! SASL, password schemes, passwd-file, the delay for failures.
