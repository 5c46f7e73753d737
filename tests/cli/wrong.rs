//! Wrong configurations, and what their owners read: `tests/fixtures/wrong/NAME` is the file, its first line says which
//! one (`# config.toml`), and `messages.txt` has what `cicdctl config check` says of each. Where a message was changed on
//! purpose, `BLESS=1 cargo test --test cli wrong` writes that file anew, for somebody to read.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::Place;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/wrong");
const CONFIG_DIR: &str = "home/.config/cicd-toolkit";

/// All that is below a directory: what it holds, and when and as what it was written.
fn everything(dir: &Path) -> BTreeMap<String, (Vec<u8>, u64, i64)> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let (path, meta) = (entry.path(), entry.metadata().unwrap());
        if meta.is_dir() {
            all.extend(everything(&path));
        }
        let text = if meta.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
        all.insert(path.to_string_lossy().into_owned(), (text, meta.ino(), meta.mtime_nsec()));
    }
    all
}

#[test]
fn each_wrong_configuration_is_told_of_and_nothing_is_changed() {
    let mut files: Vec<_> = std::fs::read_dir(FIXTURES).unwrap().flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_none());
    files.sort();
    assert!(files.len() >= 30, "{}", files.len());
    let mut messages = String::new();
    for file in files {
        let wrong = std::fs::read(&file).unwrap();
        let at = wrong.iter().position(|byte| *byte == b'\n').unwrap();
        let kind = String::from_utf8(wrong[..at].to_vec()).unwrap();
        let kind = kind.strip_prefix("# ").unwrap();
        let place = Place::new();
        place.write(&format!("{CONFIG_DIR}/config.toml"), "[job]\ntasks = 99\n");
        place.write(&format!("{CONFIG_DIR}/agents/web.toml"), "repo = \"acme/web\"\n");
        let name = if kind.starts_with('.') { format!("repo/{kind}") } else { format!("{CONFIG_DIR}/{kind}") };
        place.write(&name, "");
        std::fs::write(place.path(&name), &wrong[at + 1..]).unwrap();
        let before = everything(&place.path("home"));

        let line = match kind {
            ".cicd-toolkit.toml" => "config check .cicd-toolkit.toml".to_owned(),
            "config.yaml" => format!("config check --config {}", place.text(&name)),
            _ => "config check".to_owned(),
        };
        let mut ran = place.run(&line);
        let said = format!("{}{}", ran.take_stdout(), ran.take_stderr()).replace(&place.text("home"), "~");
        ran.status(1);
        write!(messages, "=== {}\n{said}", file.file_name().unwrap().to_string_lossy()).unwrap();

        // An agent's mistake is no other's.
        if matches!(kind, "config.toml" | "config.yaml") {
            let option = if kind == "config.yaml" { format!(" --config {}", place.text(&name)) } else { String::new() };
            for line in ["init --yes", "apply --yes", "agent add shop --repo acme/shop --yes", "status"] {
                let mut ran = place.run(&format!("{line}{option}"));
                assert_ne!(ran.status, 0, "{line} {kind}");
                ran.status = 0;
                ran.take_stdout();
                ran.take_stderr();
            }
        }
        assert_eq!(everything(&place.path("home")), before, "{}: something was changed", file.display());
    }
    let golden = format!("{FIXTURES}/messages.txt");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(golden, messages).unwrap();
    } else {
        assert_eq!(messages, std::fs::read_to_string(golden).unwrap());
    }
}
