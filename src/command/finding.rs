//! `cicdctl finding`: what reviews have found, and what is not to be shown again. Works on the store itself, whether the
//! runner runs or not.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Subcommand;

use crate::error::{Exit, Fail};
use crate::git::Repository;
use crate::host::Host;
use crate::plain;
use crate::quantity::{self, count};
use crate::report;
use crate::review::ledger::{Dismissal, Row, State};
use crate::store::{Store, Wanted, now_ms};
use crate::ui::{Ui, green, yellow};

/// List, dismiss and restore findings
///
/// The ledger knows every finding of every pull request, and of the working copies on this host: open, fixed or
/// dismissed. What is dismissed is not shown again in its project unless its lines change.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List findings, those of each project and pull request together
    #[command(after_help = "Examples:
  cicdctl finding list --repo acme/shop
  cicdctl finding list --state dismissed")]
    List {
        #[command(flatten)]
        scope: ScopeArgs,
        /// Which of them
        #[arg(long, value_enum, default_value_t = Which::Open)]
        state: Which,
    },
    /// Show a finding and its history
    #[command(after_help = "Example:
  cicdctl finding show 3f2a")]
    Show {
        /// Its fingerprint, or the beginning of it
        id: String,
        #[command(flatten)]
        scope: ScopeArgs,
    },
    /// Dismiss findings: they are not shown again unless their lines change
    #[command(after_help = "Example:
  cicdctl finding dismiss 3f2a --reason 'checked by the caller'")]
    Dismiss {
        /// Their fingerprints, or the beginnings of them
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
        /// Why, for whoever asks later
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        #[command(flatten)]
        scope: ScopeArgs,
    },
    /// Take the dismissal of findings back
    #[command(after_help = "Example:
  cicdctl finding restore 3f2a")]
    Restore {
        /// Their fingerprints, or the beginnings of them
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
        #[command(flatten)]
        scope: ScopeArgs,
    },
}

