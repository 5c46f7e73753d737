use std::io::Read;

use clap::CommandFactory;

use crate::Place;

/// Every command, hidden ones included, as the words that call it.
fn commands(command: &clap::Command, words: &str, found: &mut Vec<String>) {
    found.push(words.to_owned());
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        commands(sub, format!("{words} {}", sub.get_name()).trim(), found);
    }
}

#[test]
fn every_command_has_help() {
    let place = Place::new();
    let mut found = Vec::new();
    commands(&cicdctl::cli::Cli::command(), "", &mut found);
    assert!(found.len() > 20, "{found:?}");
    for words in found {
        let usage = format!("Usage: {}", format!("cicdctl {words}").trim());
        place.run(&format!("{words} --help")).stdout_has(&[&usage, "-h, --help"]);
        place.run(&format!("{words} -h")).stdout_has(&[&usage]);
    }
}

#[test]
fn version() {
    Place::new().run("--version").stdout(concat!("cicdctl ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn unknown_commands_and_options_are_wrong_usage() {
    let place = Place::new();
    place.run("frob").status(2).stderr_has(&["error: unrecognized subcommand 'frob'\n", "Usage: cicdctl"]);
    place.run("status --frob").status(2).stderr_has(&["error: unexpected argument '--frob' found\n"]);
    place.run("review --pr 0").status(2).stderr_has(&["invalid value '0' for '--pr <NUMBER>'"]);
    place.run("review --pr 1 --staged").status(2).stderr_has(&["cannot be used with"]);
    place.run("").status(2).stderr_has(&["Usage: cicdctl [OPTIONS] <COMMAND>"]);
}

#[test]
fn a_reader_that_went_away_is_no_failure() {
    let place = Place::new().with_fault();
    for line in ["--help", "review --format json", "doctor", "review"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let (mut errors, stderr) = std::io::pipe().unwrap();
        let mut command = place.command(env!("CARGO_BIN_EXE_cicdctl"));
        let status = command.args(line.split(' ')).stdout(writer).stderr(stderr).status().unwrap();
        drop(command);
        let mut text = String::new();
        errors.read_to_string(&mut text).unwrap();
        assert_eq!(status.code(), Some(0), "{line}: {text}");
        assert!(!text.contains("panicked") && !text.contains("error:"), "{line}: {text}");
    }
}

#[test]
fn there_is_colour_only_where_it_is_asked_for() {
    let place = Place::new().with_fault();
    let run = |color: &str, variable: Option<&str>| {
        let mut command = place.command(env!("CARGO_BIN_EXE_cicdctl"));
        command.args(["review", "--color", color]).envs(variable.map(|value| ("NO_COLOR", value)));
        let output = command.output().unwrap();
        assert!(output.status.success());
        output.stdout.contains(&0x1b)
    };
    assert!(!run("auto", None), "a pipe is no terminal");
    assert!(!run("auto", Some("1")));
    assert!(!run("never", None));
    assert!(run("always", None));
    assert!(run("always", Some("1")), "the option is nearer than the variable");
}

/// The words of a line as a shell has them, up to a comment, a redirection or another command.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for letter in line.chars() {
        match (quote, letter) {
            (Some(mark), letter) if mark == letter => quote = None,
            (Some(_), letter) => word.get_or_insert_default().push(letter),
            (None, '\'' | '"') => {
                word.get_or_insert_default();
                quote = Some(letter);
            }
            (None, '#' | '<' | '>' | '|' | ';' | '&') if word.is_none() => return words,
            (None, ' ') => words.extend(word.take()),
            (None, letter) => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

fn parses(line: &str) {
    let words = words(line);
    let parsed = cicdctl::cli::Cli::command().try_get_matches_from(&words);
    assert!(parsed.is_ok(), "{line}\n{words:?}\n{}", parsed.unwrap_err());
}

#[test]
fn every_command_has_examples_and_they_are_right() {
    fn look(command: &clap::Command, name: &str, number: &mut usize) {
        let subs = || command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help");
        let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let lines = text.lines().filter_map(|line| {
            let line = line.strip_prefix("  ")?;
            line.strip_prefix("sudo ").unwrap_or(line).strip_prefix("cicdctl")
        });
        for line in lines.clone() {
            // What it does stands after a gap.
            parses(&format!("cicdctl{}", line.split("  ").next().unwrap()));
            *number += 1;
        }
        assert!(subs().next().is_some() || lines.count() > 0, "`{name}` has no example");
        for sub in subs() {
            look(sub, &format!("{name} {}", sub.get_name()), number);
        }
    }
    let mut number = 0;
    look(&cicdctl::cli::Cli::command(), "cicdctl", &mut number);
    assert!(number > 60, "{number}");
}

#[test]
fn the_lines_of_the_readme_are_right() {
    let mut number = 0;
    for (at, block) in include_str!("../../README.md").split("```").enumerate() {
        if at % 2 == 0 || !(block.starts_with("sh\n") || block.starts_with("console\n")) {
            continue;
        }
        for line in block.lines().map(|line| line.strip_prefix("$ ").unwrap_or(line)) {
            let line = line.strip_prefix("sudo ").unwrap_or(line);
            if line.starts_with("cicdctl ") && !line.contains('…') {
                parses(line);
                number += 1;
            }
        }
    }
    assert!(number > 30, "{number}");
}

#[test]
fn a_shell_is_told_the_names_that_there_are() {
    let place = Place::new().with_fault();
    for name in ["myapp", "web-1"] {
        place.write(&format!("home/.config/cicd-toolkit/agents/{name}.toml"), "repo = \"acme/shop\"\n");
    }
    // Of a line whose last word is to be completed.
    let told = |line: &[&str]| {
        let mut command = place.command(env!("CARGO_BIN_EXE_cicdctl"));
        command.env("CICDCTL_COMPLETE", "fish").args(["--", "cicdctl"]).args(line);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(told(&["agent", "stop", ""]), ["myapp", "web-1", "runner"]);
    assert_eq!(told(&["agent", "show", "w"]), ["web-1"]);
    assert_eq!(told(&["review", "--agent", "my"]), ["myapp"]);
    assert_eq!(told(&["logs", "--le"]), ["--level"]);
    assert_eq!(told(&["config", "get", "job.mem"]), ["job.memory"]);
    assert_eq!(
        told(&["secret", "remove", ""]),
        ["--dry-run", "--json", "--quiet", "--verbose", "--color", "--config", "--user"]
    );
    assert!(told(&["skill", "show", ""]).contains(&"security-scanner".to_owned()));
    assert!(told(&[""]).contains(&"status".to_owned()) && !told(&[""]).contains(&"run".to_owned()));
    // Nothing is written for it.
    assert!(!place.path("home/.local").exists());
}

#[test]
fn each_output_has_a_schema_that_is_one() {
    let place = Place::new();
    let mut ran = place.run("schema");
    let names = ran.take_stdout();
    assert!(names.lines().count() > 20, "{names}");
    for name in names.lines() {
        let mut command = place.command(env!("CARGO_BIN_EXE_cicdctl"));
        let mut ran = crate::Ran::new(name, &command.args(["schema", name]).output().unwrap());
        let schema: serde_json::Value = serde_json::from_str(&ran.take_stdout()).unwrap();
        assert_eq!(schema["$id"], format!("urn:cicdctl:{}:1", name.replace(' ', "-")));
        assert!(jsonschema::draft202012::meta::is_valid(&schema), "{name}");
        jsonschema::validator_for(&schema).unwrap();
    }
    place
        .run("schema stats")
        .status(2)
        .stderr_has(&["`stats` prints no JSON that has a schema", "`cicdctl schema` lists"]);
}
