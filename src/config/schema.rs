//! JSON Schemas of the configuration files, for editors, and from them the keys that there are. Pure.

use std::borrow::Cow;
use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::policy::{REPOSITORY_FILE, RepositoryFile};
use super::{ApiUrl, CollectorUrl, Config, Limits, Percent, Size, Span};
use crate::globs::Glob;
use crate::money::{Cap, Usd};

/// Which file a schema is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Of {
    /// config.toml
    #[default]
    User,
    /// agents/NAME.toml
    Agent,
    /// .cicd-toolkit.toml of a repository
    Repository,
}

/// The tables of config.toml that an agent's file may have, too.
const OF_AGENT: [&str; 9] = ["job", "review", "trigger", "paths", "policy", "engine", "forge", "watch", "budget"];

/// The schema, in the draft that editors' TOML plugins know (draft 7), without references: one tree.
pub fn schema(of: Of) -> Value {
    match of {
        Of::User => titled(generated::<Config>(), "config.toml of cicdctl"),
        Of::Agent => {
            let mut schema = titled(generated::<Config>(), "agents/NAME.toml of cicdctl");
            if let Some(tables) = properties_of(&mut schema) {
                tables.retain(|name, _| OF_AGENT.contains(&name.as_str()));
                tables.insert("limits".into(), part::<Limits>());
                tables.insert(
                    "path".into(),
                    json!({ "type": "string", "pattern": "^/", "description": "Working copy of the project." }),
                );
                tables.insert("repo".into(), json!({ "type": "string", "description": "`owner/name` at the forge." }));
            }
            if let Some(schema) = schema.as_object_mut() {
                schema.remove("default");
                schema.insert("description".into(), "What this agent has of its own; the rest is the user's.".into());
            }
            schema
        }
        Of::Repository => {
            let mut schema = titled(generated::<RepositoryFile>(), &format!("{REPOSITORY_FILE} of a repository"));
            if let Some(trigger) =
                properties_of(&mut schema).and_then(|tables| tables.get_mut("trigger")).and_then(properties_of)
            {
                trigger.remove("command");
            }
            schema
        }
    }
}

/// The same, made once: every file is looked at by it.
pub(super) fn kept(of: Of) -> &'static Value {
    static KEPT: [LazyLock<Value>; 3] = [
        LazyLock::new(|| schema(Of::User)),
        LazyLock::new(|| schema(Of::Agent)),
        LazyLock::new(|| schema(Of::Repository)),
    ];
    &KEPT[of as usize]
}

/// A key that can be set, dotted, as `job.memory`.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    pub name: String,
    /// Anything may stand below it, as below `environment`.
    pub open: bool,
}

/// All keys of a file, in the order of the alphabet.
pub fn keys(of: Of) -> Vec<Key> {
    let mut keys = Vec::new();
    collect("", kept(of), &mut keys);
    keys
}

fn collect(prefix: &str, schema: &Value, keys: &mut Vec<Key>) {
    match schema.get("properties").and_then(Value::as_object) {
        Some(properties) => {
            for (name, below) in properties {
                let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                collect(&name, below, keys);
            }
        }
        None => keys.push(Key {
            name: prefix.to_owned(),
            open: schema.get("additionalProperties").is_some_and(Value::is_object),
        }),
    }
}

/// The texts that a value may be.
pub fn choices(schema: &Value) -> Vec<String> {
    let of = |value: &Value| {
        value["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
    };
    let mut found = of(schema);
    for one in schema["oneOf"].as_array().into_iter().flatten() {
        found.extend(of(one));
        found.extend(one["const"].as_str().map(str::to_owned));
    }
    found
}

fn generated<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// The same without what only stands at the top of a schema.
fn part<T: JsonSchema>() -> Value {
    let mut schema = generated::<T>();
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("$schema");
        schema.remove("title");
    }
    schema
}

fn titled(mut schema: Value, title: &str) -> Value {
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("title".into(), title.into());
    }
    schema
}

fn properties_of(schema: &mut Value) -> Option<&mut Map<String, Value>> {
    schema.get_mut("properties")?.as_object_mut()
}

macro_rules! inline {
    ($($name:ident, $schema:expr;)*) => {$(
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    )*};
}

