//! What a shell completes: commands and options, and the names and ids that there are now. The scripts in `completions`
//! call the program with [`VARIABLE`] set; what cannot be read completes to nothing, as there is no place to complain.

use std::ffi::OsString;

use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_complete::CompletionCandidate as Candidate;
use clap_complete::env::{CompleteEnv, Shells};

use crate::cli::{self, Cli};
use crate::config::schema::{self, Of};
use crate::host::Host;
use crate::plain;
use crate::secret::KNOWN;
use crate::store::version;
use crate::ui::{ColorChoice, Options, Ui};

/// Names the shell that asks.
pub const VARIABLE: &str = "CICDCTL_COMPLETE";
/// How many of the newest jobs are offered.
const JOBS: u32 = 50;

/// Answers a shell; says whether one has asked.
pub fn answer(arguments: &[OsString]) -> bool {
    let here = std::env::current_dir().ok();
    let wants_options = word(arguments).is_some_and(|word| word.as_encoded_bytes().starts_with(b"-"));
    let command = || if wants_options { Cli::command() } else { without_options(Cli::command()) };
    let asked = CompleteEnv::with_factory(command).var(VARIABLE).try_complete(arguments, here.as_deref());
    match asked {
        Ok(asked) => asked,
        Err(error) => {
            // A shell that is not known.
            let _ = error.print();
            true
        }
    }
}

/// The word that is to be completed. Fish cuts the line there; the others say how far it is after `--`.
fn word(arguments: &[OsString]) -> Option<&OsString> {
    let line = arguments.split(|argument| argument == "--").nth(1)?;
    let index = std::env::var("_CLAP_COMPLETE_INDEX").ok().and_then(|index| index.parse::<usize>().ok());
    match index {
        Some(index) => line.get(index),
        None => line.last(),
    }
}

/// Options are offered where nothing else fits, or a `-` asks for them: names are what people look for.
fn without_options(command: clap::Command) -> clap::Command {
    let hide = |argument: clap::Arg| if argument.is_positional() { argument } else { argument.hide(true) };
    command.disable_help_flag(true).mut_args(hide).mut_subcommands(without_options)
}

/// The script that makes a shell ask us.
pub fn script(shell: &str) -> Result<Vec<u8>> {
    let shells = Shells::builtins();
    let shell = shells.completer(shell).with_context(|| format!("there is no completion for `{shell}`"))?;
    let mut text = Vec::new();
    shell.write_registration(VARIABLE, "cicdctl", "cicdctl", "cicdctl", &mut text)?;
    if shell.name() == "zsh" {
        // Read from `$fpath` it is the function itself, which has to answer the first time, too.
        text.extend(b"if [[ $funcstack[1] == _cicdctl ]]; then\n    _clap_dynamic_completer_cicdctl \"$@\"\nfi\n");
    }
    Ok(text)
}

fn host() -> Option<Host> {
    let environment = cli::environment(std::env::vars_os());
    let ui = Ui::new(&Options {
        json: false,
        quiet: true,
        verbose: false,
        yes: false,
        color: ColorChoice::Never,
        no_color_variable: true,
        utf8: false,
    });
    Host::new(ui, environment, None).ok()
}

/// Names of agents.
pub fn agents() -> Vec<Candidate> {
    let Some(host) = host() else { return Vec::new() };
    let names = host.agent_names().unwrap_or_default();
    names.into_iter().filter_map(Result::ok).map(|name| Candidate::new(name.to_string())).collect()
}

/// The runner, too.
pub fn scopes() -> Vec<Candidate> {
    let mut found = agents();
    found.push(Candidate::new("runner").help(Some("the runner itself".into())));
    found
}

/// Ids of the newest jobs.
pub fn jobs() -> Vec<Candidate> {
    let found = || {
        let host = host()?;
        // One of another version is not brought up to date by a key that is pressed.
        let store = version::open_as_it_is(&host.paths.store()).ok()??;
        let runtime = tokio::runtime::Builder::new_current_thread().build().ok()?;
        runtime.block_on(store.jobs(None, JOBS)).ok()
    };
    let jobs = found().unwrap_or_default().into_iter();
    jobs.map(|job| {
        let state = job.outcome.map_or_else(|| job.state.as_str().to_owned(), |outcome| outcome.to_string());
        let help = plain::one_line(&format!("{state} {}", job.request.subject()), 60);
        Candidate::new(job.id).help(Some(help.into()))
    })
    .collect()
}

pub fn skills() -> Vec<Candidate> {
    let Some(catalog) = host().and_then(|host| host.skills().ok()) else { return Vec::new() };
    let candidate = |(name, entry): (&str, &crate::skill::Entry)| {
        let help = entry.skill.as_ref().ok().map(|skill| plain::one_line(&skill.description, 60));
        Candidate::new(name).help(help.map(Into::into))
    };
    catalog.entries().map(candidate).collect()
}

/// Secrets that something asks for.
pub fn known_secrets() -> Vec<Candidate> {
    KNOWN.iter().map(|(name, _)| Candidate::new(*name)).collect()
}

/// Secrets that are stored.
pub fn secrets() -> Vec<Candidate> {
    let stored = host().and_then(|host| host.vault().list().ok()).unwrap_or_default();
    stored.into_iter().map(|stored| Candidate::new(stored.name)).collect()
}

/// Keys of the configuration, those of agents among them.
pub fn keys() -> Vec<Candidate> {
    let mut names: Vec<String> = [Of::User, Of::Agent].into_iter().flat_map(schema::keys).map(|key| key.name).collect();
    names.sort();
    names.dedup();
    names.into_iter().map(Candidate::new).collect()
}
