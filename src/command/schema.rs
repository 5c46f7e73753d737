//! `cicdctl schema`: what each command prints with `--json`, as JSON Schema. From the types that are printed.

use anyhow::{Result, bail};
use clap_complete::{ArgValueCandidates, CompletionCandidate};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use super::{agent, config, cost, doctor, engine, skill, status, system, why};
use crate::api::Job;
use crate::disk::collect;
use crate::error::{Exit, Fail};
use crate::host::Host;
use crate::report;
use crate::review::ledger;

/// Print the JSON Schema of what a command prints with `--json`
///
/// Without a name, the commands that have one. Fields may be added; what is there stays as it is as long as the version in
/// the schema's `$id` does.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cicdctl schema
  cicdctl schema status
  cicdctl schema 'job list'")]
pub struct Args {
    /// Such as `status` or `job list`
    #[arg(value_name = "COMMAND", num_args = 0..=2, add = ArgValueCandidates::new(names))]
    command: Vec<String>,
}

/// A command, the version of what it prints, and the type of that.
type Output = (&'static str, u32, fn(&mut SchemaGenerator) -> Schema);

const ALL: [Output; 24] = [
    ("agent list", 1, of::<Vec<agent::ListRow>>),
    ("agent set", 1, of::<Vec<agent::SetRow>>),
    ("agent show", 1, of::<agent::Shown>),
    ("config check", 1, of::<Vec<config::Mistake>>),
    ("config show", 1, of::<Vec<crate::config::origin::Setting>>),
    ("cost", 1, of::<cost::Report>),
    ("doctor", 1, of::<Vec<doctor::Check>>),
    ("engine check", 1, of::<Vec<engine::Compared>>),
    ("engine list", 1, of::<Vec<engine::Row>>),
    ("engine show", 1, of::<Vec<engine::Row>>),
    ("finding dismiss", 1, of::<Vec<ledger::Row>>),
    ("finding list", 1, of::<Vec<ledger::Row>>),
    ("finding restore", 1, of::<Vec<ledger::Row>>),
    ("finding show", 1, of::<Vec<ledger::Row>>),
    ("gc", 1, of::<collect::Report>),
    ("job list", 1, of::<Vec<Job>>),
    ("job list --why", 1, of::<Vec<why::Explained<'static>>>),
    ("job show", 1, of::<Job>),
    ("secret list", 1, of::<Vec<crate::secret::Stored>>),
    ("skill check", 1, of::<Vec<String>>),
    ("skill list", 1, of::<Vec<skill::Row<'static>>>),
    ("skill show", 1, of::<skill::Row<'static>>),
    ("status", 1, of::<status::Shown<'static>>),
    ("status --all-users", 1, of::<Vec<system::all_users::Row>>),
];
/// Its schema is part of the API's description.
const REVIEW: &str = "review";

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.root_schema_for::<T>()
}

fn names() -> Vec<CompletionCandidate> {
    ALL.iter().map(|(name, ..)| CompletionCandidate::new(*name)).collect()
}

pub fn run(args: &Args, host: &Host) -> Result<Exit> {
    let wanted = args.command.join(" ");
    if wanted.is_empty() {
        let mut all: Vec<&str> = ALL.iter().map(|(name, ..)| *name).chain([REVIEW]).collect();
        all.sort_unstable();
        host.ui.data(&all.join("\n"))?;
    } else {
        host.ui.data_json(&schema(&wanted)?)?;
    }
    Ok(Exit::Done)
}

/// The schema of what this command prints.
pub fn schema(command: &str) -> Result<Value> {
    let (version, mut schema) = match ALL.iter().find(|(name, ..)| *name == command) {
        Some((_, version, of)) => {
            let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
            (*version, of(&mut generator).to_value())
        }
        None if command == REVIEW => (1, report::schema()),
        None => bail!(
            Fail::usage(format!("`{}` prints no JSON that has a schema", command.escape_debug()))
                .hint("`cicdctl schema` lists the commands that do")
        ),
    };
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("$id".into(), format!("urn:cicdctl:{}:{version}", command.replace(' ', "-")).into());
        schema.insert("title".into(), format!("cicdctl {command} --json").into());
    }
    Ok(schema)
}

/// Types that the API has, too, are what its description says.
macro_rules! of_api {
    ($($type:ty, $name:literal;)*) => {$(
        impl JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let mut all = report::definitions($name);
                let own = all.remove($name).unwrap_or_default();
                for (name, definition) in all {
                    generator.definitions_mut().entry(name).or_insert(definition);
                }
                own.try_into().unwrap_or_default()
            }
        }
    )*};
}

of_api! {
    Job, "Job";
    crate::finding::Finding, "Finding";
}
