//! Made-up changes, committed by git itself: odd names, odd contents, every kind of change.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use cicdctl::git::{Change, Mirror, Repository};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::check::{Dice, Tally, check};
use crate::oracle;

/// How many changes are made up, unless PROPTEST_CASES says another number.
const CASES: u32 = 300;

#[derive(Debug, Clone, PartialEq)]
enum Content {
    Text(Vec<Vec<u8>>, End),
    /// With a NUL.
    Binary(Vec<u8>),
    Empty,
    Symlink(Vec<u8>),
    Submodule(u8),
}

/// How lines end, and whether the last one does.
#[derive(Debug, Clone, Copy, PartialEq)]
struct End {
    crlf: bool,
    last: bool,
}

#[derive(Debug, Clone)]
enum What {
    Add,
    Delete,
    Keep,
    /// Lines are replaced: where, how many, by what.
    Edit(Vec<(usize, usize, Vec<Vec<u8>>)>),
    /// Moved to another name, with an edit.
    Rename(Vec<u8>, usize),
    Copy(Vec<u8>),
    Mode,
    Replace(Content),
    LineEnds,
}

type Tree = BTreeMap<Vec<u8>, (&'static str, Vec<u8>)>;

fn any_line() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => "[a-z ]{0,12}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>().prop_filter("no NUL, no newline", |byte| !matches!(byte, 0 | b'\n')), 0..8),
        1 => prop::sample::select(vec![
            "-- a/x", "++ b/x", "@@ -1 +1 @@", "diff --git a/x b/x", "\\ No newline at end of file", "", "\r", "same",
            "rename from x", "Binary files a/x and b/x differ", "\u{202e}txt", "index 1..2 100644",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ]
}

fn any_content() -> impl Strategy<Value = Content> {
    let end = (any::<bool>(), any::<bool>()).prop_map(|(crlf, last)| End { crlf, last });
    prop_oneof![
        8 => (prop::collection::vec(any_line(), 1..70), end).prop_map(|(lines, end)| Content::Text(lines, end)),
        1 => prop::collection::vec(any::<u8>(), 1..50).prop_map(|mut bytes| { bytes.push(0); Content::Binary(bytes) }),
        1 => Just(Content::Empty),
        1 => prop_oneof![Just("../../etc/passwd"), Just("x"), Just("/")]
            .prop_map(|target| Content::Symlink(target.as_bytes().to_vec())),
        1 => (1..200u8).prop_map(Content::Submodule),
    ]
}

/// Names as people have them, and as only those have them who try something.
fn any_name() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        4 => "[a-z]{1,6}(\\.rs|\\.py|)".prop_map(String::into_bytes),
        1 => prop::sample::select(vec![
            "with space", "tab\there", "new\nline", "quote\"d", "back\\slash", "-rf", "--upload-pack=x", ":colon", "ünï",
            "\u{202e}gpj.exe", " leading", "trailing ", "a", "b", "x b", "\u{7f}", "#", "[glob]*?",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>().prop_filter("a byte of a name", |byte| !matches!(byte, 0 | b'/')), 1..6),
    ];
    prop::collection::vec(part, 1..4).prop_map(|parts| parts.join(&b'/'))
}

fn any_what() -> impl Strategy<Value = What> {
    let edit = (any::<usize>(), 0..4usize, prop::collection::vec(any_line(), 0..4));
    prop_oneof![
        2 => Just(What::Add),
        1 => Just(What::Delete),
        1 => Just(What::Keep),
        6 => prop::collection::vec(edit, 1..5).prop_map(What::Edit),
        2 => (any_name(), any::<usize>()).prop_map(|(name, at)| What::Rename(name, at)),
        1 => any_name().prop_map(What::Copy),
        1 => Just(What::Mode),
        1 => any_content().prop_map(What::Replace),
        1 => Just(What::LineEnds),
    ]
}

fn blob(content: &Content) -> (&'static str, Vec<u8>) {
    match content {
        Content::Text(lines, end) => {
            let newline: &[u8] = if end.crlf { b"\r\n" } else { b"\n" };
            let mut bytes = lines.join(newline);
            if end.last {
                bytes.extend_from_slice(newline);
            }
            ("100644", bytes)
        }
        Content::Binary(bytes) => ("100644", bytes.clone()),
        Content::Empty => ("100644", Vec::new()),
        Content::Symlink(target) => ("120000", target.clone()),
        Content::Submodule(number) => ("160000", format!("{number:02x}").repeat(20).into_bytes()),
    }
}

