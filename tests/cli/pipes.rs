//! What a pipe gets: the review and not a byte besides, whatever is said on the way.

use std::process::{Command, Output};

use serde_json::Value;

use crate::Place;

const FORMATS: [&str; 6] = ["text", "json", "sarif", "rdjson", "markdown", "html"];

/// A working copy with more findings than a pipe holds.
fn many_faults() -> Place {
    let place = Place::new().with_fault();
    let faults: String = (0..50).map(|n| format!("r{n} = requests.get(url{n}, verify=False)\n")).collect();
    for number in 0..40 {
        place.write(&format!("repo/many{number}.py"), &faults);
    }
    place
}

fn shell(place: &Place, script: &str, variables: &[(&str, &str)]) -> Output {
    let mut shell: Command = place.command("/bin/bash");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_cicdctl")]).envs(variables.iter().copied());
    shell.output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn each_format_is_whole_and_alone_on_stdout() {
    let place = many_faults();
    let schema = serde_json::from_slice(&shell(&place, "\"$0\" review --schema", &[]).stdout).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    for format in FORMATS {
        let with_progress =
            shell(&place, &format!("\"$0\" review --format {format} | cat; exit ${{PIPESTATUS[0]}}"), &[]);
        let quiet = shell(&place, &format!("\"$0\" -q review --format {format}"), &[]);
        assert_eq!((with_progress.status.code(), quiet.status.code()), (Some(0), Some(0)), "{format}");
        assert!(text(&with_progress.stderr).contains("\nfetch   "), "progress is told elsewhere");
        assert_eq!(text(&quiet.stderr), "");
        let out = text(&with_progress.stdout);
        assert!(
            out.ends_with('\n') && !out.ends_with("\n\n\n") && !out.contains(['\u{1b}', '\r', '\0']),
            "{format}: {out:.300}"
        );
        let (shape, quiet_shape) = (out.lines().count(), text(&quiet.stdout).lines().count());
        assert_eq!(shape, quiet_shape, "{format}: progress makes a difference");
        assert!(out.len() > 70_000 || format != "json", "no more than a pipe holds: {}", out.len());
        if matches!(format, "json" | "sarif" | "rdjson") {
            let value: Value = serde_json::from_str(out).unwrap_or_else(|error| panic!("{format}: {error}"));
            // What SARIF must be is checked beside what writes it (`report::sarif`).
            let faults: Vec<String> = schema.iter_errors(&value).map(|error| error.to_string()).collect();
            assert_eq!(faults.is_empty(), format == "json", "{format}: {faults:?}");
        }
    }
}

#[test]
fn a_failed_review_is_whole_in_each_format_too() {
    let place = Place::new().with_fault();
    for format in FORMATS {
        let failed = shell(&place, &format!("\"$0\" review nothing..HEAD --format {format}"), &[]);
        assert_eq!(failed.status.code(), Some(4), "{format}");
        let out = text(&failed.stdout);
        assert!(
            out.contains("there is no revision `nothing`") || out.contains("there is no revision"),
            "{format}: {out}"
        );
        if matches!(format, "json" | "sarif" | "rdjson") {
            serde_json::from_str::<Value>(out).unwrap_or_else(|error| panic!("{format}: {error}"));
        }
    }
}

#[test]
fn a_pipe_that_is_closed_early_is_no_error() {
    let place = many_faults();
    for format in FORMATS {
        let script = format!("\"$0\" -q review --format {format} | head -1; echo \"status ${{PIPESTATUS[0]}}\"");
        let cut = shell(&place, &script, &[]);
        assert_eq!(text(&cut.stderr), "", "{format}");
        assert!(text(&cut.stdout).ends_with("status 0\n"), "{format}: {}", text(&cut.stdout));
        let closed = shell(&place, &format!("\"$0\" -q review --format {format} >&-"), &[]);
        assert!(!text(&closed.stderr).contains("panicked"), "{format}");
    }
    let full = shell(&place, "\"$0\" -q review --format json >/dev/full", &[]);
    assert_eq!(full.status.code(), Some(1), "a full disk is one");
    assert!(text(&full.stderr).contains("No space left on device"), "{}", text(&full.stderr));
}

#[test]
fn colour_is_for_terminals_and_only_where_it_is_wanted() {
    if !std::path::Path::new("/usr/bin/script").exists() {
        eprintln!("skipped: no script(1)");
        return;
    }
    let place = Place::new().with_fault();
    let on_terminal = |arguments: &str, variables: &[(&str, &str)]| {
        let script = format!("script -qec \"'$0' {arguments}\" /dev/null </dev/null");
        let output = shell(&place, &script, variables);
        text(&output.stdout).contains('\u{1b}')
    };
    assert!(on_terminal("-q review", &[]), "a terminal gets colour");
    assert!(!on_terminal("-q review", &[("NO_COLOR", "1")]));
    assert!(!on_terminal("-q review --color never", &[]));
    for format in ["json", "sarif", "rdjson", "markdown", "html"] {
        assert!(!on_terminal(&format!("-q review --format {format}"), &[]), "{format}");
    }
    let piped = |line: &str, variables: &[(&str, &str)]| {
        text(&shell(&place, &format!("\"$0\" {line} 2>&1"), variables).stdout).contains('\u{1b}')
    };
    assert!(
        !piped("review", &[]) && !piped("review", &[("NO_COLOR", "")]) && !piped("review", &[("CLICOLOR_FORCE", "0")])
    );
    assert!(piped("review --color always", &[]));
    for format in ["json", "sarif", "rdjson", "markdown", "html"] {
        assert!(!piped(&format!("-q review --format {format} --color always"), &[]), "{format}");
    }
}
