//! `cicdctl uninstall --system`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::set_up::present;
use super::{is_done_by, lock, record, users_with_a_runner};
use crate::cli::Changing;
use crate::command::uninstall::{leads_to_us, sorted};
use crate::converge;
use crate::error::{Exit, Fail};
use crate::files;
use crate::host::Host;
use crate::host_wide;
use crate::install::Manifest;
use crate::systemd::Manager;
use crate::unit::host::{self as units, DELEGATE, User};
use crate::unit::plan::{Plan, Present};
use crate::unit::{dir, escape::program_of};

/// The slice of our units in a user's manager (systemd.special(7): below `user@UID.service`), and all that is in it.
fn kill(user: &User) -> Result<()> {
    let uid = user.uid;
    let slice = format!("/sys/fs/cgroup/user.slice/user-{uid}.slice/user@{uid}.service/cicd.slice/cgroup.kill");
    match std::fs::write(&slice, "1") {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("could not kill by `{slice}`"))
        }
        _ => Ok(()),
    }
}

pub struct Wish {
    /// Remove what users and the host have kept, too.
    pub purge: bool,
    /// Go on where a user's own part cannot be taken back.
    pub force: bool,
}

pub async fn run(Wish { purge, force }: Wish, changing: Changing, host: &Host) -> Result<Exit> {
    let _lock = lock(host, "takes back what was set up for all users")?;
    let noted = Manifest::load(&record())?;
    let places = units::places(host.program.clone());
    let present = present(&places)?;
    let own = [host_wide::OPT, host_wide::ETC, host_wide::VAR].map(Path::new);
    if noted.is_none() && present.is_empty() && !(purge && own.iter().any(|dir| dir.exists())) {
        host.ui.say("Nothing to remove: this host is not set up for all its users.");
        return Ok(Exit::Done);
    }
    let mut manifest = noted.unwrap_or_default();
    let (with_us, by_themselves): (Vec<User>, Vec<User>) =
        users_with_a_runner(&manifest)?.into_iter().partition(|user| manifest.users.contains(&user.name));
    let (ours, _) = sorted(host, present, purge);
    let links: Vec<PathBuf> = manifest.links.iter().filter(|link| leads_to_us(host, link)).cloned().collect();
    let policy = &host_wide::config_files()[1];
    let policy_is_ours = files::read(policy)?.is_some_and(|text| text == units::POLICY);
    let mut lines: Vec<String> = with_us
        .iter()
        .map(|user| {
            format!(
                "take the runner of {} back{}",
                user.name,
                if purge { ", with its reviews and secrets" } else { "" }
            )
        })
        .collect();
    lines.extend(ours.iter().map(|file| format!("remove {}", file.path.display())));
    lines.extend(links.iter().map(|link| format!("remove {}", link.display())));
    match purge {
        true => lines.extend(own.iter().map(|dir| format!("remove {} with all that is in it", dir.display()))),
        false => lines.extend(policy_is_ours.then(|| format!("remove {}", policy.display()))),
    }
    for user in &by_themselves {
        host.ui.warn(&format!(
            "{} has a runner that was not set up with the host, and keeps it; `cicdctl --user {} apply` gives it units of \
             its own, `cicdctl --user {} uninstall` removes it",
            user.name, user.name, user.name
        ));
    }
    if !converge::agreed(host, &Plan::default(), &lines, changing, converge::Question::No)? {
        return Ok(Exit::Done);
    }

    // By what their units start, which they can read, too.
    let of_units = ours.iter().find_map(|file| program_of(&file.text)).map(PathBuf::from);
    let program = of_units.or_else(|| Some(host_wide::program()).filter(|program| program.exists()));
    let program = program.unwrap_or_else(|| host.program.clone());
    let mut failed = Vec::new();
    for user in &with_us {
        host.ui.say(&format!("{}: cicdctl uninstall", user.name));
        let mut arguments = vec!["uninstall", "--yes", "--quiet"];
        if purge {
            arguments.push("--purge");
        }
        if !is_done_by(host, &program, &user.name, &arguments).await? {
            failed.push(user);
        }
    }
    manifest.users.retain(|name| failed.iter().any(|user: &&User| user.name == *name));
    manifest.save(&record())?;
    if !failed.is_empty() {
        let names = failed.iter().map(|user| user.name.as_str()).collect::<Vec<_>>().join(", ");
        if !force {
            bail!(Fail::new(format!("the runner of {names} is still there, so the host stays as it is")).hint(
                "what is above says why; run this again once that is mended, or with `--force`, which kills what \
                     runs of it"
            ));
        }
        for user in &failed {
            kill(user)?;
        }
        host.ui.warn(&format!("{names}: what there is in the home, and lingering, stays"));
    }
    if ours.iter().any(|file| file.path == Path::new(DELEGATE)) {
        manifest.reload = true;
        manifest.save(&record())?;
    }
    for Present { path, text, .. } in &ours {
        files::remove_if(path, text)?;
    }
    if manifest.reload {
        files::remove_dir_if_empty(Path::new(DELEGATE).parent().unwrap_or(Path::new("/")));
        Manager::of_system().await?.reload().await?;
    }
    dir::sweep(&places)?;
    for link in &links {
        files::remove(link)?;
    }
    if policy_is_ours {
        files::remove(policy)?;
    }
    if purge {
        // The record goes last: who is killed here is taken up by the next run.
        for dir in [own[0], own[1], &Path::new(host_wide::VAR).join("users"), own[2]] {
            files::remove_tree(dir)?;
        }
    } else {
        files::remove(&host_wide::program())?;
        files::remove(&record())?;
        for user in &with_us {
            let own = host_wide::directory_of(user.uid);
            for dir in [own.join("sessions"), own.join("sockets"), own] {
                files::remove_dir_if_empty(&dir);
            }
        }
    }
    // Innermost first; what somebody has put something into stays.
    for dir in manifest.directories.iter().rev() {
        files::remove_dir_if_empty(dir);
    }
    host.ui.say("Done: the host is as it was.");
    let left: Vec<String> = own.iter().filter(|dir| dir.exists()).map(|dir| dir.display().to_string()).collect();
    if !left.is_empty() {
        host.ui.say(&format!("  kept  {} (`--purge` removes them)", left.join(", ")));
    }
    Ok(Exit::Done)
}
