//! Text of a configuration file → values, or an error in words: file, line, column, and what was probably meant. Pure.

use std::path::Path;

use serde::de::DeserializeOwned;
use toml_edit::Item;

use super::schema::{Of, kept, keys};
use super::shape;
use super::variable;
use crate::error::Fail;

/// A configuration file: where it is, for error texts, and what it says.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    pub path: &'a Path,
    pub text: &'a str,
}

impl Source<'_> {
    /// A place in it, for error texts.
    fn at(&self, line: usize, column: Option<usize>) -> String {
        let path = self.path.display();
        match column {
            _ if variable::is(self.path) => path.to_string(),
            None if is_yaml(self.path) => path.to_string(),
            Some(column) => format!("{path}:{line}:{column}"),
            None => format!("{path}:{line}"),
        }
    }
}

/// Whether a configuration file is one of YAML, by its name.
pub fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

/// TOML, or YAML with the same keys, as the deployment guide has it (`--config …/config.yaml`).
pub fn from_text<T: DeserializeOwned>(source: Source<'_>, of: Of) -> Result<T, Fail> {
    let text = if source.text.trim().is_empty() { "" } else { source.text };
    if !is_yaml(source.path) || text.is_empty() {
        if let Ok(table) = text.parse::<toml::Table>()
            && let Err((key, problem)) = shape::check(&toml::Value::Table(table), kept(of), "")
        {
            return Err(at_key(source, &key, &problem));
        }
        return toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let place = at_place(source.text, at);
            let message = error.message().lines().collect::<Vec<_>>().join("; ");
            let line = source.text.lines().nth(place.0 - 1).unwrap_or_default();
            in_words(&source.at(place.0, Some(place.1)), &message, line, of)
        });
    }
    serde_saphyr::from_str(text).map_err(|error| {
        let place = error.location().map_or((1, 1), |at| (at.line() as usize, at.column() as usize));
        let message = error.without_snippet().to_string();
        // It stands at the front already.
        let message = message.split(" at line ").next().unwrap_or_default();
        let message = match message {
            _ if message.contains("DuplicateKeyPolicy") => "this key is there already, further up",
            _ if message.contains("multiple YAML documents") => "a second document begins here; only one is read",
            _ if message.starts_with("tabs disallowed") => "tabs cannot indent in YAML; use spaces",
            message => message,
        };
        let mut fail = in_words(&source.at(place.0, Some(place.1)), message, "", of);
        if fail.message.contains("unknown key") {
            fail.hint.get_or_insert_with(|| "a YAML file takes the keys of config.toml (`cicdctl config show`)".into());
        }
        fail
    })
}

/// The text of a file, or where it is none.
pub fn utf8(path: &Path, bytes: Vec<u8>) -> Result<String, Fail> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(Fail::configuration(format!("{}:1:1: the file is UTF-16; save it as UTF-8", path.display())));
    }
    String::from_utf8(bytes).map_err(|error| {
        let (before, rest) = error.as_bytes().split_at(error.utf8_error().valid_up_to());
        let (line, column) = at_place(&String::from_utf8_lossy(before), before.len());
        let byte = rest.first().copied().unwrap_or_default();
        let path = path.display();
        let fail = Fail::configuration(format!("{path}:{line}:{column}: not valid UTF-8 (byte {byte:#04x})"));
        fail.hint(format!("if it is Latin-1: `iconv -f latin1 -t utf-8 {path} >new`, and put that in its place"))
    })
}

