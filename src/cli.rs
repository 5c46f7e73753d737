//! The command line: global options, the commands, and one line of dispatch for each.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::command::{self, complete};
use crate::error::{self, Exit};
use crate::host::Host;
use crate::ui::{self, ColorChoice, Ui};

/// Self-hosted AI code review in systemd user services
///
/// cicdctl installs, hardens, controls and is a runner that reviews code changes: without root, without a container
/// platform. Begin with `cicdctl init`, then `cicdctl agent add NAME --path DIR`, then `cicdctl review` in a working
/// copy.
#[derive(Debug, Parser)]
#[command(
    name = "cicdctl",
    version = crate::version(),
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Exit status: 0 done; 1 failed; 2 wrong usage; 3 reviewed, with a finding at or above --fail-on;\n\
                  4 not, or not wholly, reviewed."
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Print data as JSON on stdout
    #[arg(long, global = true)]
    pub json: bool,
    /// Print no progress and no hints
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Print more about what is done
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// When to colour: never without a terminal, nor where NO_COLOR is set
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN", hide_possible_values = true)]
    pub color: ColorChoice,
    /// Another configuration file than ~/.config/cicd-toolkit/config.toml
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Act for another user (root only)
    #[arg(long, global = true, value_name = "NAME")]
    pub user: Option<String>,
}

/// For commands that change something.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Changing {
    /// Answer every question with yes
    #[arg(short, long)]
    pub yes: bool,
    /// Show what would be done and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Init(command::init::Args),
    Apply(command::apply::Args),
    Upgrade(command::upgrade::Args),
    Uninstall(command::uninstall::Args),
    #[command(subcommand)]
    Agent(command::agent::Command),
    Status(command::status::Args),
    Top(command::top::Args),
    Logs(command::logs::Args),
    Review(command::review::Args),
    #[command(subcommand)]
    Job(command::job::Command),
    #[command(subcommand)]
    Finding(command::finding::Command),
    Cost(command::cost::Args),
    Metrics(command::metrics::Args),
    Doctor(command::doctor::Args),
    #[command(subcommand)]
    Config(command::config::Command),
    Gc(command::gc::Args),
    #[command(subcommand)]
    Engine(command::engine::Command),
    #[command(subcommand)]
    Skill(command::skill::Command),
    #[command(subcommand)]
    Workflow(command::workflow::Command),
    Schema(command::schema::Args),
    #[command(subcommand)]
    Secret(command::secret::Command),
    #[command(subcommand, hide = true)]
    Run(command::run::Command),
    #[command(hide = true)]
    Generate(command::generate::Args),
}

impl Command {
    /// Whether `--yes` was given, and whether this is the runner itself.
    fn traits(&self) -> (bool, bool) {
        let yes = match self {
            Command::Init(args) => args.changing.yes,
            Command::Apply(args) => args.changing.yes,
            Command::Uninstall(args) => args.changing.yes,
            Command::Gc(args) => args.changing.yes,
            Command::Upgrade(args) => args.changing.yes,
            Command::Agent(command) => command.yes(),
            Command::Engine(command) => command.yes(),
            Command::Config(command) => command.yes(),
            Command::Doctor(args) => args.yes,
            _ => false,
        };
        (yes, matches!(self, Command::Run(_)))
    }
}

/// The environment as text. What is not UTF-8 (`PWD` in a directory of an old encoding) is left out: nothing that we
/// look for can be.
pub fn environment(variables: impl Iterator<Item = (OsString, OsString)>) -> HashMap<String, String> {
    variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect()
}

/// The whole program.
pub fn main(arguments: Vec<OsString>, environment: HashMap<String, String>) -> u8 {
    if environment.contains_key(complete::VARIABLE) && complete::answer(&arguments) {
        return Exit::Done.code();
    }
    let matches = match Cli::command().try_get_matches_from(as_cicdctl(arguments)) {
        Ok(matches) => matches,
        Err(error) => {
            // Help goes to stdout, complaints to stderr; a closed pipe is nobody's fault.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.code() } else { Exit::Done.code() };
        }
    };
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return Exit::Usage.code();
        }
    };
    let (yes, is_runner) = cli.command.traits();
    let ui = Ui::new(&ui::Options {
        json: cli.global.json,
        quiet: cli.global.quiet,
        verbose: cli.global.verbose,
        yes,
        color: cli.global.color,
        no_color_variable: environment.get("NO_COLOR").is_some_and(|value| !value.is_empty()),
        utf8: is_utf8(&environment),
    });
    match start(cli, ui.clone(), environment) {
        Ok(exit) => exit.code(),
        Err(error) if error::is_closed_pipe(&error) => Exit::Done.code(),
        Err(error) => {
            ui.error(&error);
            let exit = error::exit_of(&error);
            // 78 is for systemd, which must not start the runner again; at the terminal it is a failure like others.
            if exit == Exit::Configuration && !is_runner { Exit::Failed.code() } else { exit.code() }
        }
    }
}

