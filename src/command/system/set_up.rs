//! `cicdctl init --system`.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command as Process;

use anyhow::{Context, Result, bail};

use super::{is_done_by, lock, record, user};
use crate::cli::Changing;
use crate::converge;
use crate::error::{Exit, Fail};
use crate::files;
use crate::host::Host;
use crate::host_wide;
use crate::install::Manifest;
use crate::quantity::count;
use crate::systemd::Manager;
use crate::unit::host::{CONTROLLERS, DELEGATE, TMPFILES, User};
use crate::unit::plan::{Plan, Present, authorship};
use crate::unit::{dir, host as units};

pub struct Wish<'a> {
    /// Who is set up along with it.
    pub users: &'a [String],
    /// Also a delegation drop-in where it is needed.
    pub delegate: bool,
    /// What each user's own `init` is told.
    pub also: Vec<String>,
    pub changing: Changing,
}

const BIN: &str = "/usr/local/bin";

pub async fn run(wish: Wish<'_>, host: &Host) -> Result<Exit> {
    let _lock = lock(host, "sets a host up for all its users")?;
    // What is made is for everybody to read, whatever root is used to.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    for dir in [host_wide::OPT, host_wide::ETC, host_wide::VAR, host_wide::UNIT_DIR, BIN] {
        files::check_owner(Path::new(dir), 0)?;
    }
    let mut manifest = Manifest::load(&record())?.unwrap_or_default();
    let names = wish.users.iter().map(|name| name.trim()).filter(|name| !name.is_empty());
    let asked = names.map(known).collect::<Result<Vec<User>>>()?;
    let mut with_directory =
        manifest.users.iter().filter_map(|name| user(name).transpose()).collect::<Result<Vec<_>>>()?;
    with_directory.extend(asked.iter().cloned());
    with_directory.sort_by_key(|user| user.uid);
    with_directory.dedup();

    let program = Program::choose(host)?;
    let places = units::places(program.path.clone());
    let delegate = wish.delegate && delegates_too_little().await?;
    let present = present(&places)?;
    let wanted = units::files(&host.config_of_host()?, &places, &with_directory, delegate)?;
    let plan = Plan::new(wanted, &present, false);
    let new: Vec<&User> = asked.iter().filter(|user| !manifest.users.contains(&user.name)).collect();
    let todo = Todo::new(&program, &new)?;
    if !converge::agreed(host, &plan, &todo.describe(), wish.changing, converge::Question::Yes)? {
        return Ok(Exit::Done);
    }

    for dir in host_wide::directories()
        .iter()
        .map(PathBuf::as_path)
        .chain(plan.changes.iter().filter_map(|change| change.file.path.parent()))
    {
        manifest.note_directory(dir);
    }
    todo.links.iter().for_each(|link| manifest.note_link(link));
    for User { name, .. } in &asked {
        if !manifest.users.contains(name) {
            manifest.users.push(name.clone());
        }
    }
    manifest.reload |= plan.changes.iter().any(|change| change.file.path == Path::new(DELEGATE));
    files::make_dir(Path::new(host_wide::VAR), 0o755)?;
    manifest.save(&record())?;
    for dir in &todo.directories {
        files::make_dir(dir, 0o755)?;
    }
    if todo.copy {
        let mut source = std::fs::File::open(&host.program)?;
        files::write_with(&program.path, 0o755, |sink| Ok(std::io::copy(&mut source, sink).map(drop)?))?;
    }
    for link in &todo.links {
        std::os::unix::fs::symlink(&program.path, link)
            .with_context(|| format!("could not make the link `{}`", link.display()))?;
    }
    if todo.config {
        files::create(&host_wide::config_files()[1], units::POLICY.as_bytes(), 0o644)?;
    }
    dir::apply(&plan)?;
    let made = Process::new("systemd-tmpfiles").args(["--create", TMPFILES]).status();
    if !made.context("could not start `systemd-tmpfiles`")?.success() {
        bail!(Fail::new("`systemd-tmpfiles --create` failed; what is above says why"));
    }
    if manifest.reload {
        Manager::of_system().await?.reload().await?;
        manifest.reload = false;
        manifest.save(&record())?;
        host.ui.say("User managers that start from now on delegate all controllers; one that runs does so once its user has logged out, or after `systemctl restart user@UID.service`.");
    }

    let mut failed = Vec::new();
    // Those who were set up before get what has changed.
    for User { name, home, .. } in &with_directory {
        host.ui.say(&format!("{name}: cicdctl init"));
        let mut arguments = vec!["init", "--yes", "--quiet"];
        if !home.join(".config/cicd-toolkit/config.toml").exists() {
            arguments.extend(wish.also.iter().map(String::as_str));
        }
        if !is_done_by(host, &program.path, name, &arguments).await? {
            failed.push(name.as_str());
        }
    }
    if !failed.is_empty() {
        bail!(
            Fail::new(format!("the host is set up, but not the runner of {}", failed.join(", ")))
                .hint("what is above says why; `cicdctl --user NAME init` tries again for one of them")
        );
    }
    report(host, &plan, &with_directory);
    Ok(Exit::Done)
}

