//! What holds, key by key, and which file says so. Pure.

use std::path::{Path, PathBuf};

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;
use toml_edit::Document;

use super::read::{Source, from_text, is_yaml, line_of};
use super::schema::{Key, Of};
use super::variable;

/// One key, what holds for it, and why.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Setting {
    pub key: String,
    /// Absent where nothing is set, and the default is to have nothing.
    #[schemars(with = "Option<serde_json::Value>")]
    pub value: Option<toml::Value>,
    /// The file that says so; absent for defaults.
    pub file: Option<PathBuf>,
    /// Counted from 1; absent where the file is YAML.
    pub line: Option<usize>,
    /// The variable that says so, instead of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variable: Option<String>,
}

/// A file, and what a key is called in it.
pub struct Layer<'a> {
    pub source: Source<'a>,
    /// `None`: this file has no say in it.
    pub name_of: fn(&str) -> Option<String>,
}

/// The settings of all keys, as `effective` has them; the strongest layer comes last.
pub fn settings(keys: &[Key], effective: &toml::Table, layers: &[Layer<'_>]) -> Result<Vec<Setting>> {
    let mut found = Vec::new();
    let parsed = layers.iter().map(Parsed::new).collect::<Result<Vec<_>>>()?;
    for key in keys {
        let value = get(effective, &key.name);
        match value {
            Some(toml::Value::Table(below)) if key.open => {
                for (name, value) in below {
                    found.push(setting(format!("{}.{name}", key.name), Some(value.clone()), &parsed));
                }
            }
            value => found.push(setting(key.name.clone(), value.cloned(), &parsed)),
        }
    }
    Ok(found)
}

fn setting(key: String, value: Option<toml::Value>, layers: &[Parsed<'_>]) -> Setting {
    let of = layers.iter().rev().find_map(|layer| Some((layer.path, layer.place((layer.name_of)(&key)?.as_str())?)));
    let setting = Setting { key, value, file: None, line: None, variable: None };
    match of {
        Some((path, _)) if variable::is(path) => Setting { variable: path.to_str().map(str::to_owned), ..setting },
        Some((path, line)) => Setting { file: Some(path.to_owned()), line, ..setting },
        None => setting,
    }
}

pub(super) fn get<'a>(table: &'a toml::Table, key: &str) -> Option<&'a toml::Value> {
    let (first, rest) = key.split_once('.').map_or((key, None), |(first, rest)| (first, Some(rest)));
    match rest {
        None => table.get(first),
        Some(rest) => get(table.get(first)?.as_table()?, rest),
    }
}

struct Parsed<'a> {
    path: &'a Path,
    name_of: fn(&str) -> Option<String>,
    text: Text<'a>,
}

enum Text<'a> {
    Toml(Document<&'a str>),
    Yaml(toml::Table),
}

impl<'a> Parsed<'a> {
    fn new(layer: &Layer<'a>) -> Result<Parsed<'a>> {
        let Source { path, text } = layer.source;
        let text = if is_yaml(path) {
            Text::Yaml(from_text(layer.source, Of::User)?)
        } else {
            Text::Toml(Document::parse(text)?)
        };
        Ok(Parsed { path, name_of: layer.name_of, text })
    }

    /// Whether the key is there, and in which line.
    fn place(&self, key: &str) -> Option<Option<usize>> {
        match &self.text {
            Text::Yaml(table) => get(table, key).map(|_| None),
            Text::Toml(document) => line_of(document, key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::schema::{Of, keys};
    use super::super::{Config, parse_config};
    use super::*;

    fn same(key: &str) -> Option<String> {
        Some(key.to_owned())
    }

    #[test]
    fn the_strongest_file_that_sets_a_key_is_its_origin() {
        let host = Source { path: Path::new("/etc/c.toml"), text: "[job]\nmemory = \"1G\"\ntasks = 100\n" };
        let own = Source {
            path: Path::new("own.toml"),
            text: "job.tasks = 50\n\n[engine]\nclaude = { model = \"m\" }\n[environment]\nA = \"b\"\n\n[[paths]]\nmatch = [\"x\"]\n",
        };
        let config = parse_config(&[host, own]).unwrap();
        let layers = [host, own].map(|source| Layer { source, name_of: same });
        let all = settings(&keys(Of::User), &toml::Table::try_from(&config).unwrap(), &layers).unwrap();
        let of = |key: &str| {
            let setting = all.iter().find(|setting| setting.key == key).unwrap();
            let place = setting.file.as_ref().map(|file| (file.to_str().unwrap(), setting.line));
            (setting.value.as_ref().map(ToString::to_string), place)
        };
        assert_eq!(of("job.memory"), (Some("\"1G\"".into()), Some(("/etc/c.toml", Some(2)))));
        assert_eq!(of("job.tasks"), (Some("50".into()), Some(("own.toml", Some(1)))));
        assert_eq!(of("engine.claude.model"), (Some("\"m\"".into()), Some(("own.toml", Some(4)))));
        assert_eq!(of("environment.A"), (Some("\"b\"".into()), Some(("own.toml", Some(6)))));
        assert_eq!(of("paths").1, Some(("own.toml", Some(8))));
        assert_eq!(of("job.timeout"), (Some("\"20m\"".into()), None));
        assert_eq!(of("engine.claude.program"), (None, None));
    }

    #[test]
    fn yaml_has_keys_and_no_lines() {
        let yaml = Source { path: Path::new("c.yaml"), text: "job:\n  tasks: 7\n" };
        let config = Config { job: super::super::JobConfig { tasks: 7, ..Default::default() }, ..Config::default() };
        let layers = [Layer { source: yaml, name_of: same }];
        let all = settings(&keys(Of::User), &toml::Table::try_from(&config).unwrap(), &layers).unwrap();
        let tasks = all.iter().find(|setting| setting.key == "job.tasks").unwrap();
        assert_eq!((tasks.file.as_deref(), tasks.line), (Some(Path::new("c.yaml")), None));
    }
}
