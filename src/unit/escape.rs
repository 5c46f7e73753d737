//! Values as systemd reads them back. Pure.
//!
//! In a unit file (systemd.syntax(7), systemd.unit(5) "Specifiers") `%` begins a specifier, and inside quotes a
//! backslash begins a C escape; on a command line (systemd.service(5) "Command lines") `$` begins a variable, too. A
//! file of environment.d(5) knows no specifier, but expands `$`.
//!
//! A value in a template always stands between double quotes, unless it is a number or a fixed word.

use std::fmt::{self, Write};
use std::path::Path;

use askama::filters::Escaper;

/// Escapes for a quoted value in a unit file.
#[derive(Debug, Clone, Copy, Default)]
pub struct UnitFile;

impl Escaper for UnitFile {
    fn write_escaped_str<W: Write>(&self, mut dest: W, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '%' => dest.write_str("%%")?,
                '\\' => dest.write_str("\\\\")?,
                '"' => dest.write_str("\\\"")?,
                // A newline would begin a new setting. Values are refused before they come here; this is the net.
                c if c.is_control() => return Err(fmt::Error),
                c => dest.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// A quoted value that may begin with the home directory; it escapes itself (`|safe` in the templates).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BelowHome {
    specifier: &'static str,
    rest: String,
}

impl BelowHome {
    /// `%h` in place of `home`, which is the home directory as the user's manager knows it.
    pub fn new(home: Option<&Path>, text: &str) -> BelowHome {
        let below = home.and_then(|home| text.strip_prefix(home.to_str()?)).filter(|rest| rest.starts_with('/'));
        match below {
            Some(rest) => BelowHome { specifier: "%h", rest: rest.to_owned() },
            None => BelowHome { specifier: "", rest: text.to_owned() },
        }
    }
}

impl fmt::Display for BelowHome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.specifier)?;
        UnitFile.write_escaped_str(f, &self.rest)
    }
}

/// Escapes for a quoted value in a file of environment.d.
#[derive(Debug, Clone, Copy, Default)]
pub struct EnvironmentFile;

impl Escaper for EnvironmentFile {
    fn write_escaped_str<W: Write>(&self, mut dest: W, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '$' => dest.write_str("$$")?,
                '\\' => dest.write_str("\\\\")?,
                '"' => dest.write_str("\\\"")?,
                '`' => dest.write_str("\\`")?,
                c if c.is_control() => return Err(fmt::Error),
                c => dest.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// The value of `ExecStart=`, which escapes itself (`|safe` in the templates): every word quoted where need be, `$` and `%` literal, except that a word `%i` stays the specifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine(pub Vec<String>);

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, word) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_char(' ')?;
            }
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '=' | ':' | ',');
            if word == "%i" || (!word.is_empty() && word.chars().all(plain)) {
                f.write_str(word)?;
            } else {
                f.write_char('"')?;
                UnitFile.write_escaped_str(&mut *f, &word.replace('$', "$$"))?;
                f.write_char('"')?;
            }
        }
        Ok(())
    }
}

/// The program that the last `ExecStart=` of a unit's text starts, as systemd reads it; `None` where there is none.
pub fn program_of(text: &str) -> Option<String> {
    let line = text.lines().rev().find_map(|line| line.trim_start().strip_prefix("ExecStart="))?;
    // systemd.service(5), "Special executable prefixes"
    let line = line.trim().trim_start_matches(['@', '-', ':', '+', '!']);
    let (quoted, line) = match line.strip_prefix('"') {
        Some(line) => (true, line),
        None => (false, line),
    };
    let (mut word, mut rest) = (String::new(), line.chars());
    while let Some(c) = rest.next() {
        match c {
            '"' if quoted => break,
            c if !quoted && c.is_whitespace() => break,
            '\\' => word.push(rest.next()?),
            // `%%` and `$$`; other specifiers and variables no program of ours has in its path.
            '%' | '$' if rest.next() != Some(c) => return None,
            c => word.push(c),
        }
    }
    (!word.is_empty()).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(text: &str) -> String {
        let mut out = String::new();
        UnitFile.write_escaped_str(&mut out, text).unwrap();
        out
    }

    #[test]
    fn specifiers_quotes_and_backslashes_lose_their_meaning() {
        assert_eq!(unit(r#"50% of "C:\x" costs $5"#), r#"50%% of \"C:\\x\" costs $5"#);
    }

    #[test]
    fn a_newline_cannot_become_a_setting() {
        assert!(UnitFile.write_escaped_str(String::new(), "a\nExecStart=/bin/sh").is_err());
        assert!(EnvironmentFile.write_escaped_str(String::new(), "a\nLD_PRELOAD=x").is_err());
    }

    #[test]
    fn a_command_line_is_words_that_systemd_does_not_expand() {
        let line = CommandLine(["/opt/a b/$x%y", "run", "--session-id", "%i", ""].map(str::to_owned).into());
        assert_eq!(line.to_string(), r#""/opt/a b/$$x%%y" run --session-id %i """#);
    }

    #[test]
    fn the_program_of_a_unit_is_read_as_it_was_written() {
        for program in ["/usr/local/bin/cicdctl", r#"/opt/a b/$x%y/"q"\c"#] {
            let line = CommandLine([program, "run", "daemon"].map(str::to_owned).into());
            assert_eq!(program_of(&format!("[Service]\nType=notify\nExecStart={line}\n")).as_deref(), Some(program));
        }
        assert_eq!(program_of("ExecStart=-/bin/a\nExecStart=\nExecStart=@/bin/b c").as_deref(), Some("/bin/b"));
        assert_eq!(program_of("[Service]\nExecStart=\n"), None);
        assert_eq!(program_of("ExecStart=%h/x\n"), None);
    }

    #[test]
    fn environment_d_does_not_expand_dollars() {
        let mut out = String::new();
        EnvironmentFile.write_escaped_str(&mut out, r#"a$HOME "b" \ `id` 5%"#).unwrap();
        assert_eq!(out, r#"a$$HOME \"b\" \\ \`id\` 5%"#);
    }
}