/// Whether the locale has UTF-8 (locale(7): the first of these that is set decides).
fn is_utf8(environment: &HashMap<String, String>) -> bool {
    let locale =
        ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| environment.get(*name).filter(|value| !value.is_empty()));
    locale.is_some_and(|value| value.to_ascii_lowercase().replace('-', "").contains("utf8"))
}

fn start(cli: Cli, ui: Ui, environment: HashMap<String, String>) -> Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if let Some(user) = &cli.global.user
        && let Some(exit) = runtime.block_on(command::as_user::switch(user, &cli.command))?
    {
        return Ok(exit);
    }
    let host = Host::new(ui, environment, cli.global.config)?;
    let done = runtime.block_on(dispatch(cli.command, host));
    // A blocked thread (standard input, a name look-up) must not hold the exit up.
    runtime.shutdown_background();
    done
}

async fn dispatch(command: Command, host: Host) -> Result<Exit> {
    match command {
        Command::Init(args) => command::init::run(args, &host).await,
        Command::Apply(args) => command::apply::run(args, &host).await,
        Command::Upgrade(args) => command::upgrade::run(args, &host).await,
        Command::Uninstall(args) => command::uninstall::run(args, &host).await,
        Command::Agent(command) => command::agent::run(command, &host).await,
        Command::Status(args) => command::status::run(args, &host).await,
        Command::Top(args) => command::top::run(args, &host).await,
        Command::Logs(args) => command::logs::run(args, &host).await,
        Command::Review(args) => command::review::run(args, &host).await,
        Command::Job(command) => command::job::run(command, &host).await,
        Command::Finding(command) => command::finding::run(command, &host).await,
        Command::Cost(args) => command::cost::run(args, &host).await,
        Command::Metrics(args) => command::metrics::run(args, &host).await,
        Command::Doctor(args) => command::doctor::run(args, &host).await,
        Command::Config(command) => command::config::run(command, &host),
        Command::Gc(args) => command::gc::run(args, &host).await,
        Command::Engine(command) => command::engine::run(command, &host).await,
        Command::Skill(command) => command::skill::run(command, &host),
        Command::Workflow(command) => command::workflow::run(command, &host),
        Command::Secret(command) => command::secret::run(command, &host).await,
        Command::Schema(args) => command::schema::run(&args, &host),
        Command::Run(command) => command::run::run(command, host).await,
        Command::Generate(args) => command::generate::run(&args),
    }
}

/// `cicd-runner …` is `cicdctl run …`, with the arguments of the deployment guide.
fn as_cicdctl(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let called_as_runner =
        arguments.first().is_some_and(|name| Path::new(name).file_name().is_some_and(|name| name == "cicd-runner"));
    if called_as_runner {
        let first = arguments.get(1).and_then(|word| word.to_str()).unwrap_or_default();
        let insert: &[&str] = match first {
            "-V" | "--version" => &[],
            "daemon" | "agent" | "job" | "-h" | "--help" | "help" => &["run"],
            // `cicd-runner --socket-activation`, and no argument at all
            _ => &["run", "daemon"],
        };
        arguments.splice(1..1, insert.iter().map(OsString::from));
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_is_no_text_is_left_out() {
        use std::os::unix::ffi::OsStringExt;
        let all = [("PWD".into(), OsString::from_vec(b"/n\xff".to_vec())), ("HOME".into(), "/h".into())];
        assert_eq!(environment(all.into_iter()), HashMap::from([("HOME".to_owned(), "/h".to_owned())]));
    }

    #[test]
    fn the_command_tree_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_command_lines_of_the_deployment_guide_are_understood() {
        for line in [
            "/usr/local/bin/cicd-runner daemon --config /home/a/.config/cicd-toolkit/config.yaml",
            "/usr/local/bin/cicd-runner agent --session-id myapp --config /home/a/.config/cicd-toolkit/config.yaml",
            "/usr/local/bin/cicd-runner --socket-activation",
            "cicd-runner",
        ] {
            let cli = Cli::try_parse_from(as_cicdctl(line.split(' ').map(OsString::from).collect())).unwrap();
            assert!(matches!(cli.command, Command::Run(_)), "{line}");
        }
    }
}