inline! {
    Percent, text("^[0-9]+ *%$", "Share of CPU time: 25%; 100% is one CPU.");
    Size, text("^[0-9]+ *[KMGT]?$", "Bytes: 512M, 2G; the units are powers of 1024.");
    Span, text("^( *[0-9]+(ms|s|sec|m|min|h|d))+ *$", "Length of time: 60s, 5m, 1h 30m.");
    ApiUrl, text("^https?://", "Address of the API.");
    CollectorUrl, text("^http://", "Address of a collector of OpenTelemetry on this host: http://127.0.0.1:4318.");
    Glob, text("^.", "Glob.");
    Usd, json_schema!({ "type": "number", "minimum": 0, "description": "US dollars." });
    Cap, json_schema!({
        "anyOf": [{ "type": "number", "minimum": 0 }, { "const": "none" }],
        "description": "US dollars; \"none\" is no cap, 0 is one.",
    });
}

fn text(pattern: &str, description: &str) -> Schema {
    json_schema!({ "type": "string", "pattern": pattern, "description": description })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_valid(of: Of, text: &str) -> bool {
        let file: toml::Table = text.parse().unwrap();
        jsonschema::validator_for(&schema(of)).unwrap().is_valid(&serde_json::to_value(file).unwrap())
    }

    #[test]
    fn a_schema_takes_what_we_take_and_refuses_what_we_refuse() {
        let whole = toml::to_string(&Config::default()).unwrap();
        for (of, text) in [
            (Of::User, ""),
            (Of::User, whole.as_str()),
            (Of::User, super::super::starter()),
            (
                Of::User,
                "[job]\nmemory = \"1G\"\ntimeout = \"1h 30m\"\n[budget]\nday = \"none\"\n[environment]\nA = \"b\"\n",
            ),
            (Of::User, "[[paths]]\nmatch = [\"*.rs\"]\nexclude = true\n"),
            (
                Of::Agent,
                "path = \"/p\"\nrepo = \"a/b\"\n[limits]\ncpu = \"25%\"\n[watch]\ninterval = \"60s\"\n[budget]\nday = 3\n",
            ),
            (Of::Repository, "[trigger]\nforks = \"summary-only\"\n[review]\nmin_severity = \"low\"\n"),
        ] {
            assert!(is_valid(of, text), "{of:?} {text}");
        }
        for (of, text) in [
            (Of::User, "[job]\nmemry = \"1G\"\n"),
            (Of::User, "[job]\nmemory = 5\n"),
            (Of::User, "[job]\nmemory = \"1GB\"\n"),
            (Of::User, "[review]\nengine = \"gpt\"\n"),
            (Of::User, "[budget]\nday = \"much\"\n"),
            (Of::User, "path = \"/p\"\n"),
            (Of::Agent, "[runner]\njobs = 1\n"),
            (Of::Agent, "path = \"relative\"\n"),
            (Of::Repository, "[trigger]\ncommand = \"/x\"\n"),
            (Of::Repository, "[review]\npost = true\n"),
        ] {
            assert!(!is_valid(of, text), "{of:?} {text}");
        }
    }

    #[test]
    fn keys_are_dotted_and_all_there() {
        let names: Vec<String> = keys(Of::User).into_iter().map(|key| key.name).collect();
        for name in ["secrets", "runner.limits.cpu", "engine.claude.model", "job.readable", "paths", "disk.gc"] {
            assert!(names.iter().any(|known| known == name), "{name} of {names:?}");
        }
        let open: Vec<String> = keys(Of::User).into_iter().filter(|key| key.open).map(|key| key.name).collect();
        assert_eq!(open, ["environment"]);
        assert!(keys(Of::Agent).iter().any(|key| key.name == "limits.memory"));
    }

    #[test]
    fn the_starter_file_names_every_key() {
        let starter = super::super::starter();
        let missing: Vec<String> = keys(Of::User)
            .into_iter()
            // A user's file locks nothing.
            .filter(|key| !key.open && key.name != "locked")
            .map(|key| key.name)
            .filter(|name| {
                let leaf = name.rsplit('.').next().unwrap();
                !starter.lines().any(|line| {
                    line.trim_start_matches(['#', ' '])
                        .strip_prefix(leaf)
                        .is_some_and(|rest| rest.trim_start().starts_with('='))
                        || line.trim_start_matches(['#', ' ']).starts_with(&format!("[[{leaf}]]"))
                })
            })
            .collect();
        assert_eq!(missing, Vec::<String>::new());
    }
}