/// What a parser says, for people: without the names of Rust's types, and with what was probably meant. `line` is the one
/// that it is about, where that is known.
fn in_words(at: &str, message: &str, line: &str, of: Of) -> Fail {
    const WORDS: [(&str, &str); 22] = [
        ("unknown field", "unknown key"),
        ("unknown variant", "unknown value"),
        ("missing field", "missing key"),
        ("expected a sequence", "expected a list, such as [\"one\", \"two\"]"),
        ("expected sequence start", "expected a list"),
        ("expected mapping start", "expected keys and values"),
        ("expected a string", "expected a string in quotation marks"),
        ("expected a boolean", "expected true or false"),
        ("invalid boolean", "expected true or false"),
        ("expected a map", "expected a table"),
        ("expected f64", "expected a number"),
        ("expected u8", "expected a whole number"),
        ("expected u16", "expected a whole number"),
        ("expected u32", "expected a whole number"),
        ("expected u64", "expected a whole number"),
        ("expected usize", "expected a whole number"),
        ("invalid u32", "expected a whole number"),
        (" as i128", ""),
        ("invalid type: sequence", "invalid type: a list"),
        ("invalid type: map", "invalid type: a table"),
        ("floating point", "number"),
        ("invalid basic string, expected `\"`", "the closing quotation mark is missing"),
    ];
    let message = lower_first(message);
    let mut words = message.clone();
    for (theirs, ours) in WORDS {
        words = words.replace(theirs, ours);
    }
    if let Some((before, _)) = words.split_once("expected struct ") {
        words = format!("{before}expected a table");
    }
    // Of amounts there is more to say.
    if let Some(rest) = message.strip_prefix("invalid value: integer `")
        && let Some((number, _)) = rest.split_once('`')
        && !words.contains("dollars")
    {
        words = format!("`{number}` is out of range");
    }
    let line = line.trim_start();
    let bare = ["string values must be quoted", "invalid boolean, expected `", "invalid float, expected "];
    if bare.iter().any(|begin| message.starts_with(begin))
        && let Some((key, value)) = line.split_once('=')
    {
        return not_a_value(at, key.trim(), value.split('#').next().unwrap_or_default().trim());
    }
    if let Some(hint) = meant(&message, of) {
        // All that could stand there would bury what was meant.
        let words =
            if words.starts_with("unknown key") { words.split(", expected ").next() } else { None }.unwrap_or(&words);
        return Fail::configuration(format!("{at}: {words}")).hint(hint);
    }
    let fail = Fail::configuration(format!("{at}: {words}"));
    if line.starts_with([';', '/']) {
        return Fail::configuration(format!("{at}: a comment begins with `#`"));
    }
    match () {
        () if message.starts_with("duplicate key") && line.starts_with('[') => {
            fail.hint("this table is there already, further up; move its keys there")
        }
        () if message.starts_with("duplicate key") => fail.hint("it is set further up already; remove one of them"),
        () if message.starts_with("key with no value") && line.contains(':') => fail.hint("TOML has `=` and not `:`"),
        () if line.contains(TYPOGRAPHIC) => fail.hint(PLAIN_QUOTES),
        () if message.starts_with("invalid type: integer") && message.contains("expected a string") => {
            fail.hint("sizes, shares and times are texts with their unit: \"512M\", \"25%\", \"60s\"")
        }
        () => fail,
    }
}

const TYPOGRAPHIC: [char; 3] = ['\u{201c}', '\u{201d}', '\u{201e}'];
const PLAIN_QUOTES: &str = "typographic quotation marks are none to TOML; write \"";

/// What stands behind an `=` and is nothing that TOML knows.
fn not_a_value(at: &str, key: &str, value: &str) -> Fail {
    if value.is_empty() {
        return Fail::configuration(format!("{at}: the value is missing after `=`"));
    }
    let fail = Fail::configuration(format!("{at}: `{value}` is not a valid value"));
    match value.to_lowercase().as_str() {
        "true" | "yes" | "on" => fail.hint(format!("`{key} = true`, or with quotation marks if it is a string")),
        "false" | "no" | "off" => fail.hint(format!("`{key} = false`, or with quotation marks if it is a string")),
        _ if value.contains(TYPOGRAPHIC) => fail.hint(PLAIN_QUOTES),
        _ => fail.hint(format!("strings need quotation marks: `{key} = \"{value}\"`")),
    }
}

