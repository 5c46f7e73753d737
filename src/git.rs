//! The one place that starts git: with an emptied environment and configuration, and never in a way that runs what a
//! repository brings along (hooks, filters, file-system monitors, external diffs, other transports).
//!
//! A working copy is read through a mirror of our own: a bare repository with our configuration, whose objects are
//! the working copy's (by `objects/info/alternates`, so that nothing is copied). What we add — trees of staged or
//! unstaged changes, fetched pull requests — goes into the mirror, never into the user's repository.

pub mod mirrors;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::diff::{Diff, FileStatus, Room};
use crate::error::Fail;
use crate::files;

/// Longest any one git command may take (a fetch over a slow line is the longest).
const DEADLINE: Duration = Duration::from_secs(600);
/// Most that git may print, a diff aside, in bytes.
const MAX_OUTPUT: u64 = 128 << 20;
/// How much of a diff is kept in memory. Nobody reads a file that does not fit, and the rest is to be reviewed.
const ROOM: Room = Room { file: 32 << 20, total: 64 << 20 };
/// From this size on git does not compare a file, in bytes: for a file of empty lines it takes 41 times its size in
/// memory, and its place is in our own unit.
const MAX_FILE: u64 = 8 << 20;
/// Within how many of its first bytes git looks for the NUL that tells a binary file.
const BINARY_SHOWS: u64 = 8000;
/// Largest of git's own text files that is read from somebody's repository (`shallow`, `info/exclude`), in bytes.
const MAX_TEXT: u64 = 16 << 20;
/// Largest index, in bytes; a million files take some 100 MB.
const MAX_INDEX: u64 = 1 << 30;
/// Held while references change.
const LOCK: &str = "cicdctl.lock";

/// A change to review, with names that do not move: commits, or trees where nothing is committed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub base: String,
    pub head: String,
    /// What the project's own rules are read from, never anything of the head: the tip of the base branch of a pull
    /// request, otherwise the base.
    pub rules: String,
    /// For people: `HEAD~1..HEAD`, `staged changes`.
    pub subject: String,
}

/// Where a repository is fetched from.
#[derive(Clone, PartialEq, Eq)]
pub struct Source {
    pub url: String,
    /// A header with credentials, and the addresses that it is for (all that begin so).
    pub header: Option<(String, String)>,
    /// A proxy, perhaps with credentials, and the addresses that it is for.
    pub proxy: Option<(String, String)>,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({})", without_credentials(&self.url))
    }
}

/// Somebody's repository on disk, with or without a working tree.
#[derive(Debug, Clone)]
pub struct Repository {
    pub top: PathBuf,
    git_dir: PathBuf,
    common_dir: PathBuf,
    object_format: String,
    has_work_tree: bool,
}

impl Repository {
    /// The repository that `path` is in.
    pub async fn open(path: &Path) -> Result<Repository> {
        if !path.is_dir() {
            bail!(
                Fail::new(format!("`{}` is no directory that this process can see", path.display()))
                    .hint("the runner has its own view of the file system; `cicdctl doctor` tells what it can read")
            );
        }
        let ask = |args: &[&str]| {
            let mut git = Git::new();
            git.arg("-C").arg(path).arg("rev-parse").args(args);
            git.text()
        };
        let answer = ask(&[
            "--path-format=absolute",
            "--git-dir",
            "--git-common-dir",
            "--show-object-format",
            "--is-inside-work-tree",
        ])
        .await
        .map_err(|error| {
            if error.to_string().contains("not a git repository") {
                anyhow!(
                    Fail::new(format!("`{}` is not in a git repository", path.display()))
                        .hint("go to a working copy, or name one with `--path`")
                )
            } else {
                error.context(format!("could not read the repository at `{}`", path.display()))
            }
        })?;
        if answer.lines().count() != 4 {
            bail!(
                Fail::new(format!("the path of the repository at `{}` has a line break in it", path.display()))
                    .hint("rename the directory")
            );
        }
        let mut lines = answer.lines();
        let mut next = || lines.next().context("git answered less than was asked");
        let (git_dir, common_dir) = (PathBuf::from(next()?), PathBuf::from(next()?));
        let object_format = next()?.to_owned();
        let has_work_tree = next()? == "true";
        let top =
            if has_work_tree { PathBuf::from(ask(&["--show-toplevel"]).await?.trim_end()) } else { git_dir.clone() };
        Ok(Repository { top, git_dir, common_dir, object_format, has_work_tree })
    }

    /// The commit that a revision means, by its full name; `None` where there is no such revision.
    async fn commit(&self, revision: &str) -> Result<Option<String>> {
        let mut git = self.git();
        git.args(["rev-parse", "--verify", "--quiet", "--end-of-options"]).arg(format!("{revision}^{{commit}}"));
        Ok(git.output().await?.ok().map(|out| text(&out).trim().to_owned()).filter(|name| !name.is_empty()))
    }

