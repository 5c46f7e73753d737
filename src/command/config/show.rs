//! `cicdctl config show` and `get`: what holds, and where it comes from.

use anyhow::{Result, bail};
use clap_complete::ArgValueCandidates;

use super::{Whose, unknown};
use crate::command::complete;
use crate::config::origin::Setting;
use crate::error::{Exit, Fail};
use crate::host::Host;
use crate::ui::dim;

/// Show every setting as it holds
///
/// In TOML, a line each; with `--origin` each line ends with the file and line, or the variable, that says so. What is set nowhere, and has
/// no default, is not shown but with `--json`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cicdctl config show --origin
  cicdctl config show engine.claude --agent myapp")]
pub struct ShowArgs {
    /// Only keys that begin so, such as `job` or `engine.claude`
    #[arg(value_name = "PREFIX")]
    prefix: Option<String>,
    #[command(flatten)]
    whose: Whose,
    /// Say which file each comes from
    #[arg(long)]
    origin: bool,
}

/// Print one setting as it holds
///
/// A text without its quotation marks, for scripts; anything else as in TOML. Status 1 where it is set nowhere and has no
/// default.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  cicdctl config get job.memory")]
pub struct GetArgs {
    /// Such as `job.memory`; a table prints all that is in it
    #[arg(value_name = "KEY", add = ArgValueCandidates::new(complete::keys))]
    key: String,
    #[command(flatten)]
    whose: Whose,
}

pub fn show(args: &ShowArgs, host: &Host) -> Result<Exit> {
    let mut settings = args.whose.settings(host)?;
    if let Some(prefix) = &args.prefix {
        let all: Vec<String> = settings.iter().map(|setting| setting.key.clone()).collect();
        settings.retain(|setting| is_of(&setting.key, prefix));
        if settings.is_empty() {
            bail!(unknown(prefix, &all.iter().map(String::as_str).collect::<Vec<_>>()));
        }
    }
    if host.ui.json {
        host.ui.data_json(&settings)?;
        return Ok(Exit::Done);
    }
    let lines: Vec<(String, String)> =
        settings.iter().filter_map(|setting| Some((line(setting)?, origin(setting, host)))).collect();
    let width = lines.iter().map(|(line, _)| line.chars().count()).filter(|width| *width <= 48).max().unwrap_or(0);
    let mut text = String::new();
    for (line, origin) in lines {
        match args.origin {
            true => text.push_str(&format!("{line:width$}  {}\n", host.ui.paint(&format!("# {origin}"), dim()))),
            false => text.push_str(&format!("{line}\n")),
        }
    }
    host.ui.data(&text)?;
    Ok(Exit::Done)
}

pub fn get(args: &GetArgs, host: &Host) -> Result<Exit> {
    let settings = args.whose.settings(host)?;
    let found: Vec<&Setting> = settings.iter().filter(|setting| is_of(&setting.key, &args.key)).collect();
    match found[..] {
        [] => {
            args.whose.key(&args.key)?;
            bail!(not_set(&args.key))
        }
        [setting] if setting.key == args.key => {
            let Some(value) = &setting.value else { bail!(not_set(&args.key)) };
            match value {
                _ if host.ui.json => host.ui.data_json(value)?,
                toml::Value::String(text) => host.ui.data(text)?,
                value => host.ui.data(&in_toml(value))?,
            }
        }
        _ if host.ui.json => host.ui.data_json(&found)?,
        _ => host.ui.data(&found.iter().filter_map(|setting| line(setting)).collect::<Vec<_>>().join("\n"))?,
    }
    Ok(Exit::Done)
}

fn not_set(key: &str) -> Fail {
    Fail::new(format!("`{key}` is not set, and has no default"))
}

fn is_of(key: &str, prefix: &str) -> bool {
    key.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn line(setting: &Setting) -> Option<String> {
    Some(format!("{} = {}", setting.key, in_toml(setting.value.as_ref()?)))
}

/// On one line, whatever is in it.
pub fn in_toml(value: &toml::Value) -> String {
    match value {
        // What JSON escapes is escaped the same way in a basic string of TOML.
        toml::Value::String(text) => serde_json::Value::from(text.as_str()).to_string(),
        toml::Value::Array(items) => format!("[{}]", items.iter().map(in_toml).collect::<Vec<_>>().join(", ")),
        toml::Value::Table(table) => {
            let pairs: Vec<String> = table.iter().map(|(key, value)| format!("{key} = {}", in_toml(value))).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        value => value.to_string(),
    }
}

fn origin(setting: &Setting, host: &Host) -> String {
    if let Some(variable) = &setting.variable {
        return format!("${variable}");
    }
    match (&setting.file, setting.line) {
        (None, _) => "default".into(),
        (Some(file), line) => {
            let file = match file.strip_prefix(&host.paths.home) {
                Ok(rest) => format!("~/{}", rest.display()),
                Err(_) => file.display().to_string(),
            };
            line.map_or_else(|| file.clone(), |line| format!("{file}:{line}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_on_one_line_that_toml_reads_back() {
        let table: toml::Table =
            "a = \"x\\ny \\\"z\\\" \\u0007\"\nb = [1, 2.5, true]\nc = [{ match = [\"*.rs\"], exclude = true }]\n"
                .parse()
                .unwrap();
        for (key, value) in &table {
            let text = format!("{key} = {}", in_toml(value));
            assert!(!text.contains('\n'), "{text}");
            assert_eq!(&text.parse::<toml::Table>().unwrap()[key], value, "{text}");
        }
    }

    #[test]
    fn a_prefix_ends_where_a_name_ends() {
        assert!(is_of("job.memory", "job") && is_of("job.memory", "job.memory") && !is_of("jobs.memory", "job"));
    }
}
