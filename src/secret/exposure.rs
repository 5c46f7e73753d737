//! Secrets in the environment: files of environment.d and the block of the user manager, which every program of the
//! user is given. Putting one there is the deployment guide's way (`secrets = "environment.d"`); here is how that is
//! done, how they are found, and how they get back into the [`super::Vault`] without being lost on the way.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::{VARIABLES, Value, environment, name_of, text};
use crate::converge;
use crate::error::Fail;
use crate::files;
use crate::host::Host;
use crate::install::Manifest;
use crate::systemd::Manager;
use crate::unit::plan::{Authorship, Plan, authorship};
use crate::unit::{self, dir};

/// Where a variable with a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a file of environment.d.
    File(PathBuf),
    /// In the manager's block, from wherever it came there.
    Manager,
}

/// A secret that more can see than need to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposed {
    pub variable: String,
    pub place: Place,
    /// `None` where only systemd knows what comes of the text.
    pub value: Option<Value>,
    /// The file can be read by other users, too.
    pub by_others: bool,
}

/// Files of environment.d, in their order.
fn files_of(host: &Host) -> Result<Vec<PathBuf>> {
    let Some(dir) = host.paths.environment_file().parent().map(PathBuf::from) else { return Ok(Vec::new()) };
    let names = files::names(&dir)?.into_iter().filter(|name| name.ends_with(".conf"));
    Ok(names.map(|name| dir.join(name)).collect())
}

/// What is exposed; `manager` where there is one.
pub async fn exposed(host: &Host, manager: Option<&Manager>) -> Result<Vec<Exposed>> {
    let mut all = Vec::new();
    for path in files_of(host)? {
        // One that is a directory, or no text, is none of systemd's, either.
        let Ok(Some(text)) = files::read(&path) else { continue };
        let by_others = path.metadata().is_ok_and(|meta| meta.mode() & 0o044 != 0);
        for found in environment::secrets(&text) {
            let place = Place::File(path.clone());
            all.push(Exposed { variable: found.name, place, value: found.value, by_others });
        }
    }
    if let Some(manager) = manager {
        for variable in manager.environment().await? {
            let Some((name, value)) = variable.split_once('=') else { continue };
            if VARIABLES.contains(&name) && !value.is_empty() {
                let value = Some(Value::new(value));
                all.push(Exposed { variable: name.to_owned(), place: Place::Manager, value, by_others: false });
            }
        }
    }
    Ok(all)
}

/// Puts a variable into our file of environment.d, or takes it out (`None`), and lets the manager know: units that are
/// started from now on have it, or have it no more.
pub async fn set_variable(host: &Host, variable: &str, value: Option<Value>) -> Result<()> {
    let config = host.config()?;
    if config.environment.contains_key(variable) {
        bail!(
            Fail::new(format!("`[environment]` of `{}` has {variable}, too", host.paths.config_file().display()))
                .hint("take it out there, then run the command again")
        );
    }
    let _lock = converge::lock(host)?;
    let mut manifest = Manifest::load_begun(&host.paths)?.unwrap_or_default();
    let plan = plan(host, &config, variable, value)?;
    match host.manager().await {
        Ok(manager) => converge::apply(host, &plan, &mut manifest, &manager).await,
        Err(error) => {
            tracing::debug!("{error:#}");
            if let Some(parent) = host.paths.environment_file().parent() {
                manifest.note_directory(parent);
                manifest.save(&host.paths.manifest())?;
            }
            dir::apply(&plan)?;
            host.ui.warn("the user manager cannot be reached; what runs under it sees this once it starts anew");
            Ok(())
        }
    }
}

/// What becomes of our file.
fn plan(host: &Host, config: &crate::config::Config, variable: &str, value: Option<Value>) -> Result<Plan> {
    let mut places = host.places()?;
    places.secrets.retain(|(name, _)| name != variable);
    places.secrets.extend(value.map(|value| (variable.to_owned(), value)));
    let path = &places.environment_file;
    let mut wanted = unit::files(config, &[], &places)?;
    wanted.retain(|file| file.path == *path);
    let mut present = dir::present(&places)?;
    present.retain(|file| file.path == *path);
    let plan = Plan::new(wanted, &present, false);
    if let Some((path, authorship)) = plan.kept().next() {
        let why = match authorship {
            Authorship::Edited => "was edited by hand",
            _ => "was not written by cicdctl",
        };
        bail!(
            Fail::new(format!("`{}` {why} and is left as it is", path.display()))
                .hint("move your own lines into another file beside it, remove this one, then run the command again")
        );
    }
    Ok(plan)
}

/// Takes a secret out of where it is exposed, once it is safely in the vault. Says the name it has there.
pub async fn move_in(host: &Host, manager: Option<&Manager>, found: &Exposed) -> Result<&'static str> {
    let name = keep(host, found)?;
    match (&found.place, manager) {
        (Place::File(path), _) => take_out(host, path, &found.variable).await?,
        (Place::Manager, Some(manager)) => manager.unset_environment(&[&found.variable]).await?,
        (Place::Manager, None) => bail!("the user manager cannot be reached"),
    }
    Ok(name)
}

/// Stores a secret that is exposed, so that it may be taken out of there.
pub fn keep(host: &Host, found: &Exposed) -> Result<&'static str> {
    let variable = &found.variable;
    let Some(name) = name_of(variable) else {
        bail!(
            Fail::new(format!("{variable} is none of cicdctl's secrets")).hint("take it out by hand if it is not used")
        )
    };
    let Some(value) = &found.value else {
        bail!(
            Fail::new(format!("the value of {variable} is made of other variables"))
                .hint(format!("`cicdctl secret set {name}` stores it; then take the line out by hand"))
        )
    };
    let value = text::value(name, value.reveal().as_bytes())
        .map_err(|why| Fail::new(format!("the value of {variable} is of no use: {why}")))?;
    let vault = host.vault();
    match vault.value(name)? {
        Some(stored) if stored == value => {}
        Some(_) => bail!(
            Fail::new(format!("{variable} has another value than the secret `{name}`, which is the one that is used"))
                .hint(format!(
                    "take {variable} out by hand if it is the old one, or `cicdctl secret remove {name}` if that is"
                ))
        ),
        None => {
            vault.store(name, &value, false)?;
            if vault.value(name)?.as_ref() != Some(&value) {
                bail!("what was stored as `{name}` is not what is read again");
            }
        }
    }
    Ok(name)
}

/// Takes the line out; all others stay as they are.
async fn take_out(host: &Host, path: &PathBuf, variable: &str) -> Result<()> {
    let take = async || -> Result<()> {
        if path.symlink_metadata()?.is_symlink() {
            bail!(Fail::new("it is a symlink").hint(format!("take the line of {variable} out where it leads to")));
        }
        let text = files::read(path)?.context("it is gone")?;
        if *path == host.paths.environment_file() && authorship(&text) == Authorship::Ours {
            return set_variable(host, variable, None).await;
        }
        files::write(path, environment::without(&text, variable).as_bytes(), path.metadata()?.mode() & 0o777)
    };
    take().await.with_context(|| format!("could not take {variable} out of `{}`", path.display()))
}
