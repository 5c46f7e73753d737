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