    async fn known_commit(&self, revision: &str) -> Result<String> {
        if let Some(commit) = self.commit(revision).await? {
            return Ok(commit);
        }
        if self.commit("HEAD").await?.is_none() {
            bail!(
                Fail::new(format!("the repository at `{}` has no commits yet", self.top.display()))
                    .hint("`cicdctl review --staged` reviews what is staged for the first one")
            );
        }
        let hint = if revision.contains('~') || revision.contains('^') {
            "the history may be shorter than that, or cut (a shallow clone); `git log` shows it"
        } else {
            "`git branch --all` and `git tag` show what there is; `git fetch` brings what is missing"
        };
        bail!(Fail::new(format!("there is no revision `{revision}` in `{}`", self.top.display())).hint(hint))
    }

    /// Whether a commit has parents that a shallow clone does not have.
    async fn is_cut_before(&self, commit: &str) -> Result<bool> {
        let mut git = self.git();
        git.args(["cat-file", "commit", commit]);
        let text = git.text().await?;
        Ok(text.lines().take_while(|line| !line.is_empty()).any(|line| line.starts_with("parent ")))
    }

    fn git(&self) -> Git {
        let mut git = Git::new();
        git.arg("--git-dir").arg(&self.git_dir);
        git
    }

    /// The address of a remote; credentials in it are left out when it is shown.
    async fn remote_url(&self, name: &str) -> Result<String> {
        let mut git = self.git();
        git.args(["config", "--get", "--end-of-options"]).arg(format!("remote.{name}.url"));
        match git.output().await? {
            Ok(out) if !out.is_empty() => Ok(text(&out).trim().to_owned()),
            _ => bail!(
                Fail::new(format!("the repository at `{}` has no remote `{name}`", self.top.display()))
                    .hint("a pull request is fetched from the remote; add it with `git remote add origin URL`")
            ),
        }
    }
}

/// Our own bare repository beside a [`Repository`].
#[derive(Debug, Clone)]
pub struct Mirror {
    dir: PathBuf,
    of: Repository,
    /// Says that it is in use.
    _held: Arc<File>,
}

impl Mirror {
    /// Opens or makes the mirror of `repository` below `cache_dir`.
    pub async fn open(cache_dir: &Path, repository: Repository) -> Result<Mirror> {
        let key = repository.common_dir.as_os_str().as_encoded_bytes();
        let (dir, held) = bare(cache_dir, key, &repository.object_format).await?;
        let objects = repository.common_dir.join("objects");
        let line =
            objects.to_str().filter(|path| !path.contains('\n')).context("the repository's path is not plain text")?;
        let info = dir.join("objects/info");
        files::make_dir(&info, 0o700)?;
        let alternates = info.join("alternates");
        if files::read(&alternates)?.as_deref() != Some(&format!("{line}\n")) {
            files::write(&alternates, format!("{line}\n").as_bytes(), 0o600)?;
        }
        // A shallow history ends where the working copy's does.
        match files::read_untrusted(&repository.common_dir.join("shallow"), MAX_TEXT)? {
            Some(shallow) => files::write(&dir.join("shallow"), shallow.as_bytes(), 0o600)?,
            None => files::remove(&dir.join("shallow"))?,
        }
        Ok(Mirror { dir, of: repository, _held: Arc::new(held) })
    }

    /// Opens or makes the mirror of a repository that nobody here has a working copy of.
    pub async fn of_remote(cache_dir: &Path, source: &Source) -> Result<Mirror> {
        let (dir, held) = bare(cache_dir, without_credentials(&source.url).as_bytes(), "sha1").await?;
        Ok(Mirror { of: Repository::open(&dir).await?, dir, _held: Arc::new(held) })
    }

    fn git(&self) -> Git {
        let mut git = Git::new();
        git.arg("--git-dir").arg(&self.dir);
        git
    }

    /// `A..B`, `A...B` (since they parted), or one revision (that commit alone).
    pub async fn range(&self, range: &str) -> Result<Change> {
        if range.starts_with('-') || range.chars().any(char::is_control) {
            bail!(Fail::usage(format!("`{}` is no range of commits", range.escape_debug())));
        }
        let or_head = |name: &str| if name.is_empty() { "HEAD".to_owned() } else { name.to_owned() };
        let (base, head) = if let Some((base, head)) = range.split_once("...") {
            let head = self.of.known_commit(&or_head(head)).await?;
            let base = self.of.known_commit(&or_head(base)).await?;
            (self.merge_base(&base, &head).await?, head)
        } else if let Some((base, head)) = range.split_once("..") {
            (self.of.known_commit(&or_head(base)).await?, self.of.known_commit(&or_head(head)).await?)
        } else {
            let head = self.of.known_commit(range).await?;
            let parent = self.of.commit(&format!("{head}^")).await?;
            (
                match parent {
                    Some(parent) => parent,
                    None if self.of.is_cut_before(&head).await? => bail!(
                        Fail::new(format!("what `{range}` changed cannot be told: the history is cut before it"))
                            .hint("this is a shallow clone; `git fetch --deepen=1` brings the commit before it")
                    ),
                    None => self.empty_tree().await?,
                },
                head,
            )
        };
        Ok(Change { rules: base.clone(), base, head, subject: range.to_owned() })
    }

