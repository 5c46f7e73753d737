//! `cicdctl uninstall`: takes back what init and agent wrote and set, and nothing else.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::cli::Changing;
use crate::command::as_user::LINGER_SET;
use crate::command::system::take_back;
use crate::converge;
use crate::error::Exit;
use crate::files;
use crate::host::Host;
use crate::install::Manifest;
use crate::secret::exposure;
use crate::systemd::{self, Manager, Verb};
use crate::timer;
use crate::unit::plan::{Authorship, Plan, Present};
use crate::unit::{PATTERNS, Places, dir};

/// Remove the runner, its agents and their units
///
/// Stops and disables the units, removes the files that cicdctl wrote (never one that was edited by hand), and turns
/// lingering off if cicdctl turned it on. Configuration, reviews and secrets stay, unless `--purge` is given.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cicdctl uninstall --dry-run
  cicdctl uninstall --purge --yes
  sudo cicdctl uninstall --system --dry-run")]
pub struct Args {
    /// Remove configuration, secrets, reviews and caches, too
    #[arg(long)]
    purge: bool,
    /// Take back what `cicdctl init --system` has done, and the runners of those who were set up with it; as root
    #[arg(long)]
    system: bool,
    /// With `--system`: take the host's set-up back even where a user's runner could not be; what runs of it is killed
    #[arg(long, requires = "system")]
    force: bool,
    #[command(flatten)]
    pub changing: Changing,
}

pub async fn run(args: Args, host: &Host) -> Result<Exit> {
    if args.system {
        return take_back::run(take_back::Wish { purge: args.purge, force: args.force }, args.changing, host).await;
    }
    let paths = &host.paths;
    let _lock = if args.changing.dry_run { None } else { Some(converge::lock(host)?) };
    let mut noted = Manifest::load_begun(paths)?;
    if host.variable(LINGER_SET).is_some() {
        noted.get_or_insert_default().linger = true;
    }
    let places = host.places()?;
    let present = dir::present(&places)?;
    let own = [&paths.config_dir, &paths.cache_dir, &paths.state_dir];
    let is_there = |dir: &&PathBuf| dir.symlink_metadata().is_ok();
    if noted.is_none() && present.is_empty() && !(args.purge && own.iter().any(is_there)) {
        host.ui.say("Nothing to remove: cicdctl is not set up for this user.");
        return Ok(Exit::Done);
    }
    let mut manifest = noted.unwrap_or_default();
    let (ours, others) = sorted(host, present, args.purge);
    let links: Vec<PathBuf> = manifest.links.iter().filter(|link| leads_to_us(host, link)).cloned().collect();
    let mut lines: Vec<String> = vec!["stop and disable the runner, its agents and their jobs".into()];
    lines.extend(ours.iter().map(|file| format!("remove {}", file.path.display())));
    lines.extend(links.iter().map(|path| format!("remove {}", path.display())));
    lines.extend(manifest.old_programs.iter().map(|path| format!("remove {}", path.display())));
    if manifest.linger {
        lines.push(format!("disable lingering for {} (cicdctl had enabled it)", host.user));
    }
    if args.purge {
        lines.extend(
            [&paths.config_dir, &paths.state_dir, &paths.cache_dir]
                .map(|dir| format!("remove {} with all that is in it", dir.display())),
        );
    }
    if !converge::agreed(host, &Plan::default(), &lines, args.changing, converge::Question::No)? {
        return Ok(Exit::Done);
    }
    // Without a manager nothing of ours runs, and enablement is symlinks.
    let manager = match host.manager().await {
        Ok(manager) => Some(manager),
        Err(error) => {
            host.ui.warn(&format!("the user manager cannot be reached, so only files are removed: {error:#}"));
            None
        }
    };
    if let Some(manager) = &manager {
        stop_everything(host, manager).await?;
    }
    timer::forget(host)?;
    if !args.purge && ours.iter().any(|file| file.path == paths.environment_file()) {
        keep_secrets(host).await?;
    }
    let links_of_units = dir::enablements(&places)?;
    let mut emptied: Vec<PathBuf> =
        manifest.directories.iter().filter(|dir| dir.extension().is_some_and(|end| end == "wants")).cloned().collect();
    if manifest.enabled.is_empty() {
        // A record of before such directories were noted.
        emptied.extend(links_of_units.iter().filter_map(|link| Some(link.parent()?.to_path_buf())));
    }
    for link in links_of_units {
        // Who had enabled a unit of their own before us finds it so again.
        let name = link.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if manifest.enabled.contains(&name) || !is_unit_of(&others, &name) {
            files::remove(&link)?;
        }
    }
    for dir in emptied {
        files::remove_dir_if_empty(&dir);
    }
    for Present { path, text, .. } in &ours {
        files::remove_if(path, text)?;
        dir::remove_empty_dropin_dir(path);
    }
    remove_empty_dropin_dirs(&places)?;
    if let Some(manager) = &manager {
        manager.reload().await?;
    }
    for link in &links {
        files::remove(link)?;
    }
    for program in &manifest.old_programs {
        if let Err(error) = files::remove(program) {
            host.ui.warn(&format!("{error:#}"));
        }
    }
    files::remove(&paths.runner_socket())?;
    files::remove_tree(&paths.runtime_dir.join("cicd-toolkit"))?;
    if args.purge {
        purge(host, &mut manifest).await?;
    } else {
        // After the thing itself: what is taken back twice does no harm.
        manifest.links.clear();
        manifest.old_programs.clear();
        manifest.enabled.clear();
        manifest.restart.clear();
        manifest.reload = false;
        manifest.save(&paths.manifest())?;
        if std::mem::take(&mut manifest.linger) && unlinger(host).await {
            manifest.save(&paths.manifest())?;
        }
    }
    host.ui.say("Done: the units are gone.");
    if !args.purge {
        host.ui.say(&format!(
            "  kept  {} and {} (`--purge` removes them)",
            paths.config_dir.display(),
            paths.state_dir.display()
        ));
    }
    Ok(Exit::Done)
}