/// Two trees. The number at the end of a name keeps names apart, also where bytes that are no UTF-8 are replaced.
fn trees(files: &[(Vec<u8>, Content, What)]) -> (Tree, Tree) {
    let (mut old, mut new) = (Tree::new(), Tree::new());
    for (number, (name, content, what)) in files.iter().enumerate() {
        let named = |name: &[u8], suffix: &str| [name, format!("~{number}{suffix}").as_bytes()].concat();
        let name_now = named(name, "");
        let before = blob(content);
        let edited = |edits: &[(usize, usize, Vec<Vec<u8>>)]| match content {
            Content::Text(lines, end) => {
                let mut lines = lines.clone();
                for (at, gone, come) in edits {
                    let at = at % (lines.len() + 1);
                    let to = (at + gone).min(lines.len());
                    lines.splice(at..to, come.iter().cloned());
                }
                blob(&Content::Text(lines, *end))
            }
            other => blob(other),
        };
        if !matches!(what, What::Add) {
            old.insert(name_now.clone(), before.clone());
        }
        match what {
            What::Delete => {}
            What::Add | What::Keep => drop(new.insert(name_now, before)),
            What::Edit(edits) => drop(new.insert(name_now, edited(edits))),
            What::Rename(to, at) => drop(new.insert(named(to, "r"), edited(&[(*at, 1, vec![b"moved".to_vec()])]))),
            What::Copy(to) => {
                new.insert(name_now, before.clone());
                new.insert(named(to, "c"), before);
            }
            What::Mode => {
                let mode = if before.0 == "100644" { "100755" } else { before.0 };
                new.insert(name_now, (mode, before.1));
            }
            What::Replace(content) => drop(new.insert(name_now, blob(content))),
            What::LineEnds => {
                let other = match content {
                    Content::Text(lines, end) => Content::Text(lines.clone(), End { crlf: !end.crlf, last: !end.last }),
                    other => other.clone(),
                };
                new.insert(name_now, blob(&other));
            }
        }
    }
    (old, new)
}

/// The git repository of the test, and what reads it.
struct Place {
    _dir: tempfile::TempDir,
    repository: PathBuf,
    mirror: Mirror,
}

impl Place {
    async fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let repository = dir.path().join("repository");
        oracle::output(oracle::git(dir.path()).args(["init", "-q", "--bare", "repository"]));
        let mirror =
            Mirror::open(&dir.path().join("cache"), Repository::open(&repository).await.unwrap()).await.unwrap();
        Place { repository, mirror, _dir: dir }
    }

    /// Commits both trees, has the change read and checks it.
    async fn tally(&self, old: &Tree, new: &Tree, seed: u64) -> Tally {
        let [base, head] = [("old", old), ("new", new)].map(|(branch, tree)| commit(&self.repository, branch, tree));
        let change = Change { base: base.clone(), head: head.clone(), rules: base.clone(), subject: "x".into() };
        let diff = self.mirror.diff(&change).await.unwrap();
        check(&diff, &oracle::files(&self.repository, &base, &head), &mut Dice(seed))
    }
}

fn commit(repository: &Path, branch: &str, tree: &Tree) -> String {
    let mut stream = Vec::new();
    write!(stream, "commit refs/heads/{branch}\ncommitter a <a@example.org> 1 +0000\ndata 1\nx\ndeleteall\n").unwrap();
    for (path, (mode, content)) in tree {
        let quoted: String = path.iter().map(|byte| format!("\\{byte:03o}")).collect();
        if *mode == "160000" {
            writeln!(stream, "M {mode} {} \"{quoted}\"", String::from_utf8_lossy(content)).unwrap();
        } else {
            write!(stream, "M {mode} inline \"{quoted}\"\ndata {}\n", content.len()).unwrap();
            stream.extend_from_slice(content);
            stream.push(b'\n');
        }
    }
    let mut git = oracle::git(repository);
    git.args(["-c", "core.protectNTFS=false", "fast-import", "--quiet", "--force"]).stdin(Stdio::piped());
    let mut git = git.spawn().unwrap();
    git.stdin.take().unwrap().write_all(&stream).unwrap();
    assert!(git.wait().unwrap().success());
    let head = oracle::output(oracle::git(repository).args(["rev-parse", &format!("refs/heads/{branch}")]));
    String::from_utf8(head).unwrap().trim().to_owned()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn what_is_commented_on_is_shown_by_git_in_made_up_changes_of_every_kind() {
    let began = Instant::now();
    let runtime = runtime();
    let place = runtime.block_on(Place::new());
    let total = std::sync::Mutex::new(Tally::default());
    let config = Config {
        cases: std::env::var("PROPTEST_CASES").map_or(CASES, |_| Config::default().cases),
        ..Config::default()
    };
    let files = prop::collection::vec((any_name(), any_content(), any_what()), 1..8);
    TestRunner::new(config)
        .run(&(files, any::<u64>()), |(files, seed)| {
            let (old, new) = trees(&files);
            *total.lock().unwrap() += runtime.block_on(place.tally(&old, &new, seed));
            Ok(())
        })
        .unwrap();
    let total = total.into_inner().unwrap();
    eprintln!("made-up changes: {total}; {:.0} s", began.elapsed().as_secs_f64());
    assert!(total.comments > total.changes);
}

#[test]
fn what_is_commented_on_is_shown_by_git_in_a_file_of_100_000_lines() {
    let began = Instant::now();
    let lines: Vec<Vec<u8>> = (0..100_000).map(|number| format!("line {number}").into_bytes()).collect();
    let mut changed = lines.clone();
    for at in (0..100_000).step_by(997).rev() {
        match at % 3 {
            0 => changed[at] = b"changed".to_vec(),
            1 => drop(changed.remove(at)),
            _ => changed.insert(at, b"new".to_vec()),
        }
    }
    let end = End { crlf: false, last: true };
    let tree = |lines: Vec<Vec<u8>>| Tree::from([(b"big.rs".to_vec(), blob(&Content::Text(lines, end)))]);
    let (empty, old, new) = (Tree::new(), tree(lines), tree(changed));
    let runtime = runtime();
    let total = runtime.block_on(async {
        let place = Place::new().await;
        let mut total = place.tally(&old, &new, 1).await;
        total += place.tally(&empty, &old, 2).await;
        total += place.tally(&old, &empty, 3).await;
        total
    });
    eprintln!("100,000 lines: {total}; {:.1} s", began.elapsed().as_secs_f64());
}
