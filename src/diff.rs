//! A unified diff as git prints it → files, hunks and lines, and back to text. Pure.
//!
//! Written for `git diff --no-color --no-ext-diff --no-textconv --full-index --find-renames` with
//! `core.quotePath=true` and the prefixes `a/` and `b/`. The text is hostile: inside a hunk only the counts of its
//! header decide what a line is, so a removed `-- x` is never taken for a file header. What the parser does not know
//! is an error and never skipped, as a file lost here would count as reviewed.
//!
//! Not kept: blob names, similarity, and whether a file ends in a newline.

use std::fmt::Write;
use std::io::{self, BufRead};

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
    /// Set where the file is too large to be read: how large, in bytes. Then `hunks` holds its first lines at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unread: Option<u64>,
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

/// Why a text is no diff that we can read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the diff: {reason}")]
pub struct ParseError {
    /// Line of the diff text, from 1.
    pub line: usize,
    pub reason: String,
}

/// How much of a diff is kept, in bytes of memory. A file that does not fit is [`FileDiff::unread`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    pub file: u64,
    pub total: u64,
}

impl Room {
    pub const UNLIMITED: Room = Room { file: u64::MAX, total: u64::MAX };
}

impl Diff {
    /// Reads what git printed. Content and paths that are not UTF-8 are read lossily.
    pub fn parse(text: &[u8]) -> Result<Diff, ParseError> {
        Diff::read(text, Room::UNLIMITED)
    }

    /// The same from a pipe, to its end, keeping no more than there is room for.
    pub fn read(input: impl BufRead, room: Room) -> Result<Diff, ParseError> {
        Parser::new(input, room).diff()
    }

    /// The diff as git would print it, without `index` lines.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for file in &self.files {
            file.write_text(&mut text);
        }
        text
    }
}

impl FileDiff {
    /// Number in the new file and text of each added line.
    pub fn added_lines(&self) -> impl Iterator<Item = (u32, &str)> {
        self.hunks
            .iter()
            .flat_map(|hunk| &hunk.lines)
            .filter(|line| line.kind == LineKind::Added)
            .filter_map(|line| Some((line.new?, line.text.as_str())))
    }

    /// Whether a forge takes a comment on this line of the new file: it stands in a hunk, added or as context.
    pub fn commentable(&self, line: u32) -> bool {
        self.new_line(line).is_some()
    }

    /// The line of the new file with this number, where a hunk shows it.
    pub fn new_line(&self, number: u32) -> Option<&Line> {
        let hunk =
            self.hunks.iter().find(|hunk| hunk.new_start <= number && number - hunk.new_start < hunk.new_lines)?;
        hunk.lines.iter().find(|line| line.new == Some(number))
    }

    /// This file's part of [`Diff::to_text`].
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        self.write_text(&mut text);
        text
    }

    fn write_text(&self, text: &mut String) {
        let old_path = self.old_path.as_deref().unwrap_or(&self.path);
        let (old, new) = (quoted("a/", old_path), quoted("b/", &self.path));
        put(text, format_args!("diff --git {old} {new}"));
        match (self.status, &self.old_mode, &self.new_mode) {
            (FileStatus::Added, _, mode) => {
                put(text, format_args!("new file mode {}", mode.as_deref().unwrap_or("100644")));
            }
            (FileStatus::Deleted, mode, _) => {
                put(text, format_args!("deleted file mode {}", mode.as_deref().unwrap_or("100644")));
            }
            (_, Some(old), Some(new)) if old != new => {
                put(text, format_args!("old mode {old}"));
                put(text, format_args!("new mode {new}"));
            }
            _ => {}
        }
        let moved = match self.status {
            FileStatus::Renamed => Some("rename"),
            FileStatus::Copied => Some("copy"),
            _ => None,
        };
        if let Some(verb) = moved {
            put(text, format_args!("{verb} from {}", quoted("", old_path)));
            put(text, format_args!("{verb} to {}", quoted("", &self.path)));
        }
        let old = if self.status == FileStatus::Added { "/dev/null" } else { &old };
        let new = if self.status == FileStatus::Deleted { "/dev/null" } else { &new };
        if self.binary {
            put(text, format_args!("Binary files {old} and {new} differ"));
        } else if !self.hunks.is_empty() {
            put(text, format_args!("--- {old}{}", tab_after(old)));
            put(text, format_args!("+++ {new}{}", tab_after(new)));
        }
        for hunk in &self.hunks {
            hunk.write_text(text);
        }
    }
}

impl Hunk {
    fn write_text(&self, text: &mut String) {
        let (old, new) = (range(self.old_start, self.old_lines), range(self.new_start, self.new_lines));
        let space = if self.section.is_empty() { "" } else { " " };
        put(text, format_args!("@@ -{old} +{new} @@{space}{}", self.section));
        for line in &self.lines {
            text.push(match line.kind {
                LineKind::Context => ' ',
                LineKind::Added => '+',
                LineKind::Removed => '-',
            });
            text.push_str(&line.text);
            text.push('\n');
        }
    }
}

fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a String takes what is written to it");
}

fn range(start: u32, lines: u32) -> String {
    if lines == 1 { start.to_string() } else { format!("{start},{lines}") }
}

/// git ends a name with a tab where it has a space, so that `patch` knows where it ends.
fn tab_after(path: &str) -> &'static str {
    if path.contains(' ') && !path.starts_with('"') { "\t" } else { "" }
}

/// A path as git writes it with `core.quotePath=false`: in quotes only where it could not be read back otherwise.
fn quoted(prefix: &str, path: &str) -> String {
    if !path.chars().any(|c| c == '"' || c == '\\' || c.is_ascii_control()) {
        return format!("{prefix}{path}");
    }
    let mut text = format!("\"{prefix}");
    for c in path.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            c if c.is_ascii_control() => {
                write!(text, "\\{:03o}", c as u32).expect("a String takes what is written to it");
            }
            c => text.push(c),
        }
    }
    text.push('"');
    text
}

/// What a line of a hunk takes in memory besides its text, in bytes.
const LINE_COST: u64 = 64;
/// How many lines are kept of a file that is not read.
const BEGINNING: usize = 10;

struct Parser<R> {
    input: R,
    room: Room,
    /// The line at hand, without its newline and without what there is no room for.
    line: Vec<u8>,
    /// Its whole length, in bytes.
    length: u64,
    /// It was looked at and not used yet.
    peeked: bool,
    /// Number of the line that was used last.
    number: usize,
}

/// What a file takes while it is read.
#[derive(Default)]
struct Tally {
    /// Bytes of diff text.
    text: u64,
    /// Bytes of memory.
    cost: u64,
    over: bool,
}

impl<R: BufRead> Parser<R> {
    fn new(input: R, room: Room) -> Parser<R> {
        Parser { input, room, line: Vec::new(), length: 0, peeked: false, number: 0 }
    }

