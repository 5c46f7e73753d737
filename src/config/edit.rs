//! Edits of a configuration file that leave everything else as it is, comments and order among it. Pure.

use anyhow::{Result, bail};
use toml_edit::{DocumentMut, Item, Table, TableLike, Value, value};

use crate::error::Fail;

/// The values that a text from a command line may mean, the likelier first: `3`, `true` and `["a"]` are what they are in
/// TOML, and everything may be a string.
pub fn meanings(text: &str) -> Vec<Value> {
    let string = Value::from(text);
    match text.parse::<Value>() {
        Ok(mut value) => {
            value.decor_mut().clear();
            vec![value, string]
        }
        Err(_) => vec![string],
    }
}

/// Keeps, of what was said of several meanings, what tells most: of a number where a text belongs, what is said of the
/// text; and the other way round.
pub fn keep_the_telling(kept: &mut Option<anyhow::Error>, error: anyhow::Error) {
    let is_of_type = |error: &anyhow::Error| error.to_string().contains(": invalid type: ");
    if kept.as_ref().is_none_or(|kept| is_of_type(kept) && !is_of_type(&error)) {
        *kept = Some(error);
    }
}

/// Sets a dotted key. Where the file has it as a comment, as the one that `init` writes, it takes that line.
pub fn set(text: &str, key: &str, new: Value) -> Result<String> {
    let mut document: DocumentMut = match uncommented(text, key) {
        Some(text) => text.parse()?,
        None => text.parse()?,
    };
    put(&mut document, key, new)?;
    Ok(document.to_string())
}

/// Removes a dotted key; `None` where it is not set.
pub fn unset(text: &str, key: &str) -> Result<Option<String>> {
    let mut document: DocumentMut = text.parse()?;
    let (tables, leaf) = split(key);
    let mut table: &mut dyn TableLike = document.as_table_mut();
    for name in tables {
        match table.get_mut(name).and_then(Item::as_table_like_mut) {
            Some(below) => table = below,
            None => return Ok(None),
        }
    }
    Ok(table.remove(leaf).map(|_| document.to_string()))
}

/// Sets a dotted key of a document; the comment behind it stays.
pub fn put(document: &mut DocumentMut, key: &str, mut new: Value) -> Result<()> {
    let (tables, leaf) = split(key);
    let mut table: &mut dyn TableLike = document.as_table_mut();
    for name in tables {
        let below = table.entry(name).or_insert_with(|| {
            let mut table = Table::new();
            table.set_implicit(true);
            Item::Table(table)
        });
        match below.as_table_like_mut() {
            Some(below) => table = below,
            None => bail!(Fail::configuration(format!("`{name}` is no table"))),
        }
    }
    match table.get_mut(leaf).and_then(Item::as_value_mut) {
        Some(old) => {
            *new.decor_mut() = old.decor().clone();
            *old = new;
        }
        None => {
            table.insert(leaf, as_people_write_it(new));
        }
    }
    Ok(())
}

/// Tables in a list as `[[paths]]`, everything else as it is.
fn as_people_write_it(new: Value) -> Item {
    let of_tables = |list: &toml_edit::Array| !list.is_empty() && list.iter().all(Value::is_inline_table);
    match value(new) {
        item if item.as_array().is_some_and(of_tables) => {
            item.into_array_of_tables().map_or_else(|item| item, Item::ArrayOfTables)
        }
        item => item,
    }
}

fn split(key: &str) -> (Vec<&str>, &str) {
    let mut parts: Vec<&str> = key.split('.').collect();
    let leaf = parts.pop().unwrap_or_default();
    (parts, leaf)
}

