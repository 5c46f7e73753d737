//! `cicdctl init`: the first configuration, units in place, lingering on, socket listening, and the proof that it
//! works. A second run changes nothing; a run that was killed half-way is finished by the next.

use std::path::Path;

use anyhow::{Context, Result};

use crate::agent::AgentName;
use crate::api::client::Client;
use crate::cli::Changing;
use crate::command::system::set_up;
use crate::config::{self, Agent, EngineName, Level};
use crate::converge;
use crate::error::{Exit, Fail};
use crate::files;
use crate::host::Host;
use crate::host_wide;
use crate::install::Manifest;
use crate::systemd::{self, Linger, Manager, Verb};
use crate::timer;
use crate::unit::{RUNNER_SERVICE, RUNNER_SOCKET};

/// Set up the runner for this user
///
/// Writes the configuration and the units, keeps them running after logout (lingering), starts the runner's socket
/// and proves that it answers. `cicdctl uninstall` takes all of it back.
///
/// With `--system`, root sets the host up for all its users: units in `/etc/systemd/user`, what users may not change in
/// `/etc/cicd-toolkit/config.toml`, skills for everybody in `/opt/cicd-toolkit/skills`, and a directory for each of the
/// `--users` in `/var/lib/cicd-toolkit/users`. A second run brings all of it up to date.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cicdctl init                    asks before it changes anything
  cicdctl init --yes --engine claude
  sudo cicdctl init --system --users alice,bob")]
pub struct Args {
    /// The engine that reviews: rules (built in), claude or command
    #[arg(long, value_enum)]
    engine: Option<EngineName>,
    /// How far the units are confined: off, standard or strict
    #[arg(long, value_enum)]
    hardening: Option<Level>,
    /// Leave lingering as it is
    #[arg(long, conflicts_with = "system")]
    no_linger: bool,
    /// Set the host up for all its users, as root: units in /etc/systemd/user, policy in /etc/cicd-toolkit
    #[arg(long)]
    system: bool,
    /// Set these users up along with it
    #[arg(long, value_name = "NAMES", value_delimiter = ',', requires = "system")]
    users: Vec<String>,
    /// Leave it to user managers what they delegate
    #[arg(long, requires = "system")]
    no_delegate: bool,
    #[command(flatten)]
    pub changing: Changing,
}