    /// Whether there is another line, which then is at hand.
    fn peek(&mut self) -> Result<bool, ParseError> {
        if self.peeked {
            return Ok(true);
        }
        self.line.clear();
        self.length = 0;
        let longest = usize::try_from(self.room.file).unwrap_or(usize::MAX);
        loop {
            let chunk = match self.input.fill_buf() {
                Ok([]) => break,
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    let reason = format!("it could not be read further: {error}");
                    return Err(ParseError { line: self.number, reason });
                }
            };
            self.peeked = true;
            let end = chunk.iter().position(|&byte| byte == b'\n');
            let part = &chunk[..end.unwrap_or(chunk.len())];
            self.line.extend_from_slice(&part[..part.len().min(longest.saturating_sub(self.line.len()))]);
            self.length += part.len() as u64;
            let used = part.len() + usize::from(end.is_some());
            self.input.consume(used);
            if end.is_some() {
                break;
            }
        }
        Ok(self.peeked)
    }

    /// The line at hand is done with.
    fn used(&mut self) {
        self.peeked = false;
        self.number += 1;
    }

    fn error(&self, reason: impl Into<String>) -> ParseError {
        ParseError { line: self.number, reason: reason.into() }
    }

    fn diff(mut self) -> Result<Diff, ParseError> {
        let mut files = Vec::new();
        while self.peek()? {
            self.used();
            if let Some(names) = self.line.strip_prefix(b"diff --git ") {
                let names = names.to_vec();
                files.push(self.file(&names)?);
            } else if self.line.starts_with(b"diff --cc ") || self.line.starts_with(b"diff --combined ") {
                return Err(self.error("a combined diff of a merge cannot be read"));
            } else if !self.line.is_empty() {
                return Err(self.error(format!("expected `diff --git`, found `{}`", start_of(&self.line))));
            }
        }
        Ok(Diff { files })
    }

    /// One file, from behind `diff --git ` up to the next one.
    fn file(&mut self, names: &[u8]) -> Result<FileDiff, ParseError> {
        let began = self.number;
        let mut head = Header::default();
        let mut hunks = Vec::new();
        let mut tally = Tally::default();
        while self.peek()? {
            if self.line.starts_with(b"diff --") {
                break;
            }
            self.used();
            if self.line.starts_with(b"@@ ") {
                let hunk = self.hunk(&mut tally)?;
                if !tally.over || hunks.is_empty() {
                    hunks.push(hunk);
                }
            } else if self.line.is_empty() || self.line.starts_with(b"\\ ") {
                // `\ No newline at end of file` behind the last line of a hunk
            } else if self.line == b"GIT binary patch" {
                head.binary = true;
                while self.peek()? && !self.line.starts_with(b"diff --git ") {
                    self.used();
                }
            } else if !hunks.is_empty() {
                return Err(self.error(format!("expected a hunk or a file, found `{}`", start_of(&self.line))));
            } else {
                head.read(&self.line).map_err(|reason| self.error(reason))?;
            }
        }
        if tally.over {
            hunks = hunks.into_iter().next().map(beginning).into_iter().collect();
        } else {
            self.room.total -= tally.cost;
        }
        let (old, new) = match (head.old, head.new) {
            (Some(old), Some(new)) => (old, new),
            (old, new) => match same_names(names) {
                Some((old_name, new_name)) => (old.unwrap_or(old_name), new.unwrap_or(new_name)),
                None => {
                    let reason = format!("no telling which files `{}` names", start_of(names));
                    return Err(ParseError { line: began, reason });
                }
            },
        };
        let status = match head.status {
            Some(status) => status,
            None if old.is_empty() => FileStatus::Added,
            None if new.is_empty() => FileStatus::Deleted,
            None => FileStatus::Modified,
        };
        let (path, other) = if status == FileStatus::Deleted { (old, new) } else { (new, old) };
        if path.is_empty() {
            return Err(ParseError { line: began, reason: "a file without a path".into() });
        }
        let moved = matches!(status, FileStatus::Renamed | FileStatus::Copied);
        Ok(FileDiff {
            old_path: (moved && other != path).then_some(other),
            path,
            status,
            old_mode: head.old_mode,
            new_mode: head.new_mode,
            binary: head.binary,
            size: None,
            unread: tally.over.then_some(tally.text),
            hunks,
        })
    }

    /// A hunk whose header is at hand. Of a file that is over its room the lines are counted and not kept.
    fn hunk(&mut self, tally: &mut Tally) -> Result<Hunk, ParseError> {
        let mut hunk = hunk_header(&self.line).map_err(|reason| self.error(reason))?;
        let (mut old, mut new) = (hunk.old_start, hunk.new_start);
        let (mut old_left, mut new_left) = (hunk.old_lines, hunk.new_lines);
        tally.text += self.length + 1;
        tally.cost += LINE_COST + hunk.section.len() as u64;
        while old_left > 0 || new_left > 0 {
            if !self.peek()? {
                return Err(self.error("the diff ends inside a hunk"));
            }
            self.used();
            let (kind, text) = match self.line.split_first() {
                // diff.suppressBlankEmpty
                None => (LineKind::Context, &[][..]),
                Some((b' ', text)) => (LineKind::Context, text),
                Some((b'+', text)) => (LineKind::Added, text),
                Some((b'-', text)) => (LineKind::Removed, text),
                Some((b'\\', _)) => continue,
                Some(_) => {
                    return Err(self.error(format!("no line of a hunk: `{}`", start_of(&self.line))));
                }
            };
            let (on_old, on_new) = (kind != LineKind::Added, kind != LineKind::Removed);
            if (on_old && old_left == 0) || (on_new && new_left == 0) {
                return Err(self.error("the hunk has more lines than its header says"));
            }
            tally.text += self.length + 1;
            if !tally.over {
                let cut = self.line.len() as u64 != self.length;
                let text = if cut { String::new() } else { lossy(text) };
                tally.cost += LINE_COST + text.len() as u64;
                tally.over = cut || tally.cost > self.room.file.min(self.room.total);
                if !tally.over {
                    hunk.lines.push(Line { kind, old: on_old.then_some(old), new: on_new.then_some(new), text });
                }
            }
            // `hunk_header` has seen to it that the last number fits; the one behind it is not used
            if on_old {
                old = old.saturating_add(1);
                old_left -= 1;
            }
            if on_new {
                new = new.saturating_add(1);
                new_left -= 1;
            }
        }
        hunk.lines.shrink_to_fit();
        Ok(hunk)
    }
}

/// The first lines of a file that is not read: enough to tell that it is generated, say.
fn beginning(mut hunk: Hunk) -> Hunk {
    hunk.lines.truncate(BEGINNING);
    hunk.lines.shrink_to_fit();
    let count = |is_there: fn(&Line) -> bool| hunk.lines.iter().filter(|line| is_there(line)).count() as u32;
    (hunk.old_lines, hunk.new_lines) = (count(|line| line.old.is_some()), count(|line| line.new.is_some()));
    hunk
}

/// What stands between `diff --git` and the first hunk.
#[derive(Default)]
struct Header {
    /// Empty for `/dev/null`.
    old: Option<String>,
    new: Option<String>,
    status: Option<FileStatus>,
    old_mode: Option<String>,
    new_mode: Option<String>,
    binary: bool,
}

