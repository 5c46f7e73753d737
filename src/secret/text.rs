//! From what people hand over to the value that was meant: files end with newlines, editors write byte-order marks,
//! and whole lines of an environment file are pasted. Each either works or is refused, and no text here has a part of
//! the value in it. Pure.

use super::{KNOWN, Value, is_known, name_of, variable_of};
use crate::forge::github::{APP_KEY, TOKEN};

/// Longest value, in bytes.
pub const MAX: usize = 64 << 10;

/// The value of the secret `name`, or what is wrong with it.
pub fn value(name: &str, bytes: &[u8]) -> Result<Value, String> {
    if bytes.len() > MAX {
        return Err(format!("the value is longer than {} KiB", MAX >> 10));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err("the value is in UTF-16; save the file as UTF-8".into());
    }
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Err("the value is no UTF-8 text".into());
    };
    let text = text.replace("\r\n", "\n");
    if !is_known(name) {
        return of_any(&text);
    }
    let text = unwrapped(name, text.trim())?;
    if text.is_empty() {
        return Err("the value is empty".into());
    }
    if name == APP_KEY { pem(text) } else { token(name, text) }
}

/// Of a secret that we know nothing about: all but the newlines at its end may belong to it.
fn of_any(text: &str) -> Result<Value, String> {
    let text = text.trim_end_matches(['\r', '\n']);
    let is_pem = text.starts_with(BEGIN);
    if text.is_empty() || text.chars().any(|c| c.is_control() && !(is_pem && c == '\n')) {
        return Err("the value is empty or has a control character in it".into());
    }
    Ok(Value::new(text))
}

/// Without `export NAME=` and quotes, as they stand in files of variables.
fn unwrapped<'a>(name: &str, text: &'a str) -> Result<&'a str, String> {
    let rest = text.strip_prefix("export ").unwrap_or(text).trim_start();
    let text = match rest.split_once('=') {
        Some((variable, value)) if is_variable(variable.trim_end()) => {
            let variable = variable.trim_end();
            match name_of(variable) {
                Some(other) if other != name => {
                    return Err(format!("that is the line of {variable}, which is the secret `{other}`"));
                }
                _ => value.trim(),
            }
        }
        _ => text,
    };
    for quote in ['"', '\'', '`'] {
        let inner = text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote));
        match inner {
            Some(inner) => return Ok(inner.trim()),
            None if text.starts_with(quote) != text.ends_with(quote) => {
                return Err(format!("the value has a `{quote}` at one end and not at the other"));
            }
            None => {}
        }
    }
    Ok(text)
}

