//! `disk`: room for what reviews write. `gc`: whether what is old is given back by itself.

use super::{Check, failure, ok, warning};
use crate::config::Config;
use crate::disk::{self, measure};
use crate::host::Host;
use crate::quantity::bytes;
use crate::systemd::Manager;
use crate::timer;
use crate::unit::{GC_SERVICE, GC_TIMER};

/// Below so many bytes reviews fail half-way, whatever the configuration says.
const LEAST: u64 = 200 << 20;

pub(super) fn check(host: &Host, config: &Config) -> Check {
    let state_dir = &host.paths.state_dir;
    if let Some(why) = disk::tight(&host.paths, config.disk.min_free) {
        return failure("disk", why, format!("make room; {}", disk::REMEDY));
    }
    let rooms = [state_dir, &host.paths.cache_dir].map(|dir| disk::room(dir));
    if let Some(Err(error)) = rooms.iter().find(|room| room.is_err()) {
        let found = format!("could not look at {}: {error}", state_dir.display());
        return warning("disk", found, "check that the file system is mounted");
    }
    let free = rooms.iter().flatten().map(|room| room.free).min().unwrap_or(0);
    let in_use = match measure::remembered(&host.paths) {
        Some(sizes) => format!(", {} in use", bytes(sizes.total())),
        None => String::new(),
    };
    let text = format!("{} free for {}{in_use}", bytes(free), state_dir.display());
    if free < LEAST {
        return failure("disk", text, "make room: below 200 MB reviews fail half-way");
    }
    // A job that may write more than there is ends another's.
    if free < config.job.disk.0 {
        let found = format!("{text}; one job may take {} of it", config.job.disk);
        return warning("disk", found, "make room, or set a smaller `[job] disk`");
    }
    ok("disk", text)
}

pub(super) async fn gc(host: &Host, manager: &Manager, config: &Config) -> Check {
    let Some(every) = config.disk.gc.on_calendar() else {
        return ok("gc", "off, as the configuration says; `cicdctl gc` by hand");
    };
    if timer::is_due(manager, config).await {
        let found = format!("{GC_TIMER} does not run: nothing that is old is given back by itself");
        return warning("gc", found, "`cicdctl apply`, or `[disk] gc = \"off\"`");
    }
    let state = manager.state(GC_SERVICE).await.unwrap_or_default();
    if state.is_failed() {
        let remedy = "`cicdctl gc` says why; `journalctl --user -u cicd-gc` has what it said then";
        return warning("gc", format!("the last one failed: {}", state.failure()), remedy);
    }
    let last =
        measure::remembered(&host.paths).map_or("none yet".to_owned(), |sizes| crate::quantity::time(sizes.at_ms));
    ok("gc", format!("{every}; the last one: {last}"))
}