/// An error at the line where the dotted key is set, as far as it can be found.
pub(super) fn at_key(source: Source<'_>, key: &str, problem: &str) -> Fail {
    let document = toml_edit::Document::parse(source.text).ok();
    let line = document.and_then(|document| line_of(&document, key)?).unwrap_or(1);
    Fail::configuration(format!("{}: `{key}`: {problem}", source.at(line, None)))
}

/// The line of a dotted key; `None`: it is not set, `Some(None)`: nobody knows where.
pub(super) fn line_of(document: &toml_edit::Document<&str>, key: &str) -> Option<Option<usize>> {
    let mut item = document.as_item();
    let mut span = None;
    for part in key.split('.') {
        let (name, below) = item.as_table_like()?.get_key_value(part)?;
        span = match below {
            Item::ArrayOfTables(tables) => tables.iter().next().and_then(toml_edit::Table::span),
            _ => name.span(),
        };
        item = below;
    }
    Some(span.or_else(|| item.span()).map(|span| at_place(document.raw(), span.start).0))
}

/// Line and column, from 1, of an offset in bytes.
pub(super) fn at_place(text: &str, offset: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..offset.min(text.len())];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    // A character counts once, however many bytes it has.
    let is_first = |byte: &&u8| **byte & 0xc0 != 0x80;
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').filter(is_first).count() + 1;
    (line, column)
}

/// From serde's "unknown field `memroy`, expected one of `cpu`, `memory`": what was probably meant.
fn meant(message: &str, of: Of) -> Option<String> {
    let is_key = message.starts_with("unknown field `");
    let rest = message.strip_prefix("unknown field `").or_else(|| message.strip_prefix("unknown variant `"))?;
    let (wrong, expected) = rest.split_once('`')?;
    // TOML's list has backticks, YAML's has none.
    let expected = expected.trim_start_matches(", expected one of ").trim_start_matches(", expected ").replace('`', "");
    let near = nearest_of(wrong, expected.split(", "));
    let slip = near.as_ref().filter(|near| strsim::damerau_levenshtein(wrong, near) <= 2);
    match (slip, is_key.then(|| elsewhere(wrong, of)).flatten()) {
        (None, Some(elsewhere)) => Some(elsewhere),
        _ => near.map(|near| format!("did you mean `{near}`?")),
    }
}

/// Where a key of this name would be right.
fn elsewhere(name: &str, of: Of) -> Option<String> {
    let within = |key: &str| key.find(&format!(".{name}")).map(|at| key[..at + 1 + name.len()].to_owned());
    let is_whole = |key: &String| key.rsplit('.').next() == Some(name);
    let mut found: Vec<String> =
        keys(of).iter().filter_map(|key| within(&key.name)).filter(is_whole).map(|key| format!("`{key}`")).collect();
    found.dedup();
    match found.split_last() {
        Some((last, [])) => return Some(format!("did you mean {last}?")),
        Some((last, others)) if others.len() < 4 => {
            return Some(format!("did you mean {} or {last}?", others.join(", ")));
        }
        _ => {}
    }
    let is_in = |of: Of| keys(of).iter().any(|key| key.name.split('.').next() == Some(name));
    match of {
        Of::User if is_in(Of::Agent) => Some(format!("`{name}` is set for each agent, in agents/NAME.toml")),
        Of::Agent if is_in(Of::User) => Some(format!("`{name}` is set for all agents, in config.toml")),
        Of::Repository if is_in(Of::User) => Some(format!("`{name}` is the host's, not the repository's")),
        _ => None,
    }
}

/// The one of `names` that was probably meant.
pub fn nearest_of<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    names
        .map(|name| (strsim::damerau_levenshtein(wrong, name), name))
        .min()
        .filter(|(distance, name)| *distance <= name.len().max(4) / 2)
        .map(|(_, name)| name.to_owned())
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}
