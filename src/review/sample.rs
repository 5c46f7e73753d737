//! Diffs made by hand, for tests.

use crate::diff::{Diff, FileDiff, FileStatus, Hunk, Line, LineKind};

/// A modified file; each hunk is its first line (the same in the old and in the new file) and its lines, each with
/// its marker.
pub fn file(path: &str, hunks: &[(u32, &[&str])]) -> FileDiff {
    FileDiff {
        path: path.to_owned(),
        old_path: None,
        status: FileStatus::Modified,
        old_mode: Some("100644".to_owned()),
        new_mode: Some("100644".to_owned()),
        binary: false,
        size: None,
        unread: None,
        hunks: hunks.iter().map(|(start, lines)| hunk(*start, lines)).collect(),
    }
}

pub fn added(path: &str, lines: &[&str]) -> FileDiff {
    FileDiff { status: FileStatus::Added, old_mode: None, ..file(path, &[(1, lines)]) }
}

pub fn deleted(path: &str, lines: &[&str]) -> FileDiff {
    FileDiff { status: FileStatus::Deleted, new_mode: None, ..file(path, &[(1, lines)]) }
}

pub fn binary(path: &str) -> FileDiff {
    FileDiff { binary: true, ..file(path, &[]) }
}

pub fn renamed(from: &str, to: &str, hunks: &[(u32, &[&str])]) -> FileDiff {
    FileDiff { old_path: Some(from.to_owned()), status: FileStatus::Renamed, ..file(to, hunks) }
}

pub fn diff(files: Vec<FileDiff>) -> Diff {
    Diff { files }
}

fn hunk(start: u32, lines: &[&str]) -> Hunk {
    let (mut old, mut new) = (start, start);
    let next = |number: &mut u32| {
        *number += 1;
        Some(*number - 1)
    };
    let lines: Vec<Line> = lines
        .iter()
        .map(|line| {
            let (kind, old, new) = match line.as_bytes()[0] {
                b'+' => (LineKind::Added, None, next(&mut new)),
                b'-' => (LineKind::Removed, next(&mut old), None),
                b' ' => (LineKind::Context, next(&mut old), next(&mut new)),
                _ => panic!("`{line}` has no marker"),
            };
            Line { kind, old, new, text: line[1..].to_owned() }
        })
        .collect();
    Hunk {
        old_start: start,
        old_lines: old - start,
        new_start: start,
        new_lines: new - start,
        section: String::new(),
        lines,
    }
}
