//! The log seam: the trait, and the suite that every engine passes.