    /// All that came since HEAD parted from `base`.
    pub async fn since(&self, base: &str) -> Result<Change> {
        let mut change = self.range(&format!("{base}...HEAD")).await?;
        change.subject = format!("{base}...HEAD");
        Ok(change)
    }

    /// What is staged, against HEAD.
    pub async fn staged(&self, scratch: &Path) -> Result<Change> {
        let index = self.copy_of_index(scratch)?;
        let head = self.write_tree(&index).await?;
        let base = self.head_or_empty().await?;
        Ok(Change { rules: base.clone(), base, head, subject: "staged changes".into() })
    }

    /// The working tree with all that is not ignored, against HEAD.
    pub async fn working_tree(&self, scratch: &Path) -> Result<Change> {
        if !self.of.has_work_tree {
            bail!(
                Fail::new(format!("`{}` has no working tree", self.of.top.display()))
                    .hint("name the commits to review, as in `cicdctl review HEAD~1..HEAD`")
            );
        }
        let index = self.copy_of_index(scratch)?;
        self.pin_submodules(&index).await?;
        let excludes = format!("core.excludesFile={}", self.excludes(scratch).await?.display());
        let add = |but: Vec<u8>| {
            let mut git = self.in_work_tree(&index);
            // Of files above `core.bigFileThreshold` git writes a pack, which it looks for in a place where it is not if
            // it has written a smaller one meanwhile and `core.fsyncMethod` is `batch` (2.39, 2.47).
            git.args(["-c", "core.fsyncMethod=writeout-only"]);
            git.args(["-c", &excludes, "add", "--all", "--pathspec-from-file=-", "--pathspec-file-nul"]);
            git.stdin([b".\0".to_vec(), but].concat());
            git.text()
        };
        let added = match add(Vec::new()).await {
            Err(error) if error.to_string().contains("does not have a commit checked out") => {
                add(self.unborn_repositories(&index, &excludes).await?).await
            }
            added => added,
        };
        added.context("could not read the working tree")?;
        let head = self.write_tree(&index).await?;
        let base = self.head_or_empty().await?;
        Ok(Change { rules: base.clone(), base, head, subject: "working tree".into() })
    }

