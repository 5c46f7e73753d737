//! Long work beside the one thread that answers.

use anyhow::{Context, Result};

/// In a thread of its own: all else of this process, its watchdog too, goes on meanwhile. The error is a panic of it.
pub async fn off_the_loop<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.context("a step panicked")
}