fn report(host: &Host, plan: &Plan, users: &[User]) {
    let ui = &host.ui;
    ui.say("Done: the host is set up for all its users.");
    ui.say(&format!("  units          {} ({} changed)", host_wide::UNIT_DIR, count(plan.changed(), "file")));
    ui.say(&format!("  policy         {}", host_wide::config_files()[1].display()));
    ui.say(&format!("  skills         {}", host_wide::skills_dir().display()));
    if !users.is_empty() {
        let names: Vec<&str> = users.iter().map(|user| user.name.as_str()).collect();
        ui.say(&format!("  runners        {}", names.join(", ")));
    }
    ui.say("  undo           cicdctl uninstall --system --purge");
    ui.say("Next: `cicdctl status --all-users`; each user adds projects with `cicdctl agent add NAME --path DIR`.");
}

fn known(name: &str) -> Result<User> {
    match user(name)? {
        None => bail!(Fail::usage(format!("there is no user `{name}`")).hint("`getent passwd` shows those there are")),
        Some(user) if user.uid == 0 => bail!(Fail::usage("root does not need a runner of its own")),
        Some(user) => Ok(user),
    }
}

/// Whether user managers pass on fewer controllers than limits need. What our own drop-in adds stays.
async fn delegates_too_little() -> Result<bool> {
    if Path::new(DELEGATE).exists() {
        return Ok(true);
    }
    // Any instance of the template tells what holds for all; it is not started for that.
    let properties = Manager::of_system().await?.properties("user@0.service").await?;
    let passed_on = properties.get("DelegateControllers").and_then(|value| Vec::<String>::try_from(value.clone()).ok());
    let passed_on = passed_on.unwrap_or_default();
    Ok(CONTROLLERS.iter().any(|needed| !passed_on.iter().any(|controller| controller == needed)))
}

/// What there is of ours.
pub fn present(places: &crate::unit::Places) -> Result<Vec<Present>> {
    let mut present = dir::present(places)?;
    for path in [TMPFILES, DELEGATE] {
        if let Some(text) = files::read(Path::new(path))? {
            present.push(Present { path: path.into(), authorship: authorship(&text), text });
        }
    }
    Ok(present)
}

/// What the units of all users start.
struct Program {
    path: PathBuf,
    /// It is a copy of the one that runs now.
    is_copy: bool,
}

impl Program {
    /// This one, where only root can change it; otherwise a copy of it.
    fn choose(host: &Host) -> Result<Program> {
        let path = host.program.canonicalize().unwrap_or_else(|_| host.program.clone());
        let is_roots = path.ancestors().all(|part| {
            part.metadata()
                .is_ok_and(|meta| meta.uid() == 0 && meta.mode() & 0o022 == 0 && meta.mode() & 0o005 == 0o005)
        });
        Ok(match is_roots {
            true => Program { path, is_copy: false },
            false => Program { path: host_wide::program(), is_copy: true },
        })
    }

    /// The names by which it is found; those of the deployment guide among them.
    fn links(&self) -> Vec<PathBuf> {
        let dirs = [Path::new(BIN), &Path::new(host_wide::OPT).join("bin")];
        let links = dirs.into_iter().flat_map(|dir| ["cicdctl", "cicd-runner"].map(|name| dir.join(name)));
        links.filter(|link| *link != self.path).collect()
    }
}

/// What is to be done besides unit files.
struct Todo {
    directories: Vec<PathBuf>,
    copy: bool,
    links: Vec<PathBuf>,
    config: bool,
    users: Vec<String>,
    program: PathBuf,
}

impl Todo {
    fn new(program: &Program, new: &[&User]) -> Result<Todo> {
        let same = || -> Result<bool> {
            let sum = |path: &Path| -> Result<String> {
                Ok(files::copy_hashed(&mut std::fs::File::open(path)?, &mut std::io::sink())?)
            };
            Ok(program.path.exists() && sum(&program.path)? == sum(&std::env::current_exe()?)?)
        };
        let there = |path: &PathBuf| path.symlink_metadata().is_ok();
        // On the PATH already, `cicdctl` needs no second name.
        let needless =
            |link: &PathBuf| !program.is_copy && link.ends_with("cicdctl") && program.path.starts_with("/usr");
        Ok(Todo {
            directories: host_wide::directories().into_iter().filter(|dir| !there(dir)).collect(),
            copy: program.is_copy && !same()?,
            links: program.links().into_iter().filter(|link| !there(link) && !needless(link)).collect(),
            config: !there(&host_wide::config_files()[1]),
            users: new.iter().map(|user| user.name.clone()).collect(),
            program: program.path.clone(),
        })
    }

    fn describe(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.directories.iter().map(|dir| format!("create {}/", dir.display())).collect();
        lines.extend(self.config.then(|| format!("create {}", host_wide::config_files()[1].display())));
        lines.extend(self.copy.then(|| format!("copy   this program to {}", self.program.display())));
        lines.extend(self.links.iter().map(|link| format!("link   {} -> {}", link.display(), self.program.display())));
        lines.extend(
            self.users.iter().map(|name| format!("set up {name}: enable lingering, then `cicdctl init` as {name}")),
        );
        lines
    }
}