    /// A pull request of the remote `origin`, against its base branch. Where there is no such remote it comes from
    /// `forge`, whose credentials go to any address that they are for.
    pub async fn pull_request(&self, number: u64, base: Option<&str>, forge: Option<&Source>) -> Result<Change> {
        let source = match (self.of.remote_url("origin").await, forge) {
            (Ok(url), Some(forge)) => Source { url, ..forge.clone() },
            (Ok(url), None) => Source { url, header: None, proxy: None },
            (Err(_), Some(forge)) => forge.clone(),
            (Err(error), None) => return Err(error),
        };
        let shown = without_credentials(&source.url);
        let base = match base {
            Some(base) => base.to_owned(),
            None => self.default_branch(&source).await?,
        };
        let lock = self.lock().await?;
        let (head_ref, base_ref) = (format!("refs/cicd/pull/{number}"), format!("refs/cicd/base/{base}"));
        let once = |spec: &str| {
            let mut git = self.git();
            git.remote(&source).args([
                "fetch",
                "--quiet",
                "--no-tags",
                "--no-write-fetch-head",
                "--no-recurse-submodules",
            ]);
            git.args(["cicd", spec]).current_dir(&self.of.top);
            let lock = lock.try_clone();
            async move {
                git.command.stdin(lock?);
                git.text().await
            }
        };
        let fetch = async |spec: String| {
            for _ in 0..5 {
                match once(&spec).await {
                    // Another job of the same pull request moves the reference at this moment.
                    Err(error) if format!("{error:#}").contains("cannot lock ref") => {
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                    done => return done,
                }
            }
            once(&spec).await
        };
        fetch(format!("+refs/pull/{number}/head:{head_ref}")).await.map_err(|error| {
            if error.to_string().contains("couldn't find remote ref") {
                anyhow!(
                    Fail::new(format!("there is no pull request {number} at {shown}"))
                        .hint("the number is the one in the pull request's address")
                )
            } else {
                error.context(format!("could not fetch pull request {number} from {shown}"))
            }
        })?;
        fetch(format!("+refs/heads/{base}:{base_ref}"))
            .await
            .with_context(|| format!("could not fetch the base branch `{base}` from {shown}"))?;
        let head = self.own_commit(&head_ref).await?;
        let rules = self.own_commit(&base_ref).await?;
        let base = self.merge_base(&rules, &head).await?;
        Ok(Change { base, head, rules, subject: format!("pull request {number}") })
    }

    /// Held while git changes references here, by git itself, too (as its standard input): it may outlive us. Where
    /// nobody else holds it, the lock files that there are were left by a git that was killed, and go.
    async fn lock(&self) -> Result<File> {
        let (dir, path) = (self.dir.clone(), self.dir.join(LOCK));
        let lock = move || -> Result<File> {
            let file = File::options().create(true).truncate(false).read(true).write(true).open(&path)?;
            // A child that was just forked holds what we held until it has become another program, so look twice.
            for _ in 0..4 {
                if lock_files(&dir)?.is_empty() {
                    break;
                }
                if file.try_lock().is_ok() {
                    // Somebody may have been at work when we looked.
                    for path in lock_files(&dir)? {
                        tracing::warn!("removed `{}`, which a killed git has left", path.display());
                        files::remove(&path)?;
                    }
                    file.unlock()?;
                    break;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            file.lock_shared()?;
            Ok(file)
        };
        let locked = tokio::task::spawn_blocking(lock).await.context("the lock panicked")?;
        locked.with_context(|| format!("could not lock the mirror `{}`", self.dir.display()))
    }

    /// The change as a diff, with the sizes of the new files.
    pub async fn diff(&self, change: &Change) -> Result<Diff> {
        let mut git = self.git();
        git.args([
            "diff",
            "--no-color",
            "--no-ext-diff",
            "--no-textconv",
            "--full-index",
            "--find-renames",
            "--unified=3",
        ]);
        git.args(["--src-prefix=a/", "--dst-prefix=b/", "--submodule=short"])
            .args([&change.base, &change.head])
            .arg("--");
        let read = |out| Diff::read(BufReader::with_capacity(1 << 16, out), ROOM);
        let compared = || format!("could not compare {}", change.subject);
        let (diff, ended) = git.read(read).await.with_context(compared)?;
        ended.map_err(|stderr| anyhow!("git says: {stderr}")).with_context(compared)?;
        let mut diff = diff.context("git printed a diff that cannot be read")?;
        self.fill_in_sizes(change, &mut diff).await?;
        Ok(diff)
    }

    /// What the head's files take on the disk once they are checked out, in bytes, and how many they are.
    pub async fn checkout_size(&self, change: &Change) -> Result<(u64, u64)> {
        let mut git = self.git();
        git.args(["ls-tree", "-r", "-z", "--long", "--full-tree", &change.head]);
        // `mode type object size TAB path NUL`; a submodule has no size. Whole blocks, as a file takes them.
        let sum = |out| {
            let (mut bytes, mut files) = (0u64, 0u64);
            for entry in BufReader::with_capacity(1 << 16, out).split(0) {
                let entry = entry?;
                let words = entry.split(|byte| *byte == b'\t').next().unwrap_or_default();
                let size: Option<u64> = text(words).split_whitespace().nth(3).and_then(|size| size.parse().ok());
                bytes = bytes.saturating_add(size.unwrap_or(0).checked_next_multiple_of(4096).unwrap_or(u64::MAX));
                files += 1;
            }
            std::io::Result::Ok((bytes, files))
        };
        let (sum, ended) = git.read(sum).await.context("could not look how large the head is")?;
        ended.map_err(|stderr| anyhow!("git says: {stderr}")).context("could not look how large the head is")?;
        Ok(sum?)
    }

    /// Puts the head's files into `dir`: without hooks, filters, submodules or the repository's configuration.
    /// Symlinks become plain files that hold their target, so that none leads out.
    pub async fn checkout(&self, change: &Change, dir: &Path, scratch: &Path) -> Result<()> {
        let index = scratch.join("index.checkout");
        let mut git = self.git();
        git.args(["read-tree", &change.head]).env("GIT_INDEX_FILE", &index);
        git.text().await.context("could not read the tree of the head")?;
        let mut git = self.git();
        git.arg("--work-tree").arg(dir).args([
            "-c",
            "core.symlinks=false",
            "checkout-index",
            "--all",
            "--force",
            "--quiet",
        ]);
        git.env("GIT_INDEX_FILE", &index).current_dir(dir);
        git.text().await.context("could not check out the head")?;
        files::remove(&index)
    }

    /// The text of a file at the root of a commit or tree; `None` where there is no such name.
    ///
    /// Links are not followed, and what is no file or larger than `max` bytes is an error.
    pub async fn root_file(&self, tree: &str, name: &str, max: u64) -> Result<Option<String>> {
        let mut git = self.git();
        git.args(["ls-tree", "-z", "--long", "--full-tree", tree, "--", name]).env("GIT_LITERAL_PATHSPECS", "1");
        let out = text(&git.bytes().await.with_context(|| format!("could not look for `{name}`"))?);
        // `mode type object size TAB path NUL`
        let Some((entry, _)) = out.split_once('\t') else { return Ok(None) };
        let words: Vec<&str> = entry.split_whitespace().collect();
        let [mode, _, object, size] = words[..] else { bail!("git printed an unknown tree") };
        let what = match mode {
            "120000" => Some("a symbolic link, and links are not followed"),
            "160000" => Some("a submodule"),
            "040000" => Some("a directory"),
            _ => None,
        };
        if let Some(what) = what {
            bail!(Fail::new(format!("`{name}` is {what}")).hint("make it a plain file"));
        }
        if size.parse::<u64>().ok().is_none_or(|size| size > max) {
            bail!("`{name}` has {size} bytes, and more than {max} are not read");
        }
        let mut git = self.git();
        git.args(["cat-file", "blob", object]);
        let bytes = git.bytes().await.with_context(|| format!("could not read `{name}`"))?;
        Ok(Some(String::from_utf8(bytes).map_err(|_| anyhow!("`{name}` is no UTF-8 text"))?))
    }

    /// Paths that the change touches, old ones of what was renamed among them.
    pub async fn touched(&self, change: &Change) -> Result<Vec<String>> {
        let mut git = self.git();
        git.args(["diff", "--name-only", "-z", "--no-renames", &change.base, &change.head, "--"]);
        let out = git.bytes().await.with_context(|| format!("could not compare {}", change.subject))?;
        Ok(out.split(|byte| *byte == 0).filter(|path| !path.is_empty()).map(text).collect())
    }

    /// What the `.gitattributes` of a commit or tree say of `paths`: path, attribute, and `set`, `unset` or its value.
    ///
    /// By way of an index: before 2.40 `git check-attr` reads no trees.
    pub async fn attributes(
        &self,
        tree: &str,
        attributes: &[&str],
        paths: &[String],
        scratch: &Path,
    ) -> Result<Vec<[String; 3]>> {
        let index = scratch.join("index.attributes");
        let mut git = self.git();
        git.args(["read-tree", tree]).env("GIT_INDEX_FILE", &index);
        git.text().await.context("could not read the tree of the base")?;
        let mut git = self.git();
        git.args(["check-attr", "--cached", "--stdin", "-z"]).args(attributes).env("GIT_INDEX_FILE", &index);
        git.stdin(paths.iter().flat_map(|path| format!("{path}\0").into_bytes()).collect());
        let out = git.bytes().await.context("could not read the attributes of the base")?;
        files::remove(&index)?;
        // `path NUL attribute NUL value NUL`
        let mut fields = out.split(|byte| *byte == 0).map(text);
        let mut found = Vec::new();
        while let (Some(path), Some(attribute), Some(value)) = (fields.next(), fields.next(), fields.next()) {
            if value != "unspecified" {
                found.push([path, attribute, value]);
            }
        }
        Ok(found)
    }

    async fn fill_in_sizes(&self, change: &Change, diff: &mut Diff) -> Result<()> {
        let mut git = self.git();
        git.args(["diff", "--raw", "-z", "--no-abbrev", "--find-renames", &change.base, &change.head, "--"]);
        let raw = git.bytes().await?;
        // `:oldmode newmode old new status NUL path NUL [path NUL]`
        let mut fields = raw.split(|byte| *byte == 0);
        let mut blobs: HashMap<(String, bool), [Option<String>; 2]> = HashMap::new();
        while let Some(entry) = fields.next().filter(|entry| !entry.is_empty()) {
            let entry = text(entry);
            let words: Vec<&str> = entry.split([' ', ':']).collect();
            let [_, old_mode, new_mode, old, new, status] = words[..] else { bail!("git printed an unknown raw diff") };
            let mut path = fields.next().unwrap_or_default();
            if status.starts_with(['R', 'C']) {
                path = fields.next().unwrap_or_default();
            }
            let blob = |mode: &str, name: &str| (!matches!(mode, "000000" | "160000")).then(|| name.to_owned());
            blobs.insert((text(path), status.starts_with('D')), [blob(old_mode, old), blob(new_mode, new)]);
        }
        let names: Vec<&String> = blobs.values().flatten().flatten().collect();
        let mut git = self.git();
        git.args(["cat-file", "--batch-check=%(objectsize)"]);
        git.stdin(names.iter().flat_map(|name| format!("{name}\n").into_bytes()).collect());
        let sizes = git.text().await?;
        let sizes: HashMap<&str, u64> = names
            .iter()
            .zip(sizes.lines())
            .filter_map(|(name, size)| Some((name.as_str(), size.parse().ok()?)))
            .collect();
        for file in &mut diff.files {
            // A file that becomes a symlink is printed twice: as deleted and as added.
            let deleted = file.status == FileStatus::Deleted;
            let Some([old, new]) = blobs.get(&(file.path.clone(), deleted)).or(blobs.get(&(file.path.clone(), false)))
            else {
                continue;
            };
            let size = |name: &Option<String>| sizes.get(name.as_deref()?).copied();
            file.size = if deleted { None } else { size(new) };
            // What git has not compared because of its size only looks binary.
            let largest = size(old).max(size(new));
            if let Some(largest) = largest.filter(|size| file.binary && *size >= MAX_FILE)
                && !self.any_is_binary([old, new].into_iter().flatten()).await?
            {
                (file.binary, file.unread) = (false, Some(largest));
            }
        }
        Ok(())
    }

    /// Whether one of these blobs is binary, as git tells it.
    async fn any_is_binary(&self, names: impl Iterator<Item = &String>) -> Result<bool> {
        for name in names {
            let mut git = self.git();
            git.args(["cat-file", "blob", name]);
            // It is no failure of git that nobody listens to the rest.
            let (head, _) = git.read(|out| beginning(out, BINARY_SHOWS)).await?;
            if head?.contains(&0) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn copy_of_index(&self, scratch: &Path) -> Result<PathBuf> {
        let index = scratch.join("index.snapshot");
        let source = self.of.git_dir.join("index");
        let copy = |name: &str, to: &Path| -> Result<()> {
            let from = self.of.git_dir.join(name);
            let failed = || format!("could not copy `{}`", from.display());
            // No link, no device, and not without end: the repository may be anybody's.
            let Some(file) = files::open_untrusted(&from).with_context(failed)? else { return Ok(()) };
            let copied = std::io::copy(&mut file.take(MAX_INDEX + 1), &mut File::create(to)?).with_context(failed)?;
            if copied > MAX_INDEX {
                bail!("`{}` is larger than {MAX_INDEX} bytes", from.display());
            }
            // Git takes a file that is older than the index and has its old size and times for unchanged.
            let time = from.metadata()?.modified()?;
            Ok(File::options().write(true).open(to)?.set_modified(time)?)
        };
        // Without an index nothing is staged, which is what an absent copy means, too.
        if source.exists() {
            copy("index", &index)?;
            // The other half of a split index (git-update-index(1)) is looked for beside it.
            for name in files::names(&self.of.git_dir)?.iter().filter(|name| name.starts_with("sharedindex.")) {
                copy(name, &scratch.join(name))?;
            }
        }
        Ok(index)
    }

    /// Sets each submodule in the index to the commit that it is at, and marks it so that git stays out of it: to see
    /// whether it has changed inside, it would start another git there, which obeys the submodule's configuration.
    async fn pin_submodules(&self, index: &Path) -> Result<()> {
        let mut git = self.in_work_tree(index);
        git.args(["ls-files", "--stage", "-z"]);
        let (mut commits, mut paths) = (Vec::new(), Vec::new());
        for entry in git.bytes().await?.split(|byte| *byte == 0) {
            // `mode name stage TAB path`
            let Some(tab) = entry.iter().position(|byte| *byte == b'\t').filter(|_| entry.starts_with(b"160000 "))
            else {
                continue;
            };
            let path = &entry[tab + 1..];
            let dir = self.of.top.join(OsStr::from_bytes(path));
            if !dir.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
                continue;
            }
            let mut git = Git::new();
            git.arg("--git-dir").arg(dir.join(".git")).args(["rev-parse", "--verify", "--quiet", "HEAD"]);
            // One that is not checked out is as it was.
            if let Ok(commit) = git.output().await? {
                commits.extend([b"160000 ", commit.trim_ascii(), b"\t", path, b"\0"].concat());
            }
            paths.extend([path, b"\0"].concat());
        }
        for (option, input) in [("--index-info", commits), ("--skip-worktree", paths)] {
            if !input.is_empty() {
                let mut git = self.in_work_tree(index);
                git.args(["update-index", "-z", option]).stdin(input);
                if option == "--skip-worktree" {
                    git.arg("--stdin");
                }
                git.text().await.context("could not note the submodules")?;
            }
        }
        Ok(())
    }

    /// Pathspecs that leave out the repositories within the working tree that have no commit yet: git takes neither
    /// them nor the files in them, and fails.
    async fn unborn_repositories(&self, index: &Path, excludes: &str) -> Result<Vec<u8>> {
        let mut git = self.in_work_tree(index);
        git.args(["-c", excludes, "ls-files", "--others", "--exclude-standard", "-z"]);
        let mut pathspecs = Vec::new();
        for path in git.bytes().await?.split(|byte| *byte == 0) {
            // Of files only a repository is shown by its directory.
            let Some(path) = path.strip_suffix(b"/") else { continue };
            let mut git = Git::new();
            git.arg("--git-dir").arg(self.of.top.join(OsStr::from_bytes(path)).join(".git"));
            git.args(["rev-parse", "--verify", "--quiet", "HEAD"]);
            if git.output().await?.is_err() {
                pathspecs.extend([b":(top,exclude,literal)", path, b"\0"].concat());
            }
        }
        Ok(pathspecs)
    }

    /// With the user's working tree and an index of our own.
    fn in_work_tree(&self, index: &Path) -> Git {
        let mut git = self.git();
        git.arg("--work-tree").arg(&self.of.top).current_dir(&self.of.top).env("GIT_INDEX_FILE", index);
        git
    }

    async fn write_tree(&self, index: &Path) -> Result<String> {
        let mut git = self.git();
        git.arg("write-tree").env("GIT_INDEX_FILE", index);
        let tree = git.text().await.map_err(|error| {
            if error.to_string().contains("unmerged") {
                anyhow!(
                    Fail::new(format!("the index of `{}` has unmerged files", self.of.top.display()))
                        .hint("finish or abort the merge, then review again")
                )
            } else {
                error.context("could not write the tree of the change")
            }
        })?;
        Ok(tree.trim().to_owned())
    }

    /// What the user ignores besides `.gitignore`: our git does not see their configuration.
    async fn excludes(&self, scratch: &Path) -> Result<PathBuf> {
        let own = files::read_untrusted(&self.of.common_dir.join("info/exclude"), MAX_TEXT);
        let mut text = own.ok().flatten().unwrap_or_default();
        let home = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten().map(|user| user.dir);
        if let Some(home) = home {
            text = format!("{text}\n{}\n", excludes_of_user(&home).await?);
        }
        let path = scratch.join("excludes");
        files::write(&path, text.as_bytes(), 0o600)?;
        Ok(path)
    }

    async fn head_or_empty(&self) -> Result<String> {
        match self.of.commit("HEAD").await? {
            Some(head) => Ok(head),
            None => self.empty_tree().await,
        }
    }

    async fn empty_tree(&self) -> Result<String> {
        let mut git = self.git();
        git.args(["hash-object", "-t", "tree", "-w", "--stdin"]).stdin(Vec::new());
        Ok(git.text().await?.trim().to_owned())
    }

    async fn merge_base(&self, base: &str, head: &str) -> Result<String> {
        let mut git = self.git();
        git.args(["merge-base", base, head]);
        match git.output().await? {
            Ok(out) => Ok(text(&out).trim().to_owned()),
            Err(_) => bail!(
                Fail::new("the base and the head have no common history")
                    .hint("in a shallow clone, `git fetch --unshallow` brings it; `A..B` compares without it")
            ),
        }
    }

    async fn own_commit(&self, name: &str) -> Result<String> {
        let mut git = self.git();
        git.args(["rev-parse", "--verify", "--end-of-options"]).arg(format!("{name}^{{commit}}"));
        Ok(git.text().await?.trim().to_owned())
    }

    async fn default_branch(&self, source: &Source) -> Result<String> {
        let url = source.url.as_str();
        let mut git = self.git();
        git.remote(source).args(["ls-remote", "--symref", "cicd", "HEAD"]).current_dir(&self.of.top);
        let answer =
            git.text().await.with_context(|| format!("could not ask {} for its branches", without_credentials(url)))?;
        answer
            .lines()
            .find_map(|line| line.strip_prefix("ref: refs/heads/")?.split_once('\t').map(|(name, _)| name.to_owned()))
            .context(
                Fail::new(format!("{} does not say what its default branch is", without_credentials(url)))
                    .hint("name the base with `--base BRANCH`"),
            )
    }
}

/// What the user who lives in `home` ignores in every repository (gitignore(5)).
async fn excludes_of_user(home: &Path) -> Result<String> {
    let mut git = Git::new();
    // `--global`, as we may stand in a repository that has a configuration of its own.
    git.args(["config", "--global", "--type=path", "--get", "core.excludesFile"]).env("HOME", home);
    git.command.env_remove("GIT_CONFIG_GLOBAL");
    let file = match git.output().await? {
        Ok(out) if !out.is_empty() => PathBuf::from(text(&out).trim()),
        _ => home.join(".config/git/ignore"),
    };
    Ok(files::read(&file).ok().flatten().unwrap_or_default())
}

/// Our own bare repository for what `key` names, and what says that it is in use.
async fn bare(cache_dir: &Path, key: &[u8], object_format: &str) -> Result<(PathBuf, File)> {
    let all = mirrors::directory(cache_dir);
    let dir = all.join(format!("{}.git", hex::encode(&Sha256::digest(key)[..12])));
    loop {
        if !dir.join("HEAD").exists() {
            files::make_dir(&all, 0o700)?;
            // Made beside its place, then moved there: nobody finds it half made, now or after a crash.
            let new = tempfile::Builder::new().prefix(mirrors::NEW).tempdir_in(&all)?;
            let mut git = Git::new();
            git.args(["init", "--quiet", "--bare", "--template="]).arg(format!("--object-format={object_format}"));
            git.arg(new.path());
            git.text().await.context("could not make the mirror")?;
            match std::fs::rename(new.path(), &dir) {
                // Another process was faster.
                Err(_) if dir.join("HEAD").exists() => {}
                made => made.with_context(|| format!("could not make `{}`", dir.display()))?,
            }
        }
        // One that goes away at this very moment is made anew.
        if let Some(held) = mirrors::hold(&dir).await? {
            return Ok((dir, held));
        }
    }
}

/// The lock files of a mirror's references.
fn lock_files(mirror: &Path) -> Result<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> = ["packed-refs.lock", "shallow.lock"]
        .map(|name| mirror.join(name))
        .into_iter()
        .filter(|path| path.exists())
        .collect();
    let mut dirs = vec![mirror.join("refs")];
    while let Some(dir) = dirs.pop() {
        for name in files::names(&dir)? {
            let path = dir.join(&name);
            if path.is_dir() {
                dirs.push(path);
            } else if name.ends_with(".lock") {
                found.push(path);
            }
        }
    }
    Ok(found)
}

/// Text that git printed; what is no UTF-8 in it is replaced.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `https://user:secret@host/x` → `https://host/x`.
pub fn without_credentials(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let end = rest.find('/').unwrap_or(rest.len());
            let host = rest[..end].rsplit_once('@').map_or(&rest[..end], |(_, host)| host);
            format!("{scheme}://{host}{}", &rest[end..])
        }
        None => url.to_owned(),
    }
}

/// One git command.
struct Git {
    command: tokio::process::Command,
    stdin: Option<Vec<u8>>,
}

impl Git {
    fn new() -> Git {
        let mut command = tokio::process::Command::new("git");
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", "/nonexistent")
            .env("LC_ALL", "C.UTF-8")
            .env("LANGUAGE", "C")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_ALLOW_PROTOCOL", "file:git:http:https:ssh")
            .env("GIT_SSH_COMMAND", "ssh -o BatchMode=yes")
            .args(["-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"])
            .args(["-c", "core.quotePath=true", "-c", "gc.auto=0", "-c", "maintenance.auto=false"])
            .args(["-c", "protocol.ext.allow=never", "-c", "core.untrackedCache=false"])
            // By default loose objects and references are not on disk yet when git ends: after a power cut the mirror
            // would be damaged, and no pull request of the repository reviewed any more (git-config(1), core.fsync).
            .args(["-c", "core.fsync=all", "-c", "core.fsyncMethod=batch"])
            .args(["-c", "pack.compression=1", "-c", &format!("core.bigFileThreshold={MAX_FILE}")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        Git { command, stdin: None }
    }

    fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.command.arg(arg);
        self
    }

    fn args(&mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> &mut Self {
        self.command.args(args);
        self
    }

    fn env(&mut self, name: &str, value: impl AsRef<OsStr>) -> &mut Self {
        self.command.env(name, value);
        self
    }

    fn current_dir(&mut self, dir: &Path) -> &mut Self {
        self.command.current_dir(dir);
        self
    }

    fn stdin(&mut self, bytes: Vec<u8>) -> &mut Self {
        self.stdin = Some(bytes);
        self
    }

    /// Makes a remote `cicd`, by environment: an address or a header with a token in it never stands on a command
    /// line. After a redirect to another host curl (7.58 and later) does not send the header there.
    fn remote(&mut self, source: &Source) -> &mut Self {
        let mut settings = vec![("remote.cicd.url".to_owned(), &source.url)];
        settings.extend(source.header.iter().map(|(of, header)| (format!("http.{of}.extraHeader"), header)));
        settings.extend(source.proxy.iter().map(|(of, proxy)| (format!("http.{of}.proxy"), proxy)));
        self.env("GIT_CONFIG_COUNT", settings.len().to_string());
        for (number, (key, value)) in settings.iter().enumerate() {
            self.env(&format!("GIT_CONFIG_KEY_{number}"), key);
            self.env(&format!("GIT_CONFIG_VALUE_{number}"), value);
        }
        self
    }

    async fn text(self) -> Result<String> {
        Ok(text(&self.bytes().await?))
    }

    async fn bytes(self) -> Result<Vec<u8>> {
        self.output().await?.map_err(|stderr| anyhow!("git says: {stderr}"))
    }

    /// What it printed, or what it said on stderr where it failed.
    async fn output(self) -> Result<Result<Vec<u8>, String>> {
        let (out, ended) = self.read(|out| beginning(out, MAX_OUTPUT + 1)).await?;
        let out = out?;
        if out.len() as u64 > MAX_OUTPUT {
            bail!("git printed more than {} MiB", MAX_OUTPUT >> 20);
        }
        Ok(ended.map(|()| out))
    }

    /// What `read` makes of what it printed, and what it said on stderr where it failed. In a thread of its own:
    /// reading may be long work, and nothing else of this process is to wait for it.
    async fn read<T: Send + 'static>(
        mut self,
        read: impl FnOnce(File) -> T + Send + 'static,
    ) -> Result<(T, Result<(), String>)> {
        if self.stdin.is_some() {
            self.command.stdin(Stdio::piped());
        }
        let mut child =
            self.command
                .spawn()
                .context(Fail::new("could not start git").hint(
                    "install it (Debian, Ubuntu: `apt install git`); it must be in /usr/bin or /usr/local/bin",
                ))?;
        let input = child.stdin.take().zip(self.stdin);
        let out = child.stdout.take().context("no stdout")?.into_owned_fd()?;
        let mut err = child.stderr.take().context("no stderr")?;
        let work = async {
            let feed = async {
                if let Some((mut pipe, bytes)) = input {
                    // A git that does not want it all says so by its exit status.
                    let _ = pipe.write_all(&bytes).await;
                }
            };
            let mut stderr = Vec::new();
            let reading = tokio::task::spawn_blocking(|| read(File::from(out)));
            let ((), read, _) = tokio::join!(feed, reading, err.read_to_end(&mut stderr));
            let status = child.wait().await?;
            Ok((
                read.context("reading git's output panicked")?,
                if status.success() { Ok(()) } else { Err(message(&stderr)) },
            ))
        };
        tokio::time::timeout(DEADLINE, work)
            .await
            .map_err(|_| anyhow!("git did not end within {} s", DEADLINE.as_secs()))?
    }
}

/// At most so many bytes.
fn beginning(from: impl Read, bytes: u64) -> std::io::Result<Vec<u8>> {
    let mut read = Vec::new();
    from.take(bytes).read_to_end(&mut read)?;
    Ok(read)
}

/// The lines of git's stderr that say something, without its prefixes and without credentials.
fn message(stderr: &[u8]) -> String {
    let lines: Vec<String> = text(stderr)
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with("hint:"))
        .map(|line| line.trim_start_matches("fatal: ").trim_start_matches("error: "))
        .map(|line| {
            line.split(' ')
                .map(|word| if word.contains("://") { without_credentials(word) } else { word.into() })
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    if lines.is_empty() { "nothing, but it failed".into() } else { lines.join("; ") }
}

#[cfg(test)]
mod tests;