impl Header {
    fn read(&mut self, line: &[u8]) -> Result<(), String> {
        let of = |prefix: &str| line.strip_prefix(prefix.as_bytes());
        if let Some(mode) = of("old mode ") {
            self.old_mode = Some(file_mode(mode)?);
        } else if let Some(mode) = of("new mode ") {
            self.new_mode = Some(file_mode(mode)?);
        } else if let Some(mode) = of("new file mode ") {
            self.status = Some(FileStatus::Added);
            self.new_mode = Some(file_mode(mode)?);
        } else if let Some(mode) = of("deleted file mode ") {
            self.status = Some(FileStatus::Deleted);
            self.old_mode = Some(file_mode(mode)?);
        } else if let Some(path) = of("rename from ") {
            self.status = Some(FileStatus::Renamed);
            self.old = Some(whole_path(path)?);
        } else if let Some(path) = of("rename to ") {
            self.status = Some(FileStatus::Renamed);
            self.new = Some(whole_path(path)?);
        } else if let Some(path) = of("copy from ") {
            self.status = Some(FileStatus::Copied);
            self.old = Some(whole_path(path)?);
        } else if let Some(path) = of("copy to ") {
            self.status = Some(FileStatus::Copied);
            self.new = Some(whole_path(path)?);
        } else if let Some(blobs) = of("index ") {
            // a mode stands here where it is the same on both sides
            if let Some(space) = blobs.iter().position(|&byte| byte == b' ') {
                let mode = file_mode(&blobs[space + 1..])?;
                self.old_mode = Some(mode.clone());
                self.new_mode = Some(mode);
            }
        } else if let Some(path) = of("--- ") {
            self.old = Some(side(path, "a/")?.unwrap_or_default());
        } else if let Some(path) = of("+++ ") {
            self.new = Some(side(path, "b/")?.unwrap_or_default());
        } else if line.starts_with(b"Binary files ") && line.ends_with(b" differ") {
            self.binary = true;
        } else if of("similarity index ").is_none() && of("dissimilarity index ").is_none() {
            return Err(format!("unknown header `{}`", start_of(line)));
        }
        Ok(())
    }
}

/// The two names behind `diff --git `, where they can be told apart: quoted, or the same on both sides. Names that
/// differ stand in `rename`, `copy`, `---` and `+++` too.
fn same_names(names: &[u8]) -> Option<(String, String)> {
    let (old, new) = if names.starts_with(b"\"") {
        let (old, rest) = unquote(names).ok()?;
        let rest = rest.strip_prefix(b" ")?;
        let new = if rest.starts_with(b"\"") { unquote(rest).ok()?.0 } else { rest.to_vec() };
        (old, new)
    } else if names.ends_with(b"\"") {
        let at = names.windows(2).position(|pair| pair == b" \"")?;
        (names[..at].to_vec(), unquote(&names[at + 1..]).ok()?.0)
    } else {
        let at = names.len() / 2;
        if names.get(at) != Some(&b' ') {
            return None;
        }
        let (old, new) = (&names[..at], &names[at + 1..]);
        if old.strip_prefix(b"a/") != new.strip_prefix(b"b/") {
            return None;
        }
        (old.to_vec(), new.to_vec())
    };
    Some((lossy(old.strip_prefix(b"a/")?), lossy(new.strip_prefix(b"b/")?)))
}

/// The path of a `---` or `+++` line; `None` for `/dev/null`.
fn side(text: &[u8], prefix: &str) -> Result<Option<String>, String> {
    let text = text.strip_suffix(b"\t").unwrap_or(text);
    if text == b"/dev/null" {
        return Ok(None);
    }
    let path = whole_path(text)?;
    match path.strip_prefix(prefix) {
        Some(path) if !path.is_empty() => Ok(Some(path.into())),
        _ => Err(format!("`{}` has no prefix `{prefix}`", start_of(text))),
    }
}

/// A path that fills its line, quoted or not.
fn whole_path(text: &[u8]) -> Result<String, String> {
    if !text.starts_with(b"\"") {
        return Ok(lossy(text));
    }
    match unquote(text)? {
        (path, []) => Ok(lossy(&path)),
        _ => Err(format!("text behind the quoted path `{}`", start_of(text))),
    }
}

/// Undoes git's C-style quoting of a text that starts with `"`; returns the bytes and what follows the closing quote.
fn unquote(text: &[u8]) -> Result<(Vec<u8>, &[u8]), String> {
    let broken = || format!("broken quoting in `{}`", start_of(text));
    let mut bytes = Vec::new();
    let mut at = 1;
    loop {
        let byte = *text.get(at).ok_or_else(broken)?;
        at += 1;
        match byte {
            b'"' => return Ok((bytes, &text[at..])),
            b'\\' => {
                let escape = *text.get(at).ok_or_else(broken)?;
                at += 1;
                bytes.push(match escape {
                    b'a' => 0x07,
                    b'b' => 0x08,
                    b't' => b'\t',
                    b'n' => b'\n',
                    b'v' => 0x0b,
                    b'f' => 0x0c,
                    b'r' => b'\r',
                    b'"' | b'\\' => escape,
                    b'0'..=b'3' => {
                        let digits = text.get(at..at + 2).ok_or_else(broken)?;
                        if !digits.iter().all(|digit| (b'0'..=b'7').contains(digit)) {
                            return Err(broken());
                        }
                        at += 2;
                        ((escape - b'0') << 6) | ((digits[0] - b'0') << 3) | (digits[1] - b'0')
                    }
                    _ => return Err(broken()),
                });
            }
            byte => bytes.push(byte),
        }
    }
}