pub async fn run(args: Args, host: &Host) -> Result<Exit> {
    if args.system {
        return set_up_host(&args, host).await;
    }
    refuse_root(host)?;
    if let Some(note) = crate::command::upgrade::Note::load(host)? {
        host.ui.warn(&format!("{}; `cicdctl upgrade` goes on", note.in_words()));
    }
    let manager = host.manager().await?;
    refuse_other_unit_directory(host, &manager).await?;
    converge::check_places(host)?;
    let _lock = if args.changing.dry_run { None } else { Some(converge::lock(host)?) };
    let config_path = host.paths.config_file();
    let starter = match files::read(&config_path)? {
        Some(_) if args.engine.is_some() || args.hardening.is_some() => {
            return Err(Fail::usage(format!(
                "`{}` is there already, and `--engine` and `--hardening` are for a new one",
                config_path.display()
            ))
            .hint("edit the file, then run `cicdctl apply`")
            .into());
        }
        Some(_) => None,
        None => Some(first_configuration(&args, host)?),
    };
    let config = match &starter {
        Some(text) => host.config_with(&config_path, text)?,
        None => host.config()?,
    };
    let agents = host.agents(&config)?;
    let plan = converge::plan(host, &config, &agents, false)?;
    let mut manifest = Manifest::load_begun(&host.paths)?.unwrap_or_default();
    manifest.linger |= host.variable(crate::command::as_user::LINGER_SET).is_some();
    let mut todo = Todo::new(&args, host, &manager, starter.is_some(), &agents).await;
    // What the plan makes is started with it.
    todo.timer = !timer::is_made(&plan) && timer::is_due(&manager, &config).await;
    let mut also = todo.describe(host);
    also.extend(converge::unfinished(&manifest));
    if !converge::agreed(host, &plan, &also, args.changing, converge::Question::Yes)? {
        return Ok(Exit::Done);
    }
    if plan.is_empty() && also.is_empty() {
        prove(host).await?;
        host.ui.say("Nothing to change: the runner is set up and answers.");
        return Ok(Exit::Done);
    }

    manifest.begin(&host.paths)?;
    manifest.reload |= todo.reload;
    for dir in [&host.paths.config_dir, &host.paths.cache_dir, &host.paths.state_dir] {
        manifest.note_directory(dir);
    }
    manifest.save(&host.paths.manifest())?;
    for dir in [&host.paths.config_dir, &host.paths.cache_dir, &host.paths.state_dir] {
        files::make_dir(dir, 0o700)?;
    }
    if let Some(text) = &starter {
        files::create(&config_path, text.as_bytes(), 0o600)?;
    }
    converge::apply(host, &plan, &mut manifest, &manager).await?;
    if todo.link {
        let link = host.paths.runner_link();
        if let Some(dir) = link.parent() {
            manifest.note_directory(dir);
            manifest.note_link(&link);
            manifest.save(&host.paths.manifest())?;
            files::make_dir(dir, 0o755)?;
        }
        std::os::unix::fs::symlink(&host.program, &link)
            .with_context(|| format!("could not make the link `{}`", link.display()))?;
    }
    if todo.linger {
        manifest.linger = true;
        manifest.save(&host.paths.manifest())?;
        if let Err(error) = systemd::set_linger(host.uid, &host.user, true).await {
            manifest.linger = false;
            manifest.save(&host.paths.manifest())?;
            // Without it everything works until logout, so this is no reason to stop.
            host.ui.warn(&crate::error::describe(&error).replacen("error: ", "", 1));
        }
    }
    if todo.enable {
        converge::enable(host, &mut manifest, &manager, &[RUNNER_SERVICE, RUNNER_SOCKET]).await?;
    }
    if todo.timer {
        timer::start(host, &mut manifest, &manager).await?;
    }
    converge::restart(host, &mut manifest, &manager).await?;
    if todo.start && manager.state(RUNNER_SERVICE).await?.is_active() {
        // A runner that bound its own socket, as the deployment guide's unit does, has to let go of it.
        manager.change_one(Verb::Stop, RUNNER_SERVICE).await?;
    }
    manager
        .change_one(Verb::Start, RUNNER_SOCKET)
        .await
        .map_err(|error| crate::command::logs::with_last_lines(host, error, RUNNER_SOCKET))?;
    // Agents that `uninstall` left in the configuration; one that was merely stopped is still enabled.
    let units: Vec<String> = todo.agents.iter().flat_map(|name| [name.socket(), name.service()]).collect();
    if !units.is_empty() {
        converge::enable(host, &mut manifest, &manager, &units.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        for (unit, result) in manager.change(Verb::Start, &units).await? {
            result
                .with_context(|| format!("could not start `{unit}`"))
                .map_err(|error| crate::command::logs::with_last_lines(host, error, &unit))?;
        }
    }
    prove(host).await?;
    report(host, &plan, starter.is_some());
    Ok(Exit::Done)
}

async fn set_up_host(args: &Args, host: &Host) -> Result<Exit> {
    let mut also = Vec::new();
    if let Some(engine) = args.engine {
        also.extend(["--engine".to_owned(), engine.as_str().to_owned()]);
    }
    if let Some(level) = args.hardening {
        also.extend(["--hardening".to_owned(), level.as_str().to_owned()]);
    }
    let wish = set_up::Wish { users: &args.users, delegate: !args.no_delegate, also, changing: args.changing };
    set_up::run(wish, host).await
}

/// What is to be done besides unit files.
struct Todo {
    config: bool,
    link: bool,
    linger: bool,
    enable: bool,
    start: bool,
    timer: bool,
    /// The manager may not have read yet what the host has for it.
    reload: bool,
    /// Agents that have a file and are not enabled.
    agents: Vec<AgentName>,
}

impl Todo {
    async fn new(args: &Args, host: &Host, manager: &Manager, config: bool, configured: &[Agent]) -> Todo {
        let service = manager.state(RUNNER_SERVICE).await.unwrap_or_default();
        let socket = manager.state(RUNNER_SOCKET).await.unwrap_or_default();
        let mut agents = Vec::new();
        for Agent { name, .. } in configured {
            if !manager.is_enabled(&name.socket()).await {
                agents.push(name.clone());
            }
        }
        let enable = !(manager.is_enabled(RUNNER_SOCKET).await && manager.is_enabled(RUNNER_SERVICE).await);
        Todo {
            reload: host_wide::is_set_up() && (enable || service.is_stale || socket.is_stale),
            config,
            link: host.paths.runner_link().symlink_metadata().is_err(),
            linger: !args.no_linger && systemd::linger(&host.user) == Linger::Off,
            enable,
            start: !socket.is_active(),
            timer: false,
            agents,
        }
    }

    fn describe(&self, host: &Host) -> Vec<String> {
        let lines = [
            (self.config, format!("create {}", host.paths.config_file().display())),
            (self.link, format!("link   {} -> {}", host.paths.runner_link().display(), host.program.display())),
            (self.linger, format!("enable lingering for {} (units run with nobody logged in)", host.user)),
            (self.enable, format!("enable {RUNNER_SERVICE} and {RUNNER_SOCKET}")),
            (self.start, format!("start  {RUNNER_SOCKET}")),
            (self.timer, timer::TO_START.to_owned()),
            (self.reload && !self.enable, "let the user manager read the host's units anew".to_owned()),
        ];
        let agents =
            self.agents.iter().map(|name| format!("enable and start {} and {}", name.socket(), name.service()));
        lines.into_iter().filter(|(due, _)| *due).map(|(_, line)| line).chain(agents).collect()
    }
}

fn refuse_root(host: &Host) -> Result<()> {
    if host.uid == 0 {
        return Err(Fail::usage("root does not need a runner of its own")
            .hint("run this as the user who is to have it, or as root with `cicdctl --user NAME init`")
            .into());
    }
    Ok(())
}

/// Units where the user manager does not look would never be found, and the message would be about a missing unit.
async fn refuse_other_unit_directory(host: &Host, manager: &Manager) -> Result<()> {
    let ours = host.paths.unit_dir();
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let looked_at = manager.unit_path().await?;
    if looked_at.iter().any(|dir| real(Path::new(dir)) == real(&ours)) {
        return Ok(());
    }
    Err(Fail::new(format!("the user manager does not look for units in `{}`", ours.display()))
        .hint(
            "XDG_CONFIG_HOME is not what the user manager has (`systemctl --user show-environment`): unset it, or set \
             it for all of your session (`~/.config/environment.d/`) and log in anew",
        )
        .into())
}

/// The commented starter file, with the answers in it.
fn first_configuration(args: &Args, host: &Host) -> Result<String> {
    let engine = match args.engine {
        Some(engine) => engine,
        None if host.ui.can_ask() => ask_engine(host)?,
        None => EngineName::Rules,
    };
    let mut text = config::starter().to_owned();
    if engine != EngineName::Rules {
        text = text.replace("#engine = \"rules\"  ", &format!("engine = \"{}\"  ", engine.as_str()));
    }
    if let Some(level) = args.hardening.filter(|level| *level != Level::Standard) {
        text = text.replace("#level = \"standard\"", &format!("level = \"{}\"", level.as_str()));
    }
    Ok(text)
}

fn ask_engine(host: &Host) -> Result<EngineName> {
    let claude = if host.find_program("claude").is_some() { "found" } else { "not found on this host" };
    let choices = [
        "rules: built in, no key, no network, at once".to_owned(),
        format!("claude: the Claude Code CLI ({claude}; needs an API key)"),
        "command: a program of your own".to_owned(),
    ];
    let choice = dialoguer::Select::new().with_prompt("Which engine reviews?").items(&choices).default(0).interact()?;
    Ok([EngineName::Rules, EngineName::Claude, EngineName::Command][choice])
}

/// A real call through the socket, which wakes the runner.
async fn prove(host: &Host) -> Result<()> {
    // A runner that failed too often would not be started, however right everything is by now, and its socket would
    // fail with it.
    if let Ok(manager) = host.manager().await {
        manager.reset_failed(RUNNER_SERVICE).await;
    }
    let client = Client::new(host.paths.runner_socket());
    match client.info().await {
        Ok(info) => {
            host.ui.detail(&format!("the runner {} answers on {}", info.version, host.paths.runner_socket().display()));
            Ok(())
        }
        Err(error) => {
            let state = match host.manager().await {
                Ok(manager) => manager.state(RUNNER_SERVICE).await.ok(),
                Err(_) => None,
            };
            let error = match state {
                Some(state) if state.is_failed() => {
                    error.context(format!("`{RUNNER_SERVICE}` failed: {}", state.failure()))
                }
                _ => error.context("the runner does not answer"),
            };
            Err(crate::command::logs::with_last_lines(host, error, RUNNER_SERVICE))
        }
    }
}

fn report(host: &Host, plan: &crate::unit::plan::Plan, new_config: bool) {
    let ui = &host.ui;
    ui.say("Done: the runner answers on its socket.");
    if new_config {
        ui.say(&format!("  configuration  {}", host.paths.config_file().display()));
    }
    let units = if host_wide::is_set_up() { format!("{} and ", host_wide::UNIT_DIR) } else { String::new() };
    ui.say(&format!(
        "  units          {units}{} ({} changed)",
        host.paths.unit_dir().display(),
        crate::quantity::count(plan.changed(), "file")
    ));
    ui.say(&format!("  socket         {}", host.paths.runner_socket().display()));
    ui.say("  undo           cicdctl uninstall --purge");
    ui.say("Next: `cicdctl agent add NAME --path DIR` for a project, then `cicdctl review` in it.");
}
