//! Whether tables are tables and lists are lists, by the schema: serde would take a list for a table, and of most else it
//! says what its visitor had hoped for. Pure.

use serde_json::Value as Schema;
use toml::Value;

use super::schema::choices;

/// The dotted key at which it is wrong, and what is wrong there.
pub fn check(value: &Value, schema: &Schema, key: &str) -> Result<(), (String, String)> {
    let wrong = |problem: String| Err((key.to_owned(), problem));
    let below = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
    let is_list_of_tables = |list: &[Value]| list.first().is_some_and(Value::is_table);
    if let Some(properties) = schema["properties"].as_object() {
        return match value {
            Value::Table(table) => table
                .iter()
                .filter_map(|(name, value)| Some((name, value, properties.get(name)?)))
                .try_for_each(|(name, value, schema)| check(value, schema, &below(name))),
            Value::Array(list) if is_list_of_tables(list) => wrong(format!("it is a single table: write `[{key}]`")),
            _ => wrong(format!("it is a table: write `[{key}]`, and below it a line for each key")),
        };
    }
    if schema["additionalProperties"].is_object() {
        let Value::Table(table) = value else { return wrong(format!("it is a table: write `[{key}]`")) };
        return table.iter().try_for_each(|(name, value)| match value {
            Value::String(_) => Ok(()),
            Value::Table(_) => Err((below(name), "there are no tables in this one".to_owned())),
            value => Err((below(name), format!("it is a string: write `{name} = \"{value}\"`"))),
        });
    }
    match (schema["type"].as_str(), value) {
        (Some("array"), Value::Array(_)) => Ok(()),
        (Some("array"), _) if schema["items"]["properties"].is_object() => {
            wrong(format!("it is a list of tables: write `[[{key}]]`"))
        }
        (Some("array"), Value::String(text)) => {
            let items: Vec<String> = text.split_whitespace().map(|item| format!("{item:?}")).collect();
            wrong(format!("it is a list: write [{}]", items.join(", ")))
        }
        (_, Value::Datetime(date)) => wrong(format!("`{date}` is a date or a time of day to TOML")),
        (_, value) if !value.is_str() && !choices(schema).is_empty() => {
            let choices: Vec<String> = choices(schema).iter().map(|choice| format!("{choice:?}")).collect();
            wrong(format!("it is one of {}", choices.join(", ")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::schema::{Of, schema};
    use super::*;

    fn wrong(text: &str) -> Option<(String, String)> {
        check(&Value::Table(text.parse().unwrap()), &schema(Of::User), "").err()
    }

    #[test]
    fn what_has_the_wrong_shape_is_told_at_its_key() {
        for (text, key, problem) in [
            (
                "hardening = [\"off\"]\n",
                "hardening",
                "it is a table: write `[hardening]`, and below it a line for each key",
            ),
            ("[[job]]\ntasks = 9\n", "job", "it is a single table: write `[job]`"),
            ("[[agents.limits]]\ntasks = 9\n", "agents.limits", "it is a single table: write `[agents.limits]`"),
            ("[paths]\nmatch = [\"a\"]\n", "paths", "it is a list of tables: write `[[paths]]`"),
            ("[environment.production]\nA = \"b\"\n", "environment.production", "there are no tables in this one"),
            ("[environment]\nTIMEOUT = 30\n", "environment.TIMEOUT", "it is a string: write `TIMEOUT = \"30\"`"),
            (
                "[engine.command]\nargv = \"a.sh --x\"\n",
                "engine.command.argv",
                "it is a list: write [\"a.sh\", \"--x\"]",
            ),
            ("[job]\ntimeout = 2024-01-01\n", "job.timeout", "`2024-01-01` is a date or a time of day to TOML"),
            (
                "[trigger]\nforks = true\n",
                "trigger.forks",
                "it is one of \"full\", \"off\", \"label\", \"summary-only\"",
            ),
        ] {
            assert_eq!(wrong(text), Some((key.to_owned(), problem.to_owned())), "{text}");
        }
        let whole = toml::to_string(&crate::config::Config::default()).unwrap();
        for text in [whole.as_str(), crate::config::starter(), "[[paths]]\nmatch = [\"a\"]\n[environment]\nA = \"b\"\n"]
        {
            assert_eq!(wrong(text), None);
        }
    }
}