fn file_mode(text: &[u8]) -> Result<String, String> {
    if text.len() == 6 && text.iter().all(|byte| (b'0'..=b'7').contains(byte)) {
        Ok(lossy(text))
    } else {
        Err(format!("`{}` is no file mode", start_of(text)))
    }
}

/// `@@ -1,2 +3,4 @@ section`; a count that is absent is 1.
fn hunk_header(line: &[u8]) -> Result<Hunk, String> {
    let parts = || -> Option<Hunk> {
        let rest = line.strip_prefix(b"@@ -")?;
        let (old, rest) = split_at_byte(rest, b' ')?;
        let (new, rest) = split_at_byte(rest.strip_prefix(b"+")?, b' ')?;
        let section = rest.strip_prefix(b"@@")?;
        let (old_start, old_lines) = start_and_count(old)?;
        let (new_start, new_lines) = start_and_count(new)?;
        let section = lossy(section.strip_prefix(b" ").unwrap_or(section));
        Some(Hunk { old_start, old_lines, new_start, new_lines, section, lines: Vec::new() })
    };
    parts().ok_or_else(|| format!("`{}` is no hunk header", start_of(line)))
}

/// `None` also where a line would get the number 0 or one that does not fit.
fn start_and_count(text: &[u8]) -> Option<(u32, u32)> {
    let (start, count) = match split_at_byte(text, b',') {
        Some((start, count)) => (number(start)?, number(count)?),
        None => (number(text)?, 1),
    };
    if count > 0 {
        start.checked_sub(1)?.checked_add(count)?;
    }
    Some((start, count))
}

fn number(text: &[u8]) -> Option<u32> {
    // `u32::from_str` takes a sign
    if !text.first()?.is_ascii_digit() {
        return None;
    }
    str::from_utf8(text).ok()?.parse().ok()
}

