//! A review and the disk: what is too large for it, and what is nobody's fault but the disk's.

use anyhow::{Result, bail};

use super::Setting;
use crate::cage;
use crate::config::Size;
use crate::disk;
use crate::engine::EngineError;
use crate::error::Fail;
use crate::quantity;
use crate::store::now_ms;

/// Refuses a checkout of so many bytes and files that the engine would have no room left to work in.
pub(super) fn admits((bytes, files): (u64, u64), most: Size) -> Result<()> {
    if bytes > most.0 {
        bail!(
            Fail::new(format!(
                "the files of the head take {} ({}), and a job may take {most} of disk",
                quantity::bytes(bytes),
                quantity::count(usize::try_from(files).unwrap_or(usize::MAX), "file")
            ))
            .hint("a larger `[job] disk`, in the agent's file, lets it; the engine `rules` needs no checkout")
        );
    }
    Ok(())
}

/// Whether an engine failed for want of room, and there is indeed little: what it says alone proves nothing.
pub(super) fn was_missing(error: &EngineError, setting: &Setting<'_>) -> bool {
    let little = || disk::room(setting.workspace).is_ok_and(|room| room.free < setting.config.disk.min_free.0);
    if cage::is_too_much(error) {
        return false;
    }
    disk::is_empty(setting.workspace) || disk::names_full(&error.to_string()) && little()
}

/// When to try again after the disk was full: soon at first, as nothing begins before there is room anyway; then as after
/// any other trouble, lest an engine that fills the disk itself is begun for ever.
pub(super) async fn again_ms(setting: &Setting<'_>, job: &str) -> Option<i64> {
    const SOON_MS: i64 = 10_000;
    let first = setting.store?.job(job).await.ok()??.deferrals == 0;
    first.then(|| now_ms() + SOON_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkout_that_is_too_large_is_refused_with_what_helps() {
        assert!(admits((2 << 30, 5), Size(2 << 30)).is_ok());
        let error = admits((3 << 30, 40_000), Size(2 << 30)).unwrap_err();
        let text = crate::review::reason(&error);
        assert!(text.contains("3.2 GB (40,000 files)") && text.contains("2G") && text.contains("[job] disk"), "{text}");
    }
}
