//! Who can see the secrets: modes of their files, files of environment.d, and the environment of the user manager; and
//! how that is mended.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use anyhow::Result;

use super::{Check, failure, ok, warning};
use crate::config::{Config, SecretsIn};
use crate::files;
use crate::host::Host;
use crate::quantity::{self, count};
use crate::secret::exposure::{self, Exposed, Place};
use crate::secret::{Kept, close, name_of};
use crate::systemd::Manager;

pub async fn checks(host: &Host, config: &Config, manager: Option<&Manager>) -> Vec<Check> {
    let mut checks = Vec::new();
    let loose = loose(host);
    if !loose.is_empty() {
        let paths: Vec<String> = loose.iter().map(|loose| loose.path.display().to_string()).collect();
        checks.push(failure(
            "secrets",
            format!("other users can get at {}", quantity::list(&paths, 3)),
            "`cicdctl doctor --fix` takes their rights away; if others use this host, store new values",
        ));
    }
    match exposure::exposed(host, manager).await {
        Ok(exposed) => checks.extend(exposed.iter().map(|found| check(host, config, found))),
        Err(error) => checks.push(warning("secrets", format!("{error:#}"), "see whether the file named can be read")),
    }
    if !checks.is_empty() {
        return checks;
    }
    // Each is read: one that cannot be decrypted any more is better known before a job needs it.
    let (mut kept, mut wrong) = (Vec::new(), Vec::new());
    for stored in host.vault().list().unwrap_or_default() {
        match host.vault().load(&stored.name) {
            Ok(_) => kept.push(stored.kept),
            Err(error) => wrong.push(failure(
                "secrets",
                format!("{error:#}"),
                format!("`cicdctl secret set {}` stores it anew", stored.name),
            )),
        }
    }
    if !wrong.is_empty() {
        return wrong;
    }
    let encrypted = kept.iter().filter(|kept| **kept == Kept::Encrypted).count();
    vec![ok(
        "secrets",
        match kept.len() {
            0 => "none are stored, and none are in the environment".to_owned(),
            all => format!("{} kept, {encrypted} of them encrypted; none in the environment", count(all, "secret")),
        },
    )]
}

/// What is found of one that is exposed. Pure.
fn check(host: &Host, config: &Config, found: &Exposed) -> Check {
    let variable = &found.variable;
    let who = if found.by_others { "every user of this host" } else { "every program of this user" };
    match &found.place {
        Place::File(path) => {
            let wanted = config.secrets == SecretsIn::Environment && *path == host.paths.environment_file();
            let remedy = match name_of(variable) {
                Some(_) if wanted => {
                    "that is what `secrets = \"environment.d\"` does; without that setting `cicdctl doctor --fix` moves it \
                     into the credentials"
                        .to_owned()
                }
                Some(name) => format!("`cicdctl doctor --fix` moves it into the credentials, as `{name}`"),
                None => format!("take it out of the file if nothing needs it: {}", path.display()),
            };
            warning("secrets", format!("{variable} in {} can be seen by {who}", path.display()), remedy)
        }
        Place::Manager => warning(
            "secrets",
            format!("{variable} is in the environment of the user manager, where {who} sees it"),
            match name_of(variable) {
                Some(_) => format!(
                    "`cicdctl doctor --fix` moves it into the credentials; where it comes back, look for {variable} in \
                     /etc/environment and ~/.pam_environment, and for `import-environment` in what your login runs"
                ),
                None => format!("`systemctl --user unset-environment {variable}` if nothing needs it"),
            },
        ),
    }
}

/// Something that others can get at, and the mode it should have.
struct Loose {
    path: PathBuf,
    mode: u32,
}

fn loose(host: &Host) -> Vec<Loose> {
    let dir = host.paths.credentials_dir();
    let mut loose = Vec::new();
    let mut look = |path: PathBuf, mode: u32| {
        if path.symlink_metadata().is_ok_and(|meta| !meta.is_symlink() && meta.mode() & 0o077 != 0) {
            loose.push(Loose { path, mode });
        }
    };
    for name in files::names(&dir).unwrap_or_default() {
        look(dir.join(name), 0o600);
    }
    look(dir, 0o700);
    loose
}

/// Mends what can be mended without a doubt: modes, and secrets in the environment that are moved into the vault. Each
/// is in the vault before it is taken out of where it was.
pub async fn fix(host: &Host, dry_run: bool) -> Result<()> {
    let manager = host.manager().await.ok();
    let loose = loose(host);
    let config = host.config()?;
    let wanted = |found: &Exposed| {
        config.secrets == SecretsIn::Environment
            && (found.place == Place::Manager || found.place == Place::File(host.paths.environment_file()))
    };
    let mut exposed = exposure::exposed(host, manager.as_ref()).await?;
    exposed.retain(|found| name_of(&found.variable).is_some() && !wanted(found));
    let mut lines: Vec<String> =
        loose.iter().map(|loose| format!("  mode {:o} for {}", loose.mode, loose.path.display())).collect();
    lines.extend(exposed.iter().map(|found| {
        let place = match &found.place {
            Place::File(path) => path.display().to_string(),
            Place::Manager => "the environment of the user manager".to_owned(),
        };
        let name = name_of(&found.variable).unwrap_or_default();
        format!("  move {} from {place} into the credentials, as `{name}`", found.variable)
    }));
    if lines.is_empty() {
        host.ui.say("Nothing to mend that can be mended without you.");
        return Ok(());
    }
    if dry_run {
        return host.ui.data(&lines.join("\n"));
    }
    host.ui.say("This will be done:");
    host.ui.say(&lines.join("\n"));
    if !host.ui.confirm("Go on?", true)? {
        return Ok(());
    }
    for loose in loose {
        close(&loose.path, loose.mode)?;
    }
    let mut moved = false;
    for found in &exposed {
        match exposure::move_in(host, manager.as_ref(), found).await {
            Ok(name) => {
                moved = true;
                host.ui.say(&format!("moved {} into the credentials, as `{name}`", found.variable));
            }
            Err(error) => host.ui.warn(&crate::error::describe(&error).replacen("error: ", "", 1)),
        }
    }
    if let Some(manager) = manager.filter(|_| moved) {
        // What the files no longer say leaves the manager's environment with this.
        manager.reload().await?;
    }
    Ok(())
}
