//! Whatever comes from outside may be anything: no parser panics, and none takes time or memory without bound.
//!
//!     cargo test --test fuzz -- --nocapture
//!     CICDCTL_FUZZ_CASES=1000000 cargo test --test fuzz -- --nocapture     # the long form, for each target
//!
//! Cases are made of samples: bytes are flipped, pieces cut out, doubled, joined with pieces of others, numbers made
//! huge, lines endless, brackets deep. They are the same each time; `CICDCTL_FUZZ_SEED` is another start.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

mod files;
mod forge;
mod mutate;
mod output;
mod quoting;
mod run;
mod socket;
#[path = "../support/mod.rs"]
mod support;
