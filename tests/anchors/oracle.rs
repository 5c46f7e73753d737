//! What git shows of a change, read in the plainest way: names from `--raw -z`, where nothing is quoted, and lines by
//! counting those of each hunk. Shares no code with what is tested.

use std::path::Path;
use std::process::Command;

/// A file of a change.
#[derive(Debug, Clone)]
pub struct Shown {
    /// In the new tree, or in the old one of a deleted file; bytes that are no UTF-8 are replaced.
    pub path: String,
    pub old_path: Option<String>,
    /// `A`, `M`, `D`, `R`, `T`.
    pub status: char,
    /// First and last line in the new file of each hunk that shows any.
    pub hunks: Vec<(u32, u32)>,
    /// The hunks as text, as GitHub's `patch` has them; `None` where there are none.
    pub patch: Option<String>,
}

impl Shown {
    /// Whether all these lines are shown by one hunk: what a forge takes a comment on.
    pub fn shows(&self, start: u32, end: u32) -> bool {
        start <= end && self.hunks.iter().any(|(first, last)| *first <= start && end <= *last)
    }
}

pub fn git(repository: &Path) -> Command {
    let mut git = Command::new("git");
    git.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", "/nonexistent");
    git.env("GIT_CONFIG_NOSYSTEM", "1").arg("-C").arg(repository);
    git
}

pub fn output(git: &mut Command) -> Vec<u8> {
    let output = git.output().unwrap();
    assert!(output.status.success(), "{git:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The files of a change, in git's order.
pub fn files(repository: &Path, base: &str, head: &str) -> Vec<Shown> {
    let raw = output(git(repository).args(["diff-tree", "-r", "-M", "--raw", "-z", base, head]));
    let text = output(git(repository).args(["diff-tree", "-r", "-M", "-p", "-U3", "--no-textconv", base, head]));
    let mut sections = sections(&text).into_iter();
    let mut files = Vec::new();
    let mut fields = raw.split(|byte| *byte == 0).map(|field| String::from_utf8_lossy(field).into_owned());
    while let Some(entry) = fields.next().filter(|entry| !entry.is_empty()) {
        let status = entry.rsplit(' ').next().unwrap().chars().next().unwrap();
        let first = fields.next().unwrap();
        let (old_path, path) =
            if matches!(status, 'R' | 'C') { (Some(first), fields.next().unwrap()) } else { (None, first) };
        let mut section = sections.next().expect("a section for each file");
        if status == 'T' {
            // Another type of file is printed as one that goes and one that comes.
            section = sections.next().expect("a second section");
        }
        let (hunks, patch) = section;
        files.push(Shown { path, old_path, status, hunks, patch });
    }
    assert!(sections.next().is_none(), "a file for each section");
    files
}

type Section = (Vec<(u32, u32)>, Option<String>);

fn sections(text: &[u8]) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let (mut old_left, mut new_left) = (0, 0);
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        if old_left == 0 && new_left == 0 {
            if line.starts_with(b"diff --git ") {
                sections.push((Vec::new(), None));
                continue;
            }
            let (hunks, patch) = sections.last_mut().expect("a diff begins with a file");
            if line.starts_with(b"@@ -") {
                let header = String::from_utf8_lossy(line);
                let mut words = header.split(' ').skip(1);
                let mut range = || {
                    let word = &words.next().unwrap()[1..];
                    let (start, count) = word.split_once(',').unwrap_or((word, "1"));
                    (start.parse::<u32>().unwrap(), count.parse::<u32>().unwrap())
                };
                old_left = range().1;
                let (start, count) = range();
                new_left = count;
                if count > 0 {
                    hunks.push((start, start + count - 1));
                }
                patch.get_or_insert_default().push_str(&header);
            } else if let Some(patch) = patch {
                // `\ No newline at end of file`
                patch.push_str(&String::from_utf8_lossy(line));
            }
            continue;
        }
        match line[0] {
            b'+' => new_left -= 1,
            b'-' => old_left -= 1,
            b' ' => (old_left, new_left) = (old_left - 1, new_left - 1),
            b'\\' => {}
            other => panic!("a line of a hunk begins with {other}"),
        }
        sections.last_mut().unwrap().1.as_mut().unwrap().push_str(&String::from_utf8_lossy(line));
    }
    sections
}
