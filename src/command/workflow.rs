//! `cicdctl workflow`: files for the CI of a forge, printed and not written.

use anyhow::{Result, bail};
use clap::Subcommand;
use clap_complete::ArgValueCandidates;

use crate::agent::AgentName;
use crate::command::complete;
use crate::config::is_repo;
use crate::error::{Exit, Fail};
use crate::host::Host;

/// Print a workflow that asks the runner for reviews
#[derive(Debug, Subcommand)]
pub enum Command {
    Github(Args),
}

/// Print a workflow for GitHub Actions
///
/// For a self-hosted Actions runner of the same user on this host. It passes number and head of each pull request to the
/// runner's socket, which reviews and publishes. Without a self-hosted Actions runner, an agent that watches the
/// repository needs no workflow at all.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  cicdctl workflow github --agent shop >.github/workflows/cicdctl-review.yml")]
pub struct Args {
    /// The agent that is to review [default: that of the repository]
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(complete::agents))]
    agent: Option<String>,
    /// Name the repository in the workflow, instead of taking it from the event
    #[arg(long, value_name = "OWNER/NAME", conflicts_with = "agent")]
    repo: Option<String>,
    /// The workflow ends with the review: green if it is reviewed or skipped, red if it is anything else
    ///
    /// Without, it is green once the runner has accepted the job; then let the branch protection ask for the status
    /// `cicdctl/review`.
    #[arg(long)]
    wait: bool,
}

pub fn run(command: Command, host: &Host) -> Result<Exit> {
    let Command::Github(args) = command;
    let agent: Option<AgentName> = args.agent.as_ref().map(|name| name.parse().map_err(Fail::usage)).transpose()?;
    if let Some(repo) = args.repo.as_ref().filter(|repo| repo.split('/').count() != 2 || !is_repo(repo)) {
        bail!(Fail::usage(format!("`{}` is no repository of GitHub: `owner/name`", repo.escape_debug())));
    }
    let config = host.config()?;
    match &agent {
        Some(name) if host.known_agent(name, &config)?.repo.is_none() => host.ui.say(&format!(
            "Agent `{name}` has no repository of its own; it takes that of each event. `repo` in its file names one."
        )),
        Some(_) => {}
        None => {
            let repos: Vec<String> = host.agents(&config)?.into_iter().filter_map(|agent| agent.repo).collect();
            let found = args.repo.as_ref().is_none_or(|repo| repos.iter().any(|of| of.eq_ignore_ascii_case(repo)));
            if repos.is_empty() || !found {
                let whose = if args.repo.is_some() { "this repository" } else { "a repository" };
                host.ui.say(&format!(
                    "No agent has {whose}; the runner itself will review. `cicdctl agent add NAME --repo OWNER/NAME` \
                     makes one."
                ));
            }
        }
    }
    let workflow = Workflow { agent: agent.as_ref(), repo: args.repo.as_deref(), wait: args.wait };
    host.ui.data(&workflow.to_yaml())?;
    host.ui.say("Commit it as .github/workflows/cicdctl-review.yml in the repository's default branch.");
    Ok(Exit::Done)
}

struct Workflow<'a> {
    agent: Option<&'a AgentName>,
    repo: Option<&'a str>,
    wait: bool,
}

/// A waiting run keeps a runner of Actions from taking the next one, which would not tell of its newer head until then.
const CANCEL: &str = "  \
  # A newer head ends the waiting of this run, and so frees the machine to tell of it; what has been begun the runner
  # supersedes by itself.
  cancel-in-progress: true";

const KEEP: &str = "  \
  # Each run takes seconds. The runner supersedes the review of an older head by itself.
  cancel-in-progress: false";

const ABOUT_WAITING: &str = "\
# The check of this job is green if all was reviewed, or by your rules nothing was to be. A review that is partial, deferred,
# failed, superseded or cancelled makes it red (exit status 4); a runner that cannot be asked does, too (1).";

const ABOUT_ASKING: &str = "\
# The check of this job is green as soon as the runner has taken the work: it says nothing about the review. Let the branch
# protection ask for the status `cicdctl/review`, or print this file with `--wait`.";

impl Workflow<'_> {
    /// Names of agents and repositories have no character that YAML or the shell could take for something else.
    fn to_yaml(&self) -> String {
        let script = include_str!("../../templates/workflow/review.sh").trim_end().lines();
        let indented = script.filter(|line| !line.starts_with("# shellcheck ")).map(|line| match line {
            "" => "\n".to_owned(),
            line => format!("          {line}\n"),
        });
        let repository = self.repo.map_or_else(|| "${{ github.repository }}".to_owned(), |repo| format!("'{repo}'"));
        [
            ("@ABOUT@", if self.wait { ABOUT_WAITING } else { ABOUT_ASKING }),
            ("@CANCEL@", if self.wait { CANCEL } else { KEEP }),
            ("@MINUTES@", if self.wait { "60" } else { "10" }),
            ("@REPOSITORY@", &repository),
            ("@AGENT@", self.agent.map_or("", AgentName::as_str)),
            ("@WAIT@", if self.wait { "true" } else { "false" }),
            ("@SCRIPT@\n", &indented.collect::<String>()),
        ]
        .into_iter()
        .fold(include_str!("../../templates/workflow/github.yml.in").to_owned(), |text, (name, value)| {
            text.replace(name, value)
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn printed(workflow: &Workflow<'_>) -> (String, Value) {
        let text = workflow.to_yaml();
        let value = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        (text, value)
    }

    #[test]
    fn it_is_yaml_with_the_least_that_it_needs() {
        let name = "shop".parse().unwrap();
        for (agent, repo, wait) in [(None, None, false), (Some(&name), None, true), (None, Some("acme/shop"), true)] {
            let (text, yaml) = printed(&Workflow { agent, repo, wait });
            assert!(
                text.matches('@').count() == 1
                    && text.contains("\"$@\"")
                    && text.ends_with("esac\n")
                    && !text.contains("shellcheck"),
                "{text}"
            );
            assert!(text.lines().all(|line| line.chars().count() <= 140 && !line.ends_with(' ')), "{text}");
            assert_eq!(yaml["permissions"], json!({}));
            let on = yaml["on"].as_object().unwrap();
            assert_eq!(on.keys().collect::<Vec<_>>(), ["pull_request"]);
            assert_eq!(on["pull_request"]["types"], json!(["opened", "synchronize", "reopened", "ready_for_review"]));
            assert_eq!(yaml["concurrency"]["group"], "cicdctl-review-${{ github.event.pull_request.number }}");
            assert_eq!(yaml["concurrency"]["cancel-in-progress"], wait);
            let job = &yaml["jobs"]["review"];
            assert_eq!(job["if"], "github.event.pull_request.head.repo.full_name == github.repository");
            assert_eq!(job["runs-on"], "self-hosted");
            let steps = job["steps"].as_array().unwrap();
            assert_eq!((steps.len(), steps[0].get("uses")), (1, None));
            assert_eq!(
                steps[0]["env"],
                json!({
                    "PR": "${{ github.event.pull_request.number }}",
                    "HEAD": "${{ github.event.pull_request.head.sha }}",
                    "REPOSITORY": repo.unwrap_or("${{ github.repository }}"),
                    "AGENT": agent.map_or("", AgentName::as_str),
                    "WAIT": wait.to_string(),
                })
            );
            // An expression within the script would be pasted in before the shell reads it.
            let script = steps[0]["run"].as_str().unwrap();
            assert!(!script.contains("${{") && script.contains("--unix-socket"), "{script}");
        }
    }
}
