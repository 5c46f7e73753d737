//! Values in units: what our templates write comes back as it was, by systemd's own rules of quoting. `22-quoting.sh`
//! asks the real one.

use askama::filters::Escaper;
use cicdctl::unit::escape::{CommandLine, EnvironmentFile, UnitFile};

use crate::mutate::Dice;
use crate::run;

/// Characters that mean something to one of the parsers, and some that mean nothing.
const CHARS: &[char] = &[
    '%',
    '$',
    '\\',
    '"',
    '\'',
    '`',
    ' ',
    '{',
    '}',
    '(',
    ')',
    ';',
    '#',
    '=',
    '@',
    '-',
    '+',
    ':',
    '!',
    '|',
    '~',
    '*',
    '?',
    '[',
    ']',
    '<',
    '>',
    '&',
    ',',
    '.',
    '/',
    'a',
    'n',
    'x',
    'u',
    '0',
    '7',
    'i',
    'h',
    'é',
    'ü',
    '\u{202e}',
    '\u{1f469}',
    '\u{fffd}',
    '\u{a0}',
    '\u{2028}',
];

fn value(dice: &mut Dice) -> String {
    (0..dice.below(24)).map(|_| *dice.of(CHARS)).collect()
}

/// What stands between double quotes in a unit file: specifiers first (unit_full_printf), then quoting
/// (extract_first_word with EXTRACT_CUNESCAPE|EXTRACT_UNQUOTE).
fn of_unit(text: &str) -> Option<String> {
    let specified = specifiers(text)?;
    let inner = specified.strip_prefix('"')?.strip_suffix('"')?;
    unquoted(inner)
}

fn specifiers(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '%' => match chars.next()? {
                '%' => out.push('%'),
                // Any other would be expanded.
                _ => return None,
            },
            c => out.push(c),
        }
    }
    Some(out)
}

fn unquoted(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next()? {
                c @ ('\\' | '"' | '\'') => out.push(c),
                's' => out.push(' '),
                'n' => out.push('\n'),
                't' => out.push('\t'),
                _ => return None,
            },
            // It would end the value.
            '"' => return None,
            c => out.push(c),
        }
    }
    Some(out)
}

/// The words of a command line; variables are expanded after quoting (replace_env_argv).
fn words(line: &str) -> Option<Vec<String>> {
    let line = specifiers(line)?;
    let mut words = Vec::new();
    let mut rest = line.as_str();
    while !rest.is_empty() {
        let (word, after) = if let Some(quoted) = rest.strip_prefix('"') {
            let mut escaped = false;
            let end = quoted.char_indices().find(|(_, c)| {
                let ends = *c == '"' && !escaped;
                escaped = *c == '\\' && !escaped;
                ends
            })?;
            (unquoted(&quoted[..end.0])?, &quoted[end.0 + 1..])
        } else {
            let end = rest.find(' ').unwrap_or(rest.len());
            (rest[..end].to_owned(), &rest[end..])
        };
        words.push(dollars(&word)?);
        rest = after.strip_prefix(' ').unwrap_or(after);
        if rest.is_empty() && after.ends_with(' ') {
            return None;
        }
    }
    Some(words)
}

fn dollars(word: &str) -> Option<String> {
    let mut out = String::new();
    let mut chars = word.chars();
    while let Some(c) = chars.next() {
        if c == '$' && chars.next()? != '$' {
            return None;
        }
        out.push(c);
    }
    Some(out)
}

/// A value between double quotes in a file of environment.d: a shell's quoting, then `$`.
fn of_environment(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut chars = text.strip_prefix('"')?.strip_suffix('"')?.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next()? {
                c @ ('\\' | '"' | '`' | '$') => out.push(c),
                _ => return None,
            },
            '"' | '`' => return None,
            c => out.push(c),
        }
    }
    dollars(&out)
}

#[test]
fn values() {
    let (mut dice, cases) = (Dice::new(run::seed()), run::cases(20_000));
    let mut bytes = 0;
    for _ in 0..cases {
        let text = value(&mut dice);
        bytes += text.len();
        let mut out = String::new();
        UnitFile.write_escaped_str(&mut out, &text).unwrap();
        assert!(!out.contains('\n'));
        assert_eq!(of_unit(&format!("\"{out}\"")).as_deref(), Some(text.as_str()), "{text:?} as {out:?}");

        let mut out = String::new();
        EnvironmentFile.write_escaped_str(&mut out, &text).unwrap();
        assert_eq!(of_environment(&format!("\"{out}\"")).as_deref(), Some(text.as_str()), "{text:?} as {out:?}");

        // A word `%i` is the instance, and meant to be expanded.
        let command: Vec<String> = (0..=dice.below(4)).map(|_| value(&mut dice)).filter(|word| word != "%i").collect();
        let line = CommandLine(command.clone()).to_string();
        assert_eq!(words(&line), Some(command.clone()), "{command:?} as {line:?}");
    }
    for c in (0..0x20u8).chain([0x7f]).map(char::from).chain(('\u{80}'..='\u{9f}').step_by(5)) {
        let text = format!("a{c}ExecStart=/bin/sh");
        assert!(UnitFile.write_escaped_str(String::new(), &text).is_err(), "{text:?}");
        assert!(EnvironmentFile.write_escaped_str(String::new(), &text).is_err(), "{text:?}");
    }
    eprintln!(
        "{:<28} {cases:>8} cases, {:>8.1} MB: each in a unit, in environment.d and on a command line",
        "quoting",
        bytes as f64 / 1e6
    );
}