/// The text with the line `#key = …` of the key's table taken out of its comment, if there is one and the key is not set.
fn uncommented(text: &str, key: &str) -> Option<String> {
    let (table, leaf) = key.rsplit_once('.').unwrap_or(("", key));
    let mut section = "";
    for line in text.split_inclusive('\n') {
        if let Some(head) = line.strip_prefix('[') {
            section = head.split_once(']').map_or("", |(name, _)| name);
        }
        let Some(bare) = line.strip_prefix('#').map(|line| line.trim_start_matches(' ')).filter(|_| section == table)
        else {
            continue;
        };
        let is_it = bare.strip_prefix(leaf).is_some_and(|rest| rest.trim_start().starts_with('='));
        if is_it && bare.parse::<DocumentMut>().is_ok() {
            let start = line.as_ptr().addr() - text.as_ptr().addr();
            let changed = format!("{}{bare}{}", &text[..start], &text[start + line.len()..]);
            // Where the key stands further down as well, this would be its second.
            return changed.parse::<DocumentMut>().is_ok().then_some(changed);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(text: &str, key: &str, new: &str) -> String {
        set(text, key, meanings(new).remove(0)).unwrap()
    }

    #[test]
    fn a_commented_key_takes_its_line_and_keeps_what_is_said_of_it() {
        let text =
            "#a = 1   # first\n\n[job]  # cage\n#memory = \"2G\"   # much\n#tasks = 256\n\n[review]\n#tasks = 1\n";
        assert_eq!(
            edited(text, "job.memory", "\"1G\""),
            "#a = 1   # first\n\n[job]  # cage\nmemory = \"1G\"   # much\n#tasks = 256\n\n[review]\n#tasks = 1\n"
        );
        assert!(edited(text, "a", "5").starts_with("a = 5   # first\n"));
        assert!(edited(text, "review.tasks", "7").ends_with("[review]\ntasks = 7\n"));
        // One that is set is changed where it stands.
        let text = "[job]\n#tasks = 256\ntasks = 3 # mine\n";
        assert_eq!(edited(text, "job.tasks", "4"), "[job]\n#tasks = 256\ntasks = 4 # mine\n");
        // Prose is none.
        let text = "[job]\n# tasks = as many as needed\n";
        assert_eq!(edited(text, "job.tasks", "4"), "[job]\ntasks = 4\n# tasks = as many as needed\n");
    }

    #[test]
    fn every_form_of_a_table_is_kept() {
        assert_eq!(edited("", "engine.claude.model", "m"), "[engine.claude]\nmodel = \"m\"\n");
        assert_eq!(edited("job = { tasks = 1 }\n", "job.tasks", "2"), "job = { tasks = 2 }\n");
        assert_eq!(edited("job.tasks = 1\n", "job.tasks", "2"), "job.tasks = 2\n");
        assert!(set("job = 1\n", "job.tasks", 2.into()).unwrap_err().to_string().contains("`job` is no table"));
    }

    #[test]
    fn a_list_of_tables_is_written_as_such() {
        let text = edited("[job]\ntasks = 1\n", "paths", "[{ match = [\"a\"] }, { match = [\"b\"], exclude = true }]");
        let parsed: toml::Table = text.parse().unwrap();
        assert_eq!(parsed["paths"].as_array().unwrap().len(), 2);
        assert!(text.contains("\n[[paths]]\nmatch = [\"b\"]"), "{text}");
    }

    #[test]
    fn a_key_is_taken_out_with_its_comment_and_nothing_else() {
        let text = "# top\n[job]\n# why\ntasks = 3 # mine\nmemory = \"1G\"\n";
        assert_eq!(unset(text, "job.tasks").unwrap().unwrap(), "# top\n[job]\nmemory = \"1G\"\n");
        assert_eq!(unset(text, "job.cpu").unwrap(), None);
        assert_eq!(unset(text, "engine.claude.model").unwrap(), None);
    }

    #[test]
    fn a_text_means_what_it_is_in_toml_or_a_string() {
        let first = |text: &str| meanings(text).remove(0).to_string();
        assert_eq!(
            (first("3"), first("true"), first("[\"a\", 'b']")),
            ("3".into(), "true".into(), "[\"a\", 'b']".into())
        );
        assert_eq!(
            (first("25%"), first("rules"), first("2G")),
            ("\"25%\"".into(), "\"rules\"".into(), "\"2G\"".into())
        );
        assert_eq!(first("a \"b\" \\ c"), "'a \"b\" \\ c'");
        assert_eq!(meanings("0").len(), 2);
    }
}
