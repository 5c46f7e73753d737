//! A unified diff as git prints it → files, hunks and lines. Pure.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diff {
    pub files: Vec<FileDiff>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDiff {
    /// Path in the new tree; in the old tree for a deleted file.
    pub path: String,
    /// Path in the old tree where it differs (renamed or copied).
    pub old_path: Option<String>,
    pub status: FileStatus,
    /// File modes as git prints them (`100644`), octal digits.
    pub old_mode: Option<String>,
    pub new_mode: Option<String>,
    pub binary: bool,
    /// Size of the new blob in bytes; filled in by `git`, not found in the diff text.
    pub size: Option<u64>,
    pub hunks: Vec<Hunk>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileStatus {
    Added,
    Modified,
    Deleted,
    Renamed,
    Copied,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hunk {
    pub old_start: u32,
    pub old_lines: u32,
    pub new_start: u32,
    pub new_lines: u32,
    /// What git prints behind the second `@@`.
    pub section: String,
    pub lines: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub kind: LineKind,
    /// Line number in the old file, from 1 (context and removed lines).
    pub old: Option<u32>,
    /// Line number in the new file, from 1 (context and added lines).
    pub new: Option<u32>,
    /// Without the leading marker and without the newline; a carriage return stays.
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LineKind {
    Context,
    Added,
    Removed,
}
