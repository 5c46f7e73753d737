//! Files of environment.d(5): which secrets are in them, and taking one out without touching the rest. Pure.

use super::{VARIABLES, Value};

/// `NAME=VALUE` in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    pub name: String,
    /// `None` where it is made of other variables or otherwise than anyone writes a secret, so that only systemd knows
    /// what comes of it.
    pub value: Option<Value>,
    /// Lines of the text that it takes, from and to before.
    lines: (usize, usize),
}

/// Everything that is assigned.
pub fn assignments(text: &str) -> Vec<Assignment> {
    let lines: Vec<&str> = text.lines().collect();
    let (mut all, mut at) = (Vec::new(), 0);
    while at < lines.len() {
        let from = at;
        // A backslash at its end makes the next line a part of it, and of a comment, too.
        while lines[at].ends_with('\\') && at + 1 < lines.len() {
            at += 1;
        }
        at += 1;
        let line = lines[from].trim_start_matches('\u{feff}').trim();
        if line.starts_with(['#', ';']) {
            continue;
        }
        let Some((name, value)) = line.split_once('=') else { continue };
        let value = (at == from + 1).then(|| plain(value.trim())).flatten().map(Value::new);
        all.push(Assignment { name: name.trim().to_owned(), value, lines: (from, at) });
    }
    all
}

/// Those of [`VARIABLES`] that have a value.
pub fn secrets(text: &str) -> Vec<Assignment> {
    let is_set = |found: &Assignment| found.value.as_ref().is_none_or(|value| !value.reveal().is_empty());
    assignments(text).into_iter().filter(|found| VARIABLES.contains(&found.name.as_str()) && is_set(found)).collect()
}

/// The text without the assignments of one variable; everything else stays as it is.
pub fn without(text: &str, name: &str) -> String {
    let gone: Vec<(usize, usize)> =
        assignments(text).into_iter().filter(|found| found.name == name).map(|found| found.lines).collect();
    let stays = |number: &usize| !gone.iter().any(|(from, to)| (*from..*to).contains(number));
    text.split_inclusive('\n').enumerate().filter(|(number, _)| stays(number)).map(|(_, line)| line).collect()
}

/// The text as it may be shown: no value whose name is one of a secret.
pub fn masked(text: &str) -> String {
    text.split_inclusive('\n')
        .map(|line| match line.split_once('=') {
            Some((name, _)) if is_secret(name) => {
                let end = if line.ends_with('\n') { "\n" } else { "" };
                format!("{name}=[secret]{end}")
            }
            _ => line.to_owned(),
        })
        .collect()
}

fn is_secret(name: &str) -> bool {
    let name = name.trim_start_matches(['+', '-', ' ']).to_ascii_uppercase();
    ["TOKEN", "KEY", "SECRET", "PASSWORD", "PASSWD"].iter().any(|end| name.trim_end().ends_with(end))
}

/// A value as it is, or in quotes, with nothing in it that stands for something else.
fn plain(text: &str) -> Option<String> {
    for quote in ['"', '\''] {
        let Some(rest) = text.strip_prefix(quote) else { continue };
        let inner = rest.strip_suffix(quote)?;
        return match quote {
            '"' => unescaped(inner),
            _ if inner.contains(['\'', '$']) => None,
            _ => Some(inner.to_owned()),
        };
    }
    match text.contains(['"', '\'', '\\']) {
        true => None,
        false => unescaped(text),
    }
}

/// As [`super::super::unit::escape::EnvironmentFile`] has escaped it.
fn unescaped(text: &str) -> Option<String> {
    let (mut plain, mut rest) = (String::new(), text.chars());
    while let Some(c) = rest.next() {
        match c {
            '"' => return None,
            '$' => plain.push(rest.next().filter(|c| *c == '$')?),
            '\\' => plain.push(rest.next().filter(|c| matches!(c, '"' | '\\' | '`' | '$'))?),
            c => plain.push(c),
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# my own\nPATH=$HOME/bin:$PATH\n\n# for reviews\nGITHUB_TOKEN=\"ghp_c4n4ry\"\nEDITOR=vi\n# GITHUB_TOKEN=old\nLONG=a \\\nGITHUB_TOKEN=no\nANTHROPIC_API_KEY=\n";

    fn value(text: &str) -> Option<String> {
        assignments(&format!("X={text}")).pop().unwrap().value.map(|value| value.reveal().to_owned())
    }

    #[test]
    fn secrets_are_found_and_comments_and_other_lines_are_not_taken_for_them() {
        let found = secrets(TEXT);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].value.as_ref().unwrap().reveal(), "ghp_c4n4ry");
    }

    #[test]
    fn one_line_goes_and_the_others_stay() {
        assert_eq!(without(TEXT, "GITHUB_TOKEN"), TEXT.replace("GITHUB_TOKEN=\"ghp_c4n4ry\"\n", ""));
        assert_eq!(without("A=1\nB=2", "B"), "A=1\n");
        assert_eq!(without("A=1 \\\n 2\nB=3\n", "A"), "B=3\n");
        assert_eq!(without(TEXT, "NONE"), TEXT);
    }

    #[test]
    fn a_value_is_read_as_systemd_reads_it_or_not_at_all() {
        for (text, read) in [
            ("a-b", Some("a-b")),
            (" a-b ", Some("a-b")),
            ("\"a b\"", Some("a b")),
            ("'a\\b'", Some("a\\b")),
            (r#""a\"b$$c\\""#, Some(r#"a"b$c\"#)),
            ("", Some("")),
            ("$OTHER", None),
            ("\"${OTHER}\"", None),
            ("'$OTHER'", None),
            ("a'b'", None),
            ("\"a\"b", None),
            ("a\\", None),
        ] {
            assert_eq!(value(text).as_deref(), read, "{text}");
        }
        assert_eq!(assignments("X=a\\\nb")[0].value, None);
    }

    #[test]
    fn nothing_secret_is_shown() {
        assert_eq!(
            masked("+GITHUB_TOKEN=\"c4n4ry\"\n HTTPS_PROXY=\"http://p\"\n-MY_PASSWORD=c4n4ry"),
            "+GITHUB_TOKEN=[secret]\n HTTPS_PROXY=\"http://p\"\n-MY_PASSWORD=[secret]"
        );
    }
}
