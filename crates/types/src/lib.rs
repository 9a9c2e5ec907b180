//! The field's words as types.