#[derive(Debug, clap::Args)]
pub struct ScopeArgs {
    /// Only those of this project at the forge
    #[arg(long, value_name = "OWNER/NAME", conflicts_with = "path")]
    repo: Option<String>,
    /// Only those of this working copy, and of its project at the forge where an agent has it
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
    /// Only those of this pull request; what is dismissed or restored is so in the whole project
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pr: Option<u64>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Which {
    /// Reported, and nothing came of it yet
    Open,
    /// No longer reported by a review that looked
    Fixed,
    /// Not shown again unless their lines change
    Dismissed,
    All,
}

/// Characters of a reason that are kept.
const MAX_REASON: usize = 500;
/// How many findings an ambiguous id is shown with.
const MAX_NAMED: usize = 5;

pub async fn run(command: Command, host: &Host) -> Result<Exit> {
    let ui = &host.ui;
    match command {
        Command::List { scope, state } => {
            let state = match state {
                Which::Open => Some(State::Open),
                Which::Fixed => Some(State::Fixed),
                Which::Dismissed => Some(State::Dismissed),
                Which::All => None,
            };
            let wanted = Wanted { state, ..wanted(scope, host).await? };
            let rows = match store(host)? {
                Some(store) => store.findings(wanted).await?,
                None => Vec::new(),
            };
            if ui.json {
                ui.data_json(&rows)?;
            } else if rows.is_empty() {
                ui.say(&match state {
                    Some(state) => format!("There are no {state} findings."),
                    None => "There are no findings.".to_owned(),
                });
            } else {
                let lines: Vec<String> = rows.iter().map(|row| line(row, ui)).collect();
                ui.data(&lines.join("\n"))?;
            }
        }
        Command::Show { id, scope } => {
            let (_, rows) = found(&[id], scope, host).await?;
            match ui.json {
                true => ui.data_json(&rows)?,
                false => ui.data(&rows.iter().map(history).collect::<Vec<_>>().join("\n"))?,
            }
        }
        Command::Dismiss { ids, reason, scope } => {
            let why = reason.map(|reason| plain::one_line(&reason, MAX_REASON)).filter(|reason| !reason.is_empty());
            let dismissal = Dismissal { by: host.user.clone(), why, at_ms: now_ms() };
            settle(&ids, scope, Some(dismissal), host).await?;
        }
        Command::Restore { ids, scope } => settle(&ids, scope, None, host).await?,
    }
    Ok(Exit::Done)
}

async fn settle(ids: &[String], scope: ScopeArgs, dismissal: Option<Dismissal>, host: &Host) -> Result<()> {
    let named = scope.repo.as_ref().map(drop).or(scope.path.as_ref().map(drop));
    let (store, rows) = found(ids, scope, host).await?;
    let mut names: Vec<String> = rows.iter().map(|row| row.fingerprint.clone()).collect();
    names.dedup();
    let mut projects: Vec<String> = rows.into_iter().map(|row| row.project).collect();
    projects.sort();
    projects.dedup();
    if named.is_none() && projects.len() > 1 {
        let projects: Vec<String> = projects.iter().map(|project| format!("`{}`", plain::visible(project))).collect();
        bail!(
            Fail::new(format!("this is known in {}", count(projects.len(), "project")))
                .hint(format!("name one by `--repo` or `--path`: {}", quantity::list(&projects, MAX_NAMED)))
        );
    }
    // A dismissal holds for the whole project, whichever pull request was named to find it.
    let wanted = Wanted { projects: Some(projects), ..Wanted::default() };
    let verb = if dismissal.is_some() { "dismissed" } else { "restored" };
    let changed = store.settle_findings(names, wanted, dismissal).await?;
    if host.ui.json {
        return host.ui.data_json(&changed);
    }
    if changed.is_empty() {
        host.ui.say(match verb {
            "dismissed" => "Nothing to change: dismissed already.",
            _ => "Nothing to change: not dismissed.",
        });
    }
    for row in &changed {
        let title = plain::one_line(&row.finding.title, 200);
        host.ui.say(&format!("{verb} `{}` in {}: {title}", row.fingerprint, place(row)));
    }
    Ok(())
}

/// The store, where there is one: asking for findings makes none.
fn store(host: &Host) -> Result<Option<Store>> {
    let path = host.paths.store();
    Ok(match path.exists() {
        true => Some(Store::open(&path)?),
        false => None,
    })
}

async fn wanted(scope: ScopeArgs, host: &Host) -> Result<Wanted> {
    let ScopeArgs { repo, path, pr } = scope;
    let projects = match (repo, path) {
        (Some(repo), _) if !crate::config::is_repo(&repo) => {
            bail!(Fail::usage("`--repo` is written `owner/name`"))
        }
        (Some(repo), _) => Some(vec![repo.to_lowercase()]),
        (None, Some(path)) => Some(projects_of(&path, host).await?),
        (None, None) => None,
    };
    Ok(Wanted { projects, pull: pr, state: None })
}

async fn projects_of(path: &Path, host: &Host) -> Result<Vec<String>> {
    let full = path
        .canonicalize()
        .map_err(|error| Fail::new(format!("there is no directory `{}`: {error}", path.display())))?;
    let top = Repository::open(&full).await?.top;
    let agent = host.owner_of(&top, &host.config()?)?;
    let repo = agent.and_then(|agent| agent.repo).map(|repo| repo.to_lowercase());
    Ok(std::iter::once(top.display().to_string()).chain(repo).collect())
}

/// The rows that `ids` mean, by fingerprint.
async fn found(ids: &[String], scope: ScopeArgs, host: &Host) -> Result<(Store, Vec<Row>)> {
    let wanted = wanted(scope, host).await?;
    let unknown = |id: &str| {
        Fail::new(format!("there is no finding `{}`", plain::visible(id)))
            .hint("`cicdctl finding list --state all` shows their fingerprints")
    };
    let first = ids.first().map_or("", String::as_str);
    let Some(store) = store(host)? else { bail!(unknown(first)) };
    let all = store.findings(wanted).await?;
    let mut rows: Vec<Row> = Vec::new();
    for id in ids {
        let matches = |row: &&Row| !id.is_empty() && row.fingerprint.starts_with(&id.to_ascii_lowercase());
        let mut of_id: Vec<&Row> = all.iter().filter(matches).collect();
        of_id.sort_by_key(|row| &row.fingerprint);
        let mut names: Vec<&Row> = of_id.clone();
        names.dedup_by_key(|row| &row.fingerprint);
        match names.len() {
            0 => bail!(unknown(id)),
            1 => rows.extend(of_id.into_iter().cloned()),
            number => {
                let named: Vec<String> = names
                    .iter()
                    .map(|row| format!("`{}` ({})", row.fingerprint, plain::one_line(&row.finding.title, 80)))
                    .collect();
                bail!(
                    Fail::new(format!("`{id}` is the beginning of {}", count(number, "finding")))
                        .hint(format!("write more of it: {}", quantity::list(&named, MAX_NAMED)))
                );
            }
        }
    }
    rows.sort_by(|a, b| (&a.fingerprint, &a.project, a.pull).cmp(&(&b.fingerprint, &b.project, b.pull)));
    rows.dedup_by(|a, b| (&a.fingerprint, &a.project, a.pull) == (&b.fingerprint, &b.project, b.pull));
    Ok((store, rows))
}

fn place(row: &Row) -> String {
    match row.pull {
        0 => plain::visible(&row.project),
        pull => format!("{}#{pull}", plain::visible(&row.project)),
    }
}

fn line(row: &Row, ui: &Ui) -> String {
    let style = if row.state == State::Open { yellow() } else { green() };
    let state = ui.paint(&format!("{:9}", row.state), style);
    let title = plain::one_line(&row.finding.title, 200);
    let by = row.dismissal.as_ref().map_or(String::new(), |dismissal| format!(" ({})", said(dismissal)));
    let severity = row.finding.severity;
    format!("{} {state} {severity:8} {} {} {title}{by}", row.fingerprint, place(row), report::place(&row.finding))
}

/// `mary: the input is trusted`
fn said(dismissal: &Dismissal) -> String {
    let by = plain::one_line(&dismissal.by, 100);
    match &dismissal.why {
        Some(why) => format!("{by}: {}", plain::one_line(why, MAX_REASON)),
        None => by,
    }
}

fn history(row: &Row) -> String {
    let Row { finding, first, last, .. } = row;
    let report = |of: &crate::review::ledger::Report| {
        let head = plain::one_line(plain::short(&of.head), 100);
        format!("{} at {head}, job {}", quantity::time(of.at_ms), plain::one_line(&of.job, 100))
    };
    let state = match (&row.dismissal, &row.fixed_head) {
        (Some(dismissal), _) => {
            format!("dismissed at {} by {}", quantity::time(dismissal.at_ms), said(dismissal))
        }
        (None, Some(head)) => format!("fixed in {}", plain::one_line(plain::short(head), 100)),
        (None, None) => row.state.to_string(),
    };
    let fields = [
        ("finding", row.fingerprint.clone()),
        ("project", place(row)),
        ("where", report::place(finding)),
        ("severity", format!("{}, {}", finding.severity, finding.category)),
        ("title", plain::one_line(&finding.title, 200)),
        ("state", state),
        ("first", report(first)),
        ("last", report(last)),
        ("engine", plain::one_line(&row.engine, 100)),
    ];
    let mut text: String = fields.iter().map(|(name, value)| format!("{name:9} {value}\n")).collect();
    let explanation = plain::prose(&finding.explanation, usize::MAX);
    text.extend(explanation.lines().map(|line| format!("  {}\n", plain::visible_code(line))));
    text
}
