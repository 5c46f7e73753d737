//! `CICD_*` variables: the layer above all files. Each has the name of a key, in capitals and with `_` for dots:
//! `CICD_JOB_MEMORY=4G` is `job.memory = "4G"`. Pure.
//!
//! There are some for the tables that an agent's file may have, too. What units are made of has none: a unit that said
//! what was set in the shell of whoever ran `init` would be another one for the next.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use toml_edit::{Array, Value};

use super::edit;
use super::parse::parse_config;
use super::read::Source;
use super::schema::{Of, keys};
use crate::error::Fail;

const TABLES: [&str; 7] = ["job", "review", "trigger", "policy", "engine", "forge", "budget"];
const PREFIX: &str = "CICD_";

/// The variable of a key, if it has one.
pub fn of(key: &str) -> Option<String> {
    let (table, _) = key.split_once('.')?;
    TABLES.contains(&table).then(|| format!("{PREFIX}{}", key.to_uppercase().replace('.', "_")))
}

/// All of them: each key that has a variable, and that.
pub fn all() -> impl Iterator<Item = (String, String)> {
    keys(Of::User).into_iter().filter_map(|key| of(&key.name).map(|variable| (key.name, variable)))
}

/// Whether a layer is such a variable, by the name that [`layers`] gives it.
pub fn is(layer: &Path) -> bool {
    layer.to_str().is_some_and(|name| name.starts_with(PREFIX) && !name.contains(['/', '.']))
}

/// Those that are set, each as a file of one key that has the variable's name.
///
/// # Errors
///
/// For a value that the key cannot have.
pub fn layers<'a>(set: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Vec<(PathBuf, String)>> {
    let set: HashMap<&str, &str> = set.filter(|(name, value)| name.starts_with(PREFIX) && !value.is_empty()).collect();
    let mut layers = Vec::new();
    if set.is_empty() {
        return Ok(layers);
    }
    for (key, variable) in all() {
        if let Some(value) = set.get(variable.as_str()) {
            layers.push((PathBuf::from(&variable), in_toml(&variable, &key, value)?));
        }
    }
    Ok(layers)
}

fn in_toml(variable: &str, key: &str, value: &str) -> Result<String> {
    let mut meanings = edit::meanings(value);
    // As variables have lists.
    meanings.push(Value::Array(value.split(',').map(str::trim).filter(|item| !item.is_empty()).collect::<Array>()));
    let mut refused = None;
    for meaning in meanings {
        let text = edit::set("", key, meaning)?;
        match parse_config(&[Source { path: Path::new(variable), text: &text }]) {
            Ok(_) => return Ok(text),
            Err(error) => edit::keep_the_telling(&mut refused, error),
        }
    }
    Err(refused.unwrap_or_else(|| Fail::configuration(format!("`{variable}` has no value")).into()))
}

/// Of all names of variables those that look like one of ours and are none, with the one that was probably meant.
pub fn mistaken<'a>(names: impl Iterator<Item = &'a str>) -> Vec<(String, String)> {
    let known: Vec<String> = all().map(|(_, variable)| variable).collect();
    // Other programs may have variables that begin so, too: a slip is one or two letters.
    let slip = |name: &str, known: &str| strsim::damerau_levenshtein(name, known);
    let nearest = |name: &str| known.iter().map(|known| (slip(name, known), known)).min();
    let meant = |name: &str| nearest(name).filter(|(slip, _)| *slip <= 2).map(|(_, known)| known.clone());
    let mut mistaken: Vec<(String, String)> = names
        .filter(|name| name.starts_with(PREFIX) && !known.iter().any(|known| known == name))
        .filter_map(|name| Some((name.to_owned(), meant(name)?)))
        .collect();
    mistaken.sort();
    mistaken
}

#[cfg(test)]
mod tests {
    use super::super::{parse_agent, parse_config};
    use super::*;
    use crate::config::{Config, EngineName, Size};

    fn read(variables: &[(&str, &str)], user: &str) -> Result<Config, String> {
        let mut layers =
            vec![(PathBuf::from("/etc/cicd-toolkit/config.toml"), "locked = [\"job.tasks\"]\n".to_owned())];
        layers.push((PathBuf::from("config.toml"), user.to_owned()));
        let all = super::layers(variables.iter().copied()).map(|own| layers.extend(own));
        let all = all
            .and_then(|()| parse_config(&layers.iter().map(|(path, text)| Source { path, text }).collect::<Vec<_>>()));
        all.map_err(|error| crate::error::describe(&error))
    }

