//! One review, from request to receipt.

pub mod judge;
pub mod plan;
mod types;

#[cfg(test)]
mod sample;

pub use types::*;
