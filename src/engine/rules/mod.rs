//! The built-in engine: deterministic rules over the added lines of a diff. No key, no network, no process.