fn split_at_byte(text: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|&b| b == byte)?;
    Some((&text[..at], &text[at + 1..]))
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The beginning of a line, fit for a message.
fn start_of(line: &[u8]) -> String {
    const SHOWN: usize = 60;
    let text = String::from_utf8_lossy(&line[..line.len().min(SHOWN * 4)]);
    let mut start: String = text.chars().take(SHOWN).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().count() > SHOWN {
        start.push('…');
    }
    start
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Diff {
        Diff::parse(text.as_bytes()).expect("the diff is well-formed")
    }

    fn refused(text: &str) -> String {
        Diff::parse(text.as_bytes()).expect_err("the diff is broken").to_string()
    }

    #[test]
    fn a_change_has_numbered_lines_on_both_sides() {
        let diff = parsed(
            "diff --git a/src/main.rs b/src/main.rs\n\
             index 1111111111111111111111111111111111111111..2222222222222222222222222222222222222222 100644\n\
             --- a/src/main.rs\n\
             +++ b/src/main.rs\n\
             @@ -10,3 +10,3 @@ fn main() {\n \
             one\n\
             -two\n\
             +zwei\n \
             three\n",
        );
        let [file] = diff.files.as_slice() else { panic!("one file") };
        assert_eq!((file.path.as_str(), file.status), ("src/main.rs", FileStatus::Modified));
        assert_eq!((file.old_path.as_deref(), file.old_mode.as_deref()), (None, Some("100644")));
        let hunk = &file.hunks[0];
        assert_eq!(hunk.section, "fn main() {");
        let lines: Vec<_> = hunk.lines.iter().map(|line| (line.old, line.new, line.text.as_str())).collect();
        assert_eq!(
            lines,
            [
                (Some(10), Some(10), "one"),
                (Some(11), None, "two"),
                (None, Some(11), "zwei"),
                (Some(12), Some(12), "three"),
            ]
        );
        assert_eq!(file.added_lines().collect::<Vec<_>>(), [(11, "zwei")]);
        let commentable: Vec<u32> = (0..20).filter(|&line| file.commentable(line)).collect();
        assert_eq!(commentable, [10, 11, 12]);
    }

    #[test]
    fn counts_decide_what_a_line_is() {
        let diff = parsed(
            "diff --git a/x b/x\n--- a/x\n+++ b/x\n\
             @@ -1,3 +1,3 @@\n\
             --- a/old\n\
             +++ b/new\n\
             -@@ -1 +1 @@\n\
             +diff --git a/y b/y\n \
             diff --git a/z b/z\n\
             @@ -9 +9 @@\n-a\n\\ No newline at end of file\n+b\n\\ No newline at end of file\n\
             diff --git a/w b/w\nold mode 100644\nnew mode 100755\n",
        );
        assert_eq!(diff.files.len(), 2);
        let added: Vec<_> = diff.files[0].added_lines().collect();
        assert_eq!(added, [(1, "++ b/new"), (2, "diff --git a/y b/y"), (9, "b")]);
        assert_eq!(diff.files[1].new_mode.as_deref(), Some("100755"));
        assert!(diff.files[1].hunks.is_empty());
    }

    #[test]
    fn carriage_returns_stay_and_other_encodings_are_lossy() {
        let text = b"diff --git a/x b/x\nnew file mode 100644\n--- /dev/null\n+++ b/x\n@@ -0,0 +1,2 @@\n+a\r\n+\xe4\n";
        let diff = Diff::parse(text).expect("well-formed");
        assert_eq!(diff.files[0].status, FileStatus::Added);
        assert_eq!(diff.files[0].added_lines().collect::<Vec<_>>(), [(1, "a\r"), (2, "\u{fffd}")]);
    }

    #[test]
    fn blank_context_may_have_lost_its_marker() {
        let diff = parsed("diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,2 +1,3 @@\n\n+a\n b\n");
        assert_eq!(diff.files[0].hunks[0].lines[0].kind, LineKind::Context);
    }

    #[test]
    fn names_are_read_quoted_spaced_and_moved() {
        for (head, old, new) in [
            ("diff --git a/a b c b/a b c\nold mode 100644\nnew mode 100755\n", None, "a b c"),
            (r#"diff --git "a/\303\244.txt" "b/\303\244.txt""#, None, "ä.txt"),
            (r#"diff --git "a/\"q\"\t\\" "b/\"q\"\t\\""#, None, "\"q\"\t\\"),
            (r#"diff --git "a/\377" "b/\377""#, None, "\u{fffd}"),
            ("diff --git a/x b/y b/z b/z\nrename from x b/y\nrename to z b/z\n", Some("x b/y"), "z b/z"),
            ("diff --git a/x \"b/\\303\\244\"\ncopy from x\ncopy to \"\\303\\244\"\n", Some("x"), "ä"),
            ("diff --git a/x b/x b/x b/x\nBinary files a/x b/x and b/x b/x differ\n", None, "x b/x"),
        ] {
            let diff = parsed(head);
            assert_eq!((diff.files[0].old_path.as_deref(), diff.files[0].path.as_str()), (old, new), "{head}");
        }
    }

    #[test]
    fn errors_name_the_line() {
        assert_eq!(refused("hello\n"), "line 1 of the diff: expected `diff --git`, found `hello`");
        assert_eq!(refused("\ndiff --cc x\n"), "line 2 of the diff: a combined diff of a merge cannot be read");
        let head = "diff --git a/x b/x\n--- a/x\n+++ b/x\n";
        assert_eq!(refused(&format!("{head}@@ -1 +1 @@\n-a\n")), "line 5 of the diff: the diff ends inside a hunk");
        assert_eq!(
            refused(&format!("{head}@@ -1 +1,0 @@\n+a\n")),
            "line 5 of the diff: the hunk has more lines than its header says"
        );
        assert_eq!(refused(&format!("{head}@@ -1 +0 @@\n")), "line 4 of the diff: `@@ -1 +0 @@` is no hunk header");
        assert_eq!(
            refused(&format!("{head}@@ -1 +4294967295,2 @@\n")),
            "line 4 of the diff: `@@ -1 +4294967295,2 @@` is no hunk header"
        );
        assert_eq!(refused("diff --git a/x b/x\n--- x\n"), "line 2 of the diff: `x` has no prefix `a/`");
        assert_eq!(refused("diff --git a/x b/y\n"), "line 1 of the diff: no telling which files `a/x b/y` names");
        assert_eq!(refused("diff --git a/x b/x\nwhat\n"), "line 2 of the diff: unknown header `what`");
    }

    #[test]
    fn what_is_too_large_is_counted_and_not_kept() {
        let head = "diff --git a/big b/big\n--- a/big\n+++ b/big\n";
        let many: String = (0..1000).map(|n| format!("+{n}\n")).collect();
        let text = format!(
            "{head}@@ -0,0 +1,1000 @@\n{many}@@ -5,0 +1006 @@\n+@@ -1 +1 @@\n\
             diff --git a/long b/long\n--- a/long\n+++ b/long\n@@ -0,0 +1 @@\n+{}\n\
             diff --git a/small b/small\n--- a/small\n+++ b/small\n@@ -0,0 +1 @@\n+small\n",
            "x".repeat(20_000)
        );
        let read = |file, total| Diff::read(text.as_bytes(), Room { file, total }).expect("well-formed");
        assert_eq!(read(u64::MAX, u64::MAX), parsed(&text));
        let diff = read(10_000, u64::MAX);
        let unread: Vec<Option<u64>> = diff.files.iter().map(|file| file.unread).collect();
        assert_eq!(unread, [Some(many.len() as u64 + 19 + 17 + 13), Some(14 + 20_002), None]);
        let kept: Vec<_> = diff.files[0].hunks.iter().map(|hunk| (hunk.new_lines, hunk.lines.len())).collect();
        assert_eq!(kept, [(10, 10)]);
        assert_eq!(diff.files[2].added_lines().collect::<Vec<_>>(), [(1, "small")]);
        // What is not kept takes no room from the others.
        let unread: Vec<bool> = read(u64::MAX, 30_000).files.iter().map(|file| file.unread.is_some()).collect();
        assert_eq!(unread, [true, false, false]);
    }

    #[test]
    fn a_combined_diff_behind_a_file_is_refused_too() {
        let text = "diff --git a/x b/x\nold mode 100644\nnew mode 100755\ndiff --cc y\n";
        assert!(refused(text).starts_with("line 4"));
    }

    /// Every kind of change, by git itself.
    #[test]
    fn reads_what_git_prints() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let root = dir.path();
        let git = |args: &[&str]| {
            let output = std::process::Command::new("git")
                .args(["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "core.quotePath=true"])
                .args(["-c", "commit.gpgSign=false"])
                .args(args)
                .current_dir(root)
                .env_clear()
                .env("PATH", std::env::var_os("PATH").unwrap_or_default())
                .env("HOME", root)
                .output()
                .expect("git runs");
            assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
            output.stdout
        };
        let write = |path: &str, content: &[u8]| {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().expect("has a parent")).expect("a directory");
            std::fs::write(path, content).expect("a file");
        };
        let many: String = (1..=40).map(|n| format!("line {n}\n")).collect();
        git(&["init", "-q", "-b", "main"]);
        write("changed", many.as_bytes());
        write("crlf", b"one\r\ntwo\r\n");
        write("gone", b"-- a/x\n++ b/x\n");
        write("moved from", many.as_bytes());
        write("mode.sh", b"true\n");
        write("picture", b"\0\x01");
        write("no newline", b"a");
        write("turns into link", b"text\n");
        git(&["add", "-A"]);
        git(&["update-index", "--add", "--cacheinfo", &format!("160000,{},sub", "1".repeat(40))]);
        git(&["commit", "-q", "-m", "old"]);

        write("changed", many.replace("line 3\n", "").replace("line 30\n", "line 30\nnew\n").as_bytes());
        write("crlf", b"one\r\nzwei\r\n");
        for path in ["gone", "moved from", "turns into link"] {
            std::fs::remove_file(root.join(path)).expect("removed");
        }
        write("dir/moved \"to\"", many.replace("line 9\n", "line nine\n").as_bytes());
        write("picture", b"\0\x02");
        write("new picture", b"\0");
        write("no newline", b"a\nb");
        write("empty", b"");
        write("ümläut\tand tab", "ä\n".as_bytes());
        write("latin1", b"\xe4\n");
        std::os::unix::fs::symlink("changed", root.join("turns into link")).expect("a link");
        git(&["add", "-A"]);
        git(&["update-index", "--chmod=+x", "mode.sh"]);
        git(&["update-index", "--add", "--cacheinfo", &format!("160000,{},sub", "2".repeat(40))]);
        let text = git(&[
            "diff",
            "--cached",
            "--no-color",
            "--no-ext-diff",
            "--no-textconv",
            "--full-index",
            "--find-renames",
        ]);

        let diff = Diff::parse(&text).expect("git's own output");
        let shown: Vec<String> = diff
            .files
            .iter()
            .map(|file| {
                let old = file.old_path.as_ref().map(|old| format!("{old} → ")).unwrap_or_default();
                let modes = [&file.old_mode, &file.new_mode].map(|mode| mode.as_deref().unwrap_or("-").to_owned());
                let added: Vec<_> = file.added_lines().map(|(number, text)| format!("{number}:{text}")).collect();
                let binary = if file.binary { " binary" } else { "" };
                format!("{:?} {old}{} {} {added:?}{binary}", file.status, file.path, modes.join(" "))
            })
            .collect();
        assert_eq!(
            shown,
            [
                r#"Modified changed 100644 100644 ["30:new"]"#,
                r#"Modified crlf 100644 100644 ["2:zwei\r"]"#,
                r#"Renamed moved from → dir/moved "to" 100644 100644 ["9:line nine"]"#,
                r#"Added empty - 100644 []"#,
                r#"Deleted gone 100644 - []"#,
                "Added latin1 - 100644 [\"1:\u{fffd}\"]",
                r#"Modified mode.sh 100644 100755 []"#,
                r#"Added new picture - 100644 [] binary"#,
                r#"Modified no newline 100644 100644 ["1:a", "2:b"]"#,
                r#"Modified picture 100644 100644 [] binary"#,
                r#"Modified sub 160000 160000 ["1:Subproject commit 2222222222222222222222222222222222222222"]"#,
                r#"Deleted turns into link 100644 - []"#,
                r#"Added turns into link - 120000 ["1:changed"]"#,
                "Added ümläut\tand tab - 100644 [\"1:ä\"]",
            ]
        );
        assert_eq!(diff.files[4].hunks[0].lines[0].text, "-- a/x");
        assert_eq!(without_index(&diff), parsed(&diff.to_text()));
    }

    /// The diff without what only an `index` line says.
    fn without_index(diff: &Diff) -> Diff {
        let mut diff = diff.clone();
        for file in &mut diff.files {
            if file.old_mode == file.new_mode {
                (file.old_mode, file.new_mode) = (None, None);
            }
        }
        diff
    }

    fn any_path() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-z]{1,8}(/[a-z. ]{1,8}){0,2}",
            "[ -~\u{1}-\u{1f}äß…\u{7f}]{1,12}",
            Just("x b/x".to_owned()),
            Just("b/x a/x".to_owned()),
        ]
        .prop_filter("/dev/null is no file", |path| path != "/dev/null")
    }

    fn any_text() -> impl Strategy<Value = String> {
        prop_oneof![
            "[ -~äß…\r\t]{0,20}",
            Just("-- a/x".to_owned()),
            Just("++ b/x".to_owned()),
            Just("@@ -1 +1 @@".to_owned()),
            Just("diff --git a/x b/x".to_owned()),
        ]
    }

    fn any_hunk() -> impl Strategy<Value = Hunk> {
        let lines = prop::collection::vec((0..3u8, any_text()), 1..8);
        (1..1000u32, 1..1000u32, "[a-z() {]{0,10}", lines).prop_map(|(old_start, new_start, section, lines)| {
            let mut hunk = Hunk { old_start, old_lines: 0, new_start, new_lines: 0, section, lines: Vec::new() };
            for (kind, text) in lines {
                let kind = [LineKind::Context, LineKind::Added, LineKind::Removed][usize::from(kind)];
                let (mut old, mut new) = (None, None);
                if kind != LineKind::Added {
                    old = Some(old_start + hunk.old_lines);
                    hunk.old_lines += 1;
                }
                if kind != LineKind::Removed {
                    new = Some(new_start + hunk.new_lines);
                    hunk.new_lines += 1;
                }
                hunk.lines.push(Line { kind, old, new, text });
            }
            hunk
        })
    }

    fn any_file() -> impl Strategy<Value = FileDiff> {
        let hunks = prop::collection::vec(any_hunk(), 0..4);
        (any_path(), any_path(), 0..5usize, any::<bool>(), any::<bool>(), hunks).prop_map(
            |(path, other, status, binary, modes, hunks)| {
                let status = [
                    FileStatus::Added,
                    FileStatus::Modified,
                    FileStatus::Deleted,
                    FileStatus::Renamed,
                    FileStatus::Copied,
                ][status];
                let moved = matches!(status, FileStatus::Renamed | FileStatus::Copied) && other != path;
                let mode = |mode: &str| Some(mode.to_owned());
                let (old_mode, new_mode) = match status {
                    FileStatus::Added => (None, mode("120000")),
                    FileStatus::Deleted => (mode("100755"), None),
                    _ if modes => (mode("100644"), mode("100755")),
                    _ => (None, None),
                };
                let hunks = if binary { Vec::new() } else { hunks };
                let old_path = moved.then_some(other);
                FileDiff { path, old_path, status, old_mode, new_mode, binary, size: None, unread: None, hunks }
            },
        )
    }

    proptest! {
        #[test]
        fn text_and_back(files in prop::collection::vec(any_file(), 0..5)) {
            let diff = Diff { files };
            prop_assert_eq!(parsed(&diff.to_text()), diff);
        }

        #[test]
        fn never_panics_on_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = Diff::parse(&bytes);
        }

        /// Bytes that get past the first line.
        #[test]
        fn never_panics_on_damaged_diffs(
            files in prop::collection::vec(any_file(), 1..3),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = Diff { files }.to_text().into_bytes();
            for (at, byte) in damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let _ = Diff::parse(&bytes);
            let _ = Diff::parse(&bytes[..cut.index(bytes.len())]);
        }

        /// Whatever is read can be written and read again.
        #[test]
        fn what_parses_survives(lines in prop::collection::vec(
            prop_oneof![
                Just("diff --git a/x b/x"), Just("--- a/x"), Just("+++ b/x"), Just("@@ -1 +1 @@"), Just("-a"),
                Just("+b"), Just(" c"), Just("new file mode 100644"), Just("rename from x"), Just("rename to y"),
                Just("+++ /dev/null"), Just("--- /dev/null"), Just("\\ No newline at end of file"), Just(""),
            ], 0..12)) {
            if let Ok(diff) = Diff::parse(lines.join("\n").as_bytes()) {
                let again = Diff::parse(diff.to_text().as_bytes());
                prop_assert_eq!(again.map(|diff| diff.files.len()), Ok(diff.files.len()));
            }
        }
    }
}