    #[test]
    fn each_key_has_a_variable_of_its_own() {
        let mut all: Vec<String> = all().map(|(_, variable)| variable).collect();
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!((all.len(), count > 40), (count, true));
        assert_eq!(of("engine.claude.max_turns").as_deref(), Some("CICD_ENGINE_CLAUDE_MAX_TURNS"));
        for key in ["runner.limits.memory", "hardening.level", "secrets", "paths", "environment"] {
            assert_eq!(of(key), None, "{key}");
        }
        assert!(is(Path::new("CICD_JOB_MEMORY")) && !is(Path::new("/x/CICD_JOB")) && !is(Path::new("config.toml")));
    }

    #[test]
    fn variables_are_above_the_files_of_the_user_and_of_agents() {
        let variables = [
            ("CICD_JOB_MEMORY", "4G"),
            ("CICD_REVIEW_ENGINE", "claude"),
            ("CICD_REVIEW_SKILLS", "security-auditor, code-reviewer"),
            ("CICD_REVIEW_EXCLUDE", "[\"a,b/\"]"),
            ("CICD_REVIEW_POST", "true"),
            ("CICD_ENGINE_CLAUDE_VERSION", "2.1"),
            ("CICD_BUDGET_PULL", "0.5"),
        ];
        let config = read(&variables, "[job]\nmemory = \"1G\"\ncpu = \"10%\"\n").unwrap();
        let agent = "[job]\nmemory = \"3G\"\n[review]\nengine = \"command\"\nparallel = 2\n";
        let agent = Source { path: Path::new("/a/shop.toml"), text: agent };
        let agent = parse_agent(&"shop".parse().unwrap(), agent, &config).unwrap().config;
        for config in [&config, &agent] {
            assert_eq!((config.job.memory, config.review.engine), (Size(4 << 30), EngineName::Claude));
            assert_eq!(config.review.skills, ["security-auditor", "code-reviewer"]);
            assert_eq!((config.review.exclude.as_slice(), config.review.post), (&["a,b/".to_owned()][..], true));
            assert_eq!(config.engine.claude.version.as_deref(), Some("2.1"));
            assert_eq!(config.job.cpu.map(|cpu| cpu.to_string()).as_deref(), Some("10%"));
        }
        assert_eq!(agent.review.parallel, 2);
        assert_eq!(config.budget.pull, crate::money::Cap(crate::money::Usd::new(0.5)));
    }

    #[test]
    fn a_wrong_value_names_the_variable_and_a_locked_key_is_locked_for_it() {
        let error = |name: &str, value: &str| read(&[(name, value)], "").unwrap_err();
        assert_eq!(error("CICD_JOB_MEMORY", "1M"), "error: CICD_JOB_MEMORY: `job.memory`: below 16M no engine starts");
        let wrong = error("CICD_JOB_MEMORY", "4GB");
        assert!(wrong.starts_with("error: CICD_JOB_MEMORY: `4GB` is not a valid size"), "{wrong}");
        let wrong = error("CICD_REVIEW_ENGINE", "claud");
        assert!(wrong.contains("CICD_REVIEW_ENGINE: unknown value `claud`") && wrong.contains("did you mean `claude`"));
        let wrong = error("CICD_REVIEW_PARALLEL", "many");
        assert!(wrong.contains("CICD_REVIEW_PARALLEL: invalid type: string \"many\", expected a whole"), "{wrong}");
        assert!(error("CICD_JOB_TASKS", "9").starts_with("error: CICD_JOB_TASKS: `job.tasks`: the administrator"));
    }

    #[test]
    fn a_name_that_is_nearly_one_is_told() {
        let names = ["CICD_JOB_MEMROY", "CICD_JOB_MEMORY", "CICD_GITHUB_TOKEN", "HOME", "CICD_JOB", "CICD_JOB_ID"];
        let told = mistaken(names.into_iter());
        assert_eq!(told[..], [("CICD_JOB_MEMROY".to_owned(), "CICD_JOB_MEMORY".to_owned())]);
    }
}