fn is_variable(word: &str) -> bool {
    word.len() >= 3
        && word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn token(name: &str, text: &str) -> Result<Value, String> {
    if text.starts_with(BEGIN) {
        return Err(format!("that is a key in PEM, and `{name}` is a word without spaces (`{APP_KEY}` is in PEM)"));
    }
    let lines = text.lines().count();
    if lines > 1 {
        return Err(format!("the value has {lines} lines, and `{name}` has one"));
    }
    if text.contains(char::is_whitespace) {
        return Err(format!("there is white space in the value, and `{name}` has none"));
    }
    if let Some(odd) = text.chars().find(|c| !c.is_ascii_graphic()) {
        return Err(format!(
            "there is a character in the value (U+{:04X}) that `{name}` cannot have; was it copied from where it is \
             not shown in full?",
            u32::from(odd)
        ));
    }
    let of_anthropic = text.starts_with("sk-ant-");
    let of_github = ["ghp_", "gho_", "ghu_", "ghs_", "github_pat_"].iter().any(|start| text.starts_with(start));
    let other = match name {
        TOKEN if of_anthropic => Some(KNOWN[0].0),
        _ if name != TOKEN && of_github => Some(TOKEN),
        _ => None,
    };
    if let Some(other) = other {
        return Err(format!("the value looks like the secret `{other}`, not like `{name}`"));
    }
    debug_assert!(variable_of(name).is_some(), "a token may stand in a variable");
    Ok(Value::new(text))
}

const BEGIN: &str = "-----BEGIN ";

/// Line by line without what was indented or left at the ends; a variable may hold it in one line, with `\n` for its
/// newlines.
fn pem(text: &str) -> Result<Value, String> {
    let text = if text.contains('\n') { text.to_owned() } else { text.replace("\\r", "").replace("\\n", "\n") };
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let is_whole = lines.len() >= 3
        && lines.first().is_some_and(|line| line.starts_with(BEGIN))
        && lines.last().is_some_and(|line| line.starts_with("-----END "));
    if !is_whole {
        return Err(
            "the value is no key in PEM: its first line is `-----BEGIN … KEY-----`, its last `-----END …`; hand \
             the whole file over"
                .into(),
        );
    }
    if text.chars().any(|c| !c.is_ascii() || (c.is_control() && !matches!(c, '\n' | '\t'))) {
        return Err("there are characters in the value that no key in PEM has".into());
    }
    Ok(Value::new(format!("{}\n", lines.join("\n"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "anthropic-api-key";
    const PEM: &str = "-----BEGIN RSA PRIVATE KEY-----\nMIIabc+/\nxyz=\n-----END RSA PRIVATE KEY-----\n";

    fn read(name: &str, text: impl AsRef<[u8]>) -> Result<String, String> {
        value(name, text.as_ref()).map(|value| value.reveal().to_owned())
    }

    #[test]
    fn one_line_is_found_however_it_is_wrapped() {
        for text in [
            "sk-ant-c4n4ry",
            "sk-ant-c4n4ry\n",
            "sk-ant-c4n4ry\r\n",
            "sk-ant-c4n4ry\n\n",
            "  sk-ant-c4n4ry \t\n",
            "\u{feff}sk-ant-c4n4ry\r\n",
            "\"sk-ant-c4n4ry\"\n",
            "'sk-ant-c4n4ry'",
            "ANTHROPIC_API_KEY=sk-ant-c4n4ry\n",
            "export ANTHROPIC_API_KEY=\"sk-ant-c4n4ry\"\n",
            "\u{feff}export  ANTHROPIC_API_KEY = 'sk-ant-c4n4ry' \r\n",
            "MY_OWN_NAME=sk-ant-c4n4ry",
        ] {
            assert_eq!(read(KEY, text).as_deref(), Ok("sk-ant-c4n4ry"), "{text:?}");
        }
        // What looks like the end of base64 is none of an assignment.
        assert_eq!(read("github-token", "c4n4ry-c4n4ry==").as_deref(), Ok("c4n4ry-c4n4ry=="));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_without_a_word_of_it() {
        for (name, text, why) in [
            (KEY, "", "empty"),
            (KEY, " \n", "empty"),
            (KEY, "ANTHROPIC_API_KEY=\n", "empty"),
            (KEY, "\"\"", "empty"),
            (KEY, "c4n4ry c4n4ry", "white space"),
            (KEY, "Bearer c4n4ry", "white space"),
            (KEY, "c4n4ry\nc4n4ry\n", "has 2 lines"),
            (KEY, "\"c4n4ry", "at one end"),
            (KEY, "c4n4ry\u{2026}", "U+2026"),
            (KEY, "c4n4\0ry", "U+0000"),
            (KEY, "GITHUB_TOKEN=c4n4ry", "which is the secret `github-token`"),
            (KEY, "github_pat_c4n4ry", "looks like the secret `github-token`"),
            ("github-token", "sk-ant-c4n4ry", "looks like the secret `anthropic-api-key`"),
            ("github-token", PEM, "that is a key in PEM"),
            ("github-app-key", "c4n4ry", "no key in PEM"),
            ("github-app-key", "-----BEGIN RSA PRIVATE KEY-----", "no key in PEM"),
            ("github-app-key", &PEM[..40], "no key in PEM"),
            ("github-app-key", &PEM.replace("abc", "\u{2026}"), "no key in PEM has"),
            ("x", "", "empty"),
            ("x", "c4n4\x07ry", "control"),
        ] {
            let error = read(name, text).unwrap_err();
            assert!(error.contains(why), "{text:?}: {error}");
            assert!(!error.contains("c4n4") && !error.contains("MII"), "{error}");
        }
        assert!(read(KEY, b"\xff\xfes\0k\0").unwrap_err().contains("UTF-16"));
        assert!(read(KEY, b"sk\xff").unwrap_err().contains("UTF-8"));
        assert!(read(KEY, "x".repeat(MAX + 1)).unwrap_err().contains("64 KiB"));
    }

    #[test]
    fn a_key_in_pem_keeps_its_lines() {
        let indented = PEM.replace('\n', "\n    ");
        let in_one_line = format!("GITHUB_APP_KEY=\"{}\"", PEM.trim_end().replace('\n', "\\n"));
        for text in
            [PEM, &PEM.replace('\n', "\r\n"), PEM.trim_end(), &format!("\u{feff}\n{PEM}\n\n"), &indented, &in_one_line]
        {
            assert_eq!(read("github-app-key", text).as_deref(), Ok(PEM), "{text:?}");
        }
    }

    #[test]
    fn what_we_know_nothing_about_is_kept_as_it_is() {
        assert_eq!(read("x", " two words \n").as_deref(), Ok(" two words "));
        assert_eq!(read("x", "A_B=\"c\"\r\n").as_deref(), Ok("A_B=\"c\""));
        assert_eq!(read("x", PEM).as_deref(), Ok(PEM.trim_end()));
    }
}
