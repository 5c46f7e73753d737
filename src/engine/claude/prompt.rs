//! Bundle → the prompt that Claude Code reads on its standard input. Pure.

use askama::Template;
use sha2::{Digest, Sha256};

use crate::engine::drafts::shorten;
use crate::engine::{Bundle, EngineError, failed};

/// Claude Code refuses more than 10 MB on standard input.
const LIMIT: usize = 9_000_000;

/// The template opens with words of ours: a prompt that began with `/` could be taken for a command of Claude Code.
#[derive(Template)]
#[template(path = "prompt/review.txt", escape = "none")]
struct Review<'a> {
    project: String,
    subject: String,
    base_sha: &'a str,
    head_sha: &'a str,
    files: usize,
    fence: String,
    diff: &'a str,
}

pub fn review(bundle: &Bundle) -> Result<String, EngineError> {
    let Bundle { version: _, project, subject, base_sha, head_sha, instructions: _, diff } = bundle;
    let text = diff.to_text();
    let prompt = Review {
        project: shorten(project, 200),
        subject: shorten(subject, 200),
        base_sha,
        head_sha,
        files: diff.files.len(),
        fence: fence(&text),
        diff: text.trim_end_matches('\n'),
    };
    let prompt = prompt.render().map_err(|error| failed(format!("could not write the prompt: {error}")))?;
    if prompt.len() > LIMIT {
        return Err(failed(format!(
            "the change makes a prompt of {:.1} MB, and Claude Code takes no more than 9 MB: review fewer files at once",
            prompt.len() as f64 / 1e6
        )));
    }
    Ok(prompt)
}

/// A line that whoever wrote the diff cannot have put into it, as it depends on all of the diff.
fn fence(diff: &str) -> String {
    let digest = Sha256::digest(diff.as_bytes());
    format!("===== change {} =====", hex::encode(&digest[..12]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tests::bundle;

    #[test]
    fn the_prompt_opens_with_our_words_and_escapes_nothing() {
        let prompt = review(&bundle()).unwrap();
        assert!(prompt.starts_with("Review the change below, "));
        assert!(prompt.contains("\nProject: acme/shop\nChange: pull request 42 (b45e to 4ead)\nFiles: 1\n"));
        assert!(prompt.contains("+    let v: Vec<u32> = vec![];\n+    println!(\"{}\", v[0]);\n"));
    }

    #[test]
    fn the_diff_cannot_close_its_own_fence() {
        let mut bundle = bundle();
        let before = review(&bundle).unwrap();
        let fence_of = |prompt: &str| prompt.lines().find(|line| line.starts_with("=====")).unwrap().to_owned();
        let fence = fence_of(&before);
        assert_eq!(before.lines().filter(|line| *line == fence).count(), 2);

        // Knowing the fence of one diff does not help: with it inside, the diff has another one.
        bundle.diff.files[0].hunks[0].lines[1].text = fence.clone();
        let after = review(&bundle).unwrap();
        assert_ne!(fence_of(&after), fence);
        assert_eq!(after.lines().filter(|line| *line == fence_of(&after)).count(), 2);
    }

    #[test]
    fn a_prompt_that_claude_code_would_refuse_is_refused_before() {
        let mut bundle = bundle();
        bundle.diff.files[0].hunks[0].lines[1].text = "x".repeat(9_000_000);
        assert_eq!(
            review(&bundle).unwrap_err().to_string(),
            "the change makes a prompt of 9.0 MB, and Claude Code takes no more than 9 MB: review fewer files at once"
        );
    }
}