/// What is to be removed, and what stays, which is said.
pub fn sorted(host: &Host, present: Vec<Present>, purge: bool) -> (Vec<Present>, Vec<Present>) {
    let (ours, others): (Vec<_>, Vec<Present>) = present.into_iter().partition(|file| match file.authorship {
        Authorship::Ours => true,
        Authorship::Edited => purge,
        Authorship::Foreign | Authorship::Link => false,
    });
    for Present { path, authorship, .. } in &others {
        let what = match authorship {
            Authorship::Link => "is a symlink",
            Authorship::Edited => "was edited by hand",
            _ => "was not written by cicdctl",
        };
        host.ui.warn(&format!("`{}` {what} and is left as it is", path.display()));
    }
    (ours, others)
}

/// Secrets in our file of environment.d are kept, as all others are, but no longer for every program to see.
async fn keep_secrets(host: &Host) -> Result<()> {
    let file = exposure::Place::File(host.paths.environment_file());
    for found in exposure::exposed(host, None).await?.iter().filter(|found| found.place == file) {
        let name = exposure::keep(host, found)?;
        host.ui.say(&format!(
            "  kept  {} from {} as the secret `{name}`",
            found.variable,
            host.paths.environment_file().display()
        ));
    }
    Ok(())
}

/// Everything else, and at last the record of what there was to take back: whoever is killed at any point finds it
/// again, in the state directory or in the runtime directory.
async fn purge(host: &Host, manifest: &mut Manifest) -> Result<()> {
    let paths = &host.paths;
    files::remove_tree(&paths.config_dir)?;
    files::remove_tree(&paths.cache_dir)?;
    let record = paths.manifest();
    for name in files::names(&paths.state_dir)? {
        let path = paths.state_dir.join(name);
        if path != record {
            files::remove_tree(&path)?;
        }
    }
    if paths.runtime_dir.is_dir() {
        files::write(&paths.first_note(), &serde_json::to_vec(manifest)?, 0o600)?;
    }
    files::remove_tree(&paths.state_dir)?;
    // Innermost first; what somebody else put something into stays.
    for dir in manifest.directories.iter().rev() {
        files::remove_dir_if_empty(dir);
    }
    // Last, as the user manager may end with it, the runtime directory with that, and we may be its child.
    if !manifest.linger || unlinger(host).await {
        files::remove(&paths.first_note())?;
    }
    Ok(())
}

/// Turns lingering off; says whether it is.
async fn unlinger(host: &Host) -> bool {
    match systemd::set_linger(host.uid, &host.user, false).await {
        Ok(()) => true,
        Err(error) => {
            host.ui.warn(&crate::error::describe(&error).replacen("error: ", "", 1));
            false
        }
    }
}

/// Whether the link that we once made is still one to this program. Another may have taken its place.
pub fn leads_to_us(host: &Host, link: &Path) -> bool {
    let is_our_name = |name: &OsStr| name == "cicdctl" || Some(name) == host.program.file_name();
    std::fs::read_link(link).is_ok_and(|target| target.file_name().is_some_and(is_our_name))
}

/// Whether `unit` is one of these files, or an instance of one.
fn is_unit_of(files: &[Present], unit: &str) -> bool {
    let template = unit.split_once('@').map(|(name, rest)| {
        let kind = rest.rsplit_once('.').map_or("", |(_, kind)| kind);
        format!("{name}@.{kind}")
    });
    let names = || files.iter().filter_map(|file| file.path.file_name()?.to_str());
    names().any(|name| name == unit || Some(name) == template.as_deref())
}

/// Directories of drop-ins in which nothing was but what a killed command left.
fn remove_empty_dropin_dirs(places: &Places) -> Result<()> {
    for dir in dir::shared(places)? {
        if dir.extension().is_some_and(|end| end == "d") && dir.starts_with(&places.unit_dir) {
            files::remove_dir_if_empty(&dir);
        }
    }
    Ok(())
}

async fn stop_everything(host: &Host, manager: &Manager) -> Result<()> {
    let loaded = manager.loaded(&PATTERNS).await?;
    // Sockets and timers first, or the next connection would start what is being stopped.
    let starts = |unit: &String| unit.ends_with(".socket") || unit.ends_with(".timer");
    let (sockets, rest): (Vec<String>, Vec<String>) = loaded.into_iter().partition(starts);
    for units in [sockets, rest] {
        for (unit, result) in manager.change(Verb::Stop, &units).await? {
            if let Err(error) = result {
                host.ui.warn(&format!("could not stop `{unit}`, going on: {error:#}"));
            }
            manager.reset_failed(&unit).await;
        }
    }
    Ok(())
}
