//! One review, from request to receipt.

mod types;

pub use types::*;
