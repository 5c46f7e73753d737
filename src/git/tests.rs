//! Against the real git, in temporary directories.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Command;

use tempfile::TempDir;

use super::*;
use crate::diff::FileStatus;

/// A directory for one test: the user's repository, our cache and scratch.
struct Place {
    dir: TempDir,
    repo: PathBuf,
}

/// A repository with one commit, of `first.txt`.
fn place() -> Place {
    let place = empty("sha1");
    place.commit("first.txt", "one\n");
    place
}

/// A repository without commits.
fn empty(format: &str) -> Place {
    let dir = tempfile::tempdir().unwrap();
    let repo = dir.path().join("repo");
    let place = Place { dir, repo };
    for name in ["home", "scratch", "checkout"] {
        std::fs::create_dir(place.path(name)).unwrap();
    }
    let repo = place.repo.to_str().unwrap();
    place.git_in(place.dir.path(), &["init", "-q", "-b", "main", &format!("--object-format={format}"), repo]);
    place
}

impl Place {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn file(&self, name: &str, text: &str) {
        let path = self.repo.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Runs git as the user does, and wants it to succeed.
    fn git(&self, args: &[&str]) -> String {
        self.git_in(&self.repo, args)
    }

    fn git_in(&self, dir: &Path, args: &[&str]) -> String {
        let output = self.command(dir).args(args).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn command(&self, dir: &Path) -> Command {
        let mut command = Command::new("git");
        command.current_dir(dir).env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", self.path("home"));
        command.env("GIT_CONFIG_NOSYSTEM", "1").args(["-c", "protocol.file.allow=always"]);
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "a").env(format!("GIT_{who}_EMAIL"), "a@example.org");
        }
        command
    }

    fn commit(&self, name: &str, text: &str) -> String {
        self.file(name, text);
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", name]);
        self.git(&["rev-parse", "HEAD"])
    }

    async fn mirror(&self) -> Mirror {
        self.mirror_of(&self.repo).await.unwrap()
    }

    async fn mirror_of(&self, path: &Path) -> Result<Mirror> {
        Mirror::open(&self.path("cache"), Repository::open(path).await?).await
    }

    async fn working_tree(&self) -> Result<Change> {
        self.mirror().await.working_tree(&self.path("scratch")).await
    }

    async fn staged(&self) -> Result<Change> {
        self.mirror().await.staged(&self.path("scratch")).await
    }

    /// The paths of a change, as `git diff --name-status` has them.
    async fn files(&self, change: &Change) -> Vec<String> {
        names(&self.mirror().await, change).await
    }

    async fn checkout(&self, change: &Change) -> PathBuf {
        let dir = self.path("checkout");
        self.mirror().await.checkout(change, &dir, &self.path("scratch")).await.unwrap();
        dir
    }
}

async fn names(mirror: &Mirror, change: &Change) -> Vec<String> {
    let diff = mirror.diff(change).await.unwrap();
    let letter = |status: &FileStatus| format!("{status:?}").chars().next().unwrap();
    diff.files.iter().map(|file| format!("{} {}", letter(&file.status), file.path)).collect()
}

fn shown(result: Result<impl fmt::Debug>) -> String {
    crate::error::describe(&result.unwrap_err())
}

/// Everything below a directory: content, mode and time of change. Objects are without the time: git renews that of an
/// object which it would have written, wherever it is, so that nobody prunes it.
fn snapshot(dir: &Path) -> BTreeMap<PathBuf, (u32, i64, i64, Vec<u8>)> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let meta = path.symlink_metadata().unwrap();
        let content = if meta.is_dir() {
            found.extend(snapshot(&path));
            Vec::new()
        } else if meta.is_symlink() {
            std::fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
        } else {
            std::fs::read(&path).unwrap()
        };
        let is_object = path.to_str().is_some_and(|path| path.contains("/objects/"));
        let (secs, nsecs) = if is_object { (0, 0) } else { (meta.mtime(), meta.mtime_nsec()) };
        found.insert(path, (meta.mode(), secs, nsecs, content));
    }
    found
}

/// Paths that are not as they were.
fn touched(dir: &Path, before: &BTreeMap<PathBuf, (u32, i64, i64, Vec<u8>)>) -> Vec<String> {
    let after = snapshot(dir);
    let paths: std::collections::BTreeSet<&PathBuf> = before.keys().chain(after.keys()).collect();
    paths
        .into_iter()
        .filter(|path| before.get(*path) != after.get(*path))
        .map(|path| path.display().to_string())
        .collect()
}

#[tokio::test]
async fn two_dots_compare_the_ends_and_three_what_came_since_they_parted() {
    let place = place();
    let first = place.git(&["rev-parse", "HEAD"]);
    place.git(&["checkout", "-q", "-b", "topic"]);
    let topic = place.commit("topic.txt", "t\n");
    place.git(&["checkout", "-q", "main"]);
    let main = place.commit("main.txt", "m\n");
    let mirror = place.mirror().await;

    let two = mirror.range("main..topic").await.unwrap();
    assert_eq!((&two.base, &two.head, two.subject.as_str()), (&main, &topic, "main..topic"));
    assert_eq!(place.files(&two).await, ["D main.txt", "A topic.txt"]);

    let three = mirror.range("main...topic").await.unwrap();
    assert_eq!((&three.base, &three.head), (&first, &topic));
    assert_eq!(place.files(&three).await, ["A topic.txt"]);

    let open_end = mirror.range("topic..").await.unwrap();
    assert_eq!((&open_end.base, &open_end.head), (&topic, &main));
    let since = mirror.since("topic").await.unwrap();
    assert_eq!((&since.base, &since.head, since.subject.as_str()), (&first, &main, "topic...HEAD"));
}

#[tokio::test]
async fn one_revision_is_that_commit_alone_and_the_first_has_everything_in_it() {
    let place = place();
    let first = place.git(&["rev-parse", "HEAD"]);
    let second = place.commit("second.txt", "two\n");
    place.git(&["tag", "-a", "v1", "-m", "v1"]);
    let mirror = place.mirror().await;
    for name in ["HEAD", &second, &second[..10], "main", "v1", "HEAD~0"] {
        let change = mirror.range(name).await.unwrap();
        assert_eq!((&change.base, &change.head), (&first, &second), "{name}");
    }
    let root = mirror.range("HEAD~1").await.unwrap();
    assert_eq!(root.head, first);
    assert_eq!(place.files(&root).await, ["A first.txt"]);
}

#[tokio::test]
async fn staged_is_the_index_and_not_the_working_tree() {
    let place = place();
    place.file("first.txt", "staged\n");
    place.git(&["add", "first.txt"]);
    place.file("first.txt", "not staged\n");
    place.file("untracked.txt", "x\n");
    let change = place.staged().await.unwrap();
    assert_eq!(change.subject, "staged changes");
    assert_eq!(place.files(&change).await, ["M first.txt"]);
    let checkout = place.checkout(&change).await;
    assert_eq!(std::fs::read_to_string(checkout.join("first.txt")).unwrap(), "staged\n");
}

#[tokio::test]
async fn the_working_tree_has_what_is_untracked_and_not_what_is_ignored() {
    let place = place();
    place.commit(".gitignore", "*.log\n");
    place.file(".git/info/exclude", "by-exclude\n");
    place.file("first.txt", "changed\n");
    for name in ["new.txt", "deep/er/new.txt", "build.log", "by-exclude"] {
        place.file(name, "x\n");
    }
    let change = place.working_tree().await.unwrap();
    assert_eq!(change.subject, "working tree");
    assert_eq!(place.files(&change).await, ["A deep/er/new.txt", "M first.txt", "A new.txt"]);
}

#[tokio::test]
async fn what_the_user_ignores_everywhere_is_found_in_each_of_its_places() {
    let home = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = home.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    assert_eq!(excludes_of_user(home.path()).await.unwrap(), "");
    write(".config/git/ignore", "default\n");
    assert_eq!(excludes_of_user(home.path()).await.unwrap(), "default\n");
    write(".config/git/config", "[core]\nexcludesFile = ~/mine\n");
    write("mine", "mine\n");
    assert_eq!(excludes_of_user(home.path()).await.unwrap(), "mine\n");
    write(".gitconfig", "[core]\nexcludesFile = ~/other\n");
    write("other", "other\n");
    assert_eq!(excludes_of_user(home.path()).await.unwrap(), "other\n");
    write(".gitconfig", "[core]\nexcludesFile = ~/gone\n");
    assert_eq!(excludes_of_user(home.path()).await.unwrap(), "");
}

#[tokio::test]
async fn a_change_in_the_second_of_the_last_git_add_is_not_missed() {
    let place = place();
    // Within one second and of the same size: only the index's own time tells git to look into the file.
    let into_second = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_millis();
    tokio::time::sleep(Duration::from_millis(u64::from(1010 - into_second))).await;
    place.file("racy.txt", "aaaa\n");
    place.git(&["add", "racy.txt"]);
    place.file("racy.txt", "bbbb\n");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let checkout = place.checkout(&place.working_tree().await.unwrap()).await;
    assert_eq!(std::fs::read_to_string(checkout.join("racy.txt")).unwrap(), "bbbb\n");
}

#[tokio::test]
async fn a_split_index_is_read() {
    let place = place();
    place.git(&["update-index", "--split-index"]);
    place.file("second.txt", "x\n");
    place.git(&["add", "second.txt"]);
    assert_eq!(place.files(&place.staged().await.unwrap()).await, ["A second.txt"]);
    place.file("third.txt", "x\n");
    let before = snapshot(&place.repo);
    assert_eq!(place.files(&place.working_tree().await.unwrap()).await, ["A second.txt", "A third.txt"]);
    assert_eq!(touched(&place.repo, &before), [""; 0]);
}

#[tokio::test]
async fn files_outside_of_a_sparse_checkout_are_not_deleted() {
    let place = place();
    place.commit("in/a.txt", "a\n");
    place.commit("out/b.txt", "b\n");
    place.git(&["sparse-checkout", "set", "--cone", "--sparse-index", "in"]);
    assert!(!place.repo.join("out").exists());
    place.file("in/a.txt", "changed\n");
    assert_eq!(place.files(&place.working_tree().await.unwrap()).await, ["M in/a.txt"]);
}

#[tokio::test]
async fn a_repository_without_commits_is_reviewed_as_a_whole_or_says_that_it_is_empty() {
    let place = empty("sha1");
    place.file("a.txt", "a\n");
    place.git(&["add", "a.txt"]);
    place.file("b.txt", "b\n");
    assert_eq!(place.files(&place.staged().await.unwrap()).await, ["A a.txt"]);
    assert_eq!(place.files(&place.working_tree().await.unwrap()).await, ["A a.txt", "A b.txt"]);
    assert_eq!(
        shown(place.mirror().await.range("HEAD").await),
        format!(
            "error: the repository at `{}` has no commits yet\n  hint: `cicdctl review --staged` reviews what is staged for the first one",
            place.repo.display()
        )
    );
}

#[tokio::test]
async fn a_shallow_clone_says_where_its_history_is_cut() {
    let place = place();
    place.commit("second.txt", "2\n");
    place.commit("third.txt", "3\n");
    let origin = format!("file://{}", place.repo.display());
    place.git_in(place.dir.path(), &["clone", "-q", "--depth=2", &origin, "shallow"]);
    let mirror = place.mirror_of(&place.path("shallow")).await.unwrap();
    assert_eq!(names(&mirror, &mirror.range("HEAD~1..HEAD").await.unwrap()).await, ["A third.txt"]);
    assert_eq!(names(&mirror, &mirror.range("HEAD").await.unwrap()).await, ["A third.txt"]);
    let error = shown(mirror.range("HEAD~2..HEAD").await);
    assert!(error.contains("there is no revision `HEAD~2`") && error.contains("shallow clone"), "{error}");
}

#[tokio::test]
async fn the_last_commit_of_a_shallow_clone_is_not_taken_for_the_first_of_all() {
    let place = place();
    place.commit("second.txt", "2\n");
    let origin = format!("file://{}", place.repo.display());
    place.git_in(place.dir.path(), &["clone", "-q", "--depth=1", &origin, "shallow"]);
    let mirror = place.mirror_of(&place.path("shallow")).await.unwrap();
    let error = shown(mirror.range("HEAD").await);
    assert!(error.contains("the history is cut before it") && error.contains("git fetch --deepen=1"), "{error}");
    // Its working tree needs no parent.
    std::fs::write(place.path("shallow/new.txt"), "x\n").unwrap();
    assert_eq!(names(&mirror, &mirror.working_tree(&place.path("scratch")).await.unwrap()).await, ["A new.txt"]);
}

#[tokio::test]
async fn a_linked_worktree_has_an_index_and_a_head_of_its_own() {
    let place = place();
    let linked = place.path("linked");
    place.git(&["worktree", "add", "-q", "-b", "topic", linked.to_str().unwrap()]);
    place.file(".git/info/exclude", "excluded\n");
    for name in ["new.txt", "excluded"] {
        std::fs::write(linked.join(name), "x\n").unwrap();
    }
    place.git_in(&linked, &["add", "new.txt"]);
    let mirror = place.mirror_of(&linked).await.unwrap();
    assert_eq!(mirror.of.top, linked);
    assert_eq!(names(&mirror, &mirror.staged(&place.path("scratch")).await.unwrap()).await, ["A new.txt"]);
    assert_eq!(names(&mirror, &mirror.working_tree(&place.path("scratch")).await.unwrap()).await, ["A new.txt"]);
    // The main worktree shares the mirror and has none of it.
    assert_eq!(mirror.dir, place.mirror().await.dir);
    assert_eq!(place.files(&place.staged().await.unwrap()).await, [""; 0]);
}

#[tokio::test]
async fn a_bare_repository_has_commits_and_no_working_tree() {
    let place = place();
    place.git_in(place.dir.path(), &["clone", "-q", "--bare", "repo", "bare.git"]);
    let mirror = place.mirror_of(&place.path("bare.git")).await.unwrap();
    assert_eq!(names(&mirror, &mirror.range("HEAD").await.unwrap()).await, ["A first.txt"]);
    let error = shown(mirror.working_tree(&place.path("scratch")).await);
    assert!(error.contains("has no working tree") && error.contains("cicdctl review HEAD~1..HEAD"), "{error}");
}

#[tokio::test]
async fn a_sha256_repository_is_reviewed_like_any_other() {
    let place = empty("sha256");
    place.commit("a.txt", "a\n");
    let head = place.commit("b.txt", "b\n");
    assert_eq!(head.len(), 64);
    let change = place.mirror().await.range("HEAD").await.unwrap();
    assert_eq!(change.head, head);
    assert_eq!(place.files(&change).await, ["A b.txt"]);
    place.file("c.txt", "c\n");
    assert_eq!(place.files(&place.working_tree().await.unwrap()).await, ["A c.txt"]);
}

#[tokio::test]
async fn an_unmerged_index_cannot_be_staged_and_the_working_tree_shows_the_markers() {
    let place = place();
    place.git(&["checkout", "-q", "-b", "topic"]);
    place.commit("first.txt", "topic\n");
    place.git(&["checkout", "-q", "main"]);
    place.commit("first.txt", "main\n");
    assert!(!place.command(&place.repo).args(["merge", "-q", "topic"]).output().unwrap().status.success());
    let error = shown(place.staged().await);
    assert!(error.contains("has unmerged files") && error.contains("finish or abort the merge"), "{error}");
    assert_eq!(place.files(&place.working_tree().await.unwrap()).await, ["M first.txt"]);
}

#[tokio::test]
async fn revisions_that_do_not_exist_are_named() {
    let place = place();
    let mirror = place.mirror().await;
    for range in ["nothing", "nothing..HEAD", "HEAD..nothing", "main...nothing"] {
        let error = shown(mirror.range(range).await);
        assert!(error.contains("there is no revision `nothing`"), "{range}: {error}");
        assert!(error.contains("git branch --all"), "{error}");
    }
    assert!(shown(mirror.range("HEAD~9").await).contains("the history may be shorter"));
}

#[tokio::test]
async fn a_range_is_never_an_option() {
    let place = place();
    let mirror = place.mirror().await;
    let before = snapshot(place.dir.path());
    for range in ["--output=x", "-x", "--", "HEAD..--output=x", "--output=x..HEAD", "a\nb", "HEAD --output=x"] {
        mirror.range(range).await.unwrap_err();
    }
    assert_eq!(shown(mirror.range("--output=x").await), "error: `--output=x` is no range of commits");
    assert_eq!(touched(place.dir.path(), &before), [""; 0]);
}

/// A bare remote with pull request 7, and `repo` as its clone.
fn remote(place: &Place) -> String {
    place.git_in(place.dir.path(), &["clone", "-q", "--bare", "repo", "remote.git"]);
    place.git(&["checkout", "-q", "-b", "topic"]);
    let head = place.commit("pr.txt", "pr\n");
    place.git(&["push", "-q", "../remote.git", "topic:refs/pull/7/head"]);
    place.git(&["checkout", "-q", "main"]);
    place.git(&["branch", "-q", "-D", "topic"]);
    place.git(&["remote", "add", "origin", "../remote.git"]);
    head
}

#[tokio::test]
async fn a_pull_request_comes_from_the_remote_into_the_mirror_alone() {
    let place = place();
    let base = place.git(&["rev-parse", "HEAD"]);
    let head = remote(&place);
    let before = snapshot(&place.repo);
    let mirror = place.mirror().await;
    for base_branch in [None, Some("main")] {
        let change = mirror.pull_request(7, base_branch, None).await.unwrap();
        assert_eq!((&change.base, &change.head, change.subject.as_str()), (&base, &head, "pull request 7"));
        assert_eq!(place.files(&change).await, ["A pr.txt"]);
    }
    // A force-push is followed.
    place.git(&["push", "-q", "-f", "../remote.git", "main:refs/pull/7/head"]);
    assert_eq!(mirror.pull_request(7, None, None).await.unwrap().head, base);
    assert_eq!(touched(&place.repo, &before), [""; 0]);
}

#[tokio::test]
async fn several_jobs_may_fetch_one_pull_request_at_once() {
    let place = place();
    let head = remote(&place);
    let mirror = place.mirror().await;
    for turn in 0..6 {
        // Each turn moves the reference, and all want to move it here.
        let now = if turn % 2 == 0 { head.clone() } else { place.git(&["rev-parse", "main"]) };
        place.git(&["--git-dir", "../remote.git", "update-ref", "refs/pull/7/head", &now]);
        let jobs = (0..6).map(|_| mirror.pull_request(7, Some("main"), None));
        for change in futures_util::future::join_all(jobs).await {
            assert_eq!(change.unwrap().head, now);
        }
    }
}

#[tokio::test]
async fn the_rules_of_a_pull_request_are_at_the_tip_of_its_base() {
    let place = place();
    let left = place.git(&["rev-parse", "HEAD"]);
    remote(&place);
    let tip = place.commit("later.txt", "later\n");
    place.git(&["push", "-q", "../remote.git", "HEAD:main"]);
    let mirror = place.mirror().await;
    let change = mirror.pull_request(7, Some("main"), None).await.unwrap();
    assert_eq!((&change.base, &change.rules), (&left, &tip));
    let local = mirror.range("HEAD").await.unwrap();
    assert_eq!((&local.base, &local.rules), (&left, &left));
}

#[tokio::test]
async fn a_file_at_the_root_is_read_and_nothing_that_is_none() {
    let place = place();
    place.file("a:*b.toml", "x = 1\n");
    place.file("dir/x", "");
    place.file("latin.toml", "");
    std::fs::write(place.repo.join("latin.toml"), b"\xe9").unwrap();
    symlink("/etc/passwd", place.repo.join("link.toml")).unwrap();
    let head = place.commit("large.toml", &"x".repeat(101));
    place.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{head},module")]);
    place.git(&["commit", "-q", "-m", "module"]);
    let mirror = place.mirror().await;
    let head = place.git(&["rev-parse", "HEAD"]);
    let read = async |name: &str| mirror.root_file(&head, name, 100).await;
    assert_eq!(read("a:*b.toml").await.unwrap().as_deref(), Some("x = 1\n"));
    for name in ["none.toml", "first*", ":(glob)*.txt"] {
        assert_eq!(read(name).await.unwrap(), None, "{name}");
    }
    for (name, why) in [
        ("link.toml", "`link.toml` is a symbolic link, and links are not followed"),
        ("module", "`module` is a submodule"),
        ("dir", "`dir` is a directory"),
        ("large.toml", "`large.toml` has 101 bytes, and more than 100 are not read"),
        ("latin.toml", "`latin.toml` is no UTF-8 text"),
    ] {
        let error = shown(read(name).await);
        assert!(error.contains(why), "{error}");
    }
    let empty = mirror.empty_tree().await.unwrap();
    assert_eq!(mirror.root_file(&empty, "first.txt", 100).await.unwrap(), None);
}

#[tokio::test]
async fn attributes_are_those_of_the_tree_that_is_asked_as_git_reads_them() {
    let place = place();
    place.file("src/.gitattributes", "*.js !made\nown.js made=true\n");
    place.file(".git/info/attributes", "* made\n");
    let base = place.commit(
        ".gitattributes",
        "[attr]by-hand -made\n*.js made\n\"with space.c\" made\n/top/** other\ngen/**/x.c made\nkept.js by-hand\ndir/ made\n",
    );
    place.commit(".gitattributes", "* -made\n");
    place.file(".gitattributes", "* -made\n");
    let mirror = place.mirror().await;
    let paths = [
        "a.js",
        "src/a.js",
        "src/own.js",
        "with space.c",
        "top/a/b",
        "gen/x.c",
        "gen/a/b/x.c",
        "kept.js",
        "dir/a",
        "new\nline.js",
        "first.txt",
    ];
    let asked: Vec<String> = paths.map(String::from).into();
    let said = mirror.attributes(&base, &["made", "other"], &asked, &place.path("scratch")).await.unwrap();
    let said: Vec<String> = said.iter().map(|line| line.join(" ")).collect();
    assert_eq!(
        said,
        [
            "a.js made set",
            "src/own.js made true",
            "with space.c made set",
            "top/a/b other set",
            "gen/x.c made set",
            "gen/a/b/x.c made set",
            "kept.js made unset",
            "new\nline.js made set",
        ]
    );
    assert_eq!(files::names(&place.path("scratch")).unwrap(), [""; 0], "the index is gone");
    let empty = mirror.empty_tree().await.unwrap();
    assert_eq!(mirror.attributes(&empty, &["made"], &asked, &place.path("scratch")).await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_pull_request_that_does_not_exist_is_named_and_so_is_a_missing_base_or_remote() {
    let place = place();
    let error = shown(place.mirror().await.pull_request(7, None, None).await);
    assert!(error.contains("has no remote `origin`") && error.contains("git remote add origin"), "{error}");
    remote(&place);
    let mirror = place.mirror().await;
    assert_eq!(
        shown(mirror.pull_request(8, None, None).await),
        "error: there is no pull request 8 at ../remote.git\n  hint: the number is the one in the pull request's address"
    );
    let error = shown(mirror.pull_request(7, Some("nowhere"), None).await);
    assert!(error.contains("could not fetch the base branch `nowhere` from ../remote.git"), "{error}");
    place.git(&["remote", "set-url", "origin", "../gone.git"]);
    let error = shown(mirror.pull_request(7, None, None).await);
    assert!(error.contains("could not ask ../gone.git for its branches"), "{error}");
}

#[tokio::test]
async fn a_directory_that_is_no_repository_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let error = shown(Repository::open(dir.path()).await);
    assert!(error.contains("is not in a git repository") && error.contains("--path"), "{error}");
    assert!(shown(Repository::open(&dir.path().join("gone")).await).contains("is no directory that this process"));
}

/// A repository whose configuration, attributes and hooks all start a program that leaves `canary`.
fn hostile() -> Place {
    let place = place();
    let evil = place.path("evil");
    std::fs::write(&evil, format!("#!/bin/sh\necho \"$0 $*\" >>{}\ncat\n", place.path("canary").display())).unwrap();
    std::fs::set_permissions(&evil, std::fs::Permissions::from_mode(0o755)).unwrap();
    place.file(".gitattributes", "* filter=evil diff=evil merge=evil\n");
    place.commit("second.txt", "two\n");
    remote(&place);
    arm(&place, &place.repo, &place.repo.join(".git"));
    place
}

fn arm(place: &Place, dir: &Path, git_dir: &Path) {
    let evil = place.path("evil");
    let evil = evil.to_str().unwrap();
    let hooks = place.path("hooks");
    for hooks in [&hooks, &git_dir.join("hooks")] {
        std::fs::create_dir_all(hooks).unwrap();
        for hook in ["post-checkout", "post-index-change", "reference-transaction", "pre-auto-gc", "fsmonitor-watchman"]
        {
            let _ = std::fs::remove_file(hooks.join(hook));
            symlink(evil, hooks.join(hook)).unwrap();
        }
    }
    let included = place.path("included");
    std::fs::write(&included, format!("[diff]\nexternal = {evil}\n[core]\nsshCommand = {evil}\n")).unwrap();
    for (name, value) in [
        ("core.fsmonitor", evil),
        ("core.hooksPath", hooks.to_str().unwrap()),
        ("core.pager", evil),
        ("core.editor", evil),
        ("core.gitProxy", evil),
        ("core.alternateRefsCommand", evil),
        ("diff.evil.command", evil),
        ("diff.evil.textconv", evil),
        ("merge.evil.driver", evil),
        ("filter.evil.clean", evil),
        ("filter.evil.smudge", evil),
        ("filter.evil.required", "true"),
        ("credential.helper", evil),
        ("uploadpack.packObjectsHook", evil),
        ("remote.origin.uploadpack", evil),
        ("alias.rev-parse", &format!("!{evil}")),
        ("alias.diff", &format!("!{evil}")),
        ("include.path", included.to_str().unwrap()),
    ] {
        place.git_in(dir, &["config", name, value]);
    }
}

#[tokio::test]
async fn nothing_that_a_repository_brings_along_is_ever_run() {
    let place = hostile();
    let canary = place.path("canary");
    // It is armed: the user's own git would run it.
    place.file("second.txt", "six\n");
    let _ = place.command(&place.repo).args(["add", "second.txt"]).output().unwrap();
    let _ = place.command(&place.repo).args(["diff", "HEAD"]).output().unwrap();
    let ran = std::fs::read_to_string(&canary).unwrap();
    assert!(ran.lines().count() > 1, "{ran}");
    std::fs::remove_file(&canary).unwrap();

    place.file("third.txt", "three\n");
    let before = snapshot(&place.repo);
    let mirror = place.mirror().await;
    let changes = [
        mirror.range("HEAD").await.unwrap(),
        mirror.range("HEAD~1...HEAD").await.unwrap(),
        place.staged().await.unwrap(),
        place.working_tree().await.unwrap(),
        mirror.pull_request(7, None, None).await.unwrap(),
    ];
    for change in &changes {
        assert!(!mirror.diff(change).await.unwrap().files.is_empty(), "{change:?}");
        place.checkout(change).await;
        assert_eq!(std::fs::read_to_string(&canary).ok(), None, "{change:?}");
    }
    assert_eq!(touched(&place.repo, &before), [""; 0]);
}

#[tokio::test]
async fn a_remote_that_is_a_command_is_refused() {
    let place = hostile();
    let evil = place.path("evil");
    let mirror = place.mirror().await;
    for url in [
        format!("ext::{}", evil.display()),
        format!("ssh://-oProxyCommand={}/x", evil.display()),
        format!("-oProxyCommand={}:x", evil.display()),
        format!("--upload-pack={}", evil.display()),
        "fd::17".to_owned(),
    ] {
        place.git(&["config", "remote.origin.url", &url]);
        shown(mirror.pull_request(7, None, None).await);
        shown(mirror.pull_request(7, Some("main"), None).await);
        assert_eq!(std::fs::read_to_string(place.path("canary")).ok(), None, "{url}");
    }
}

/// `repo` with a submodule `sub`, checked out, one commit ahead of what is recorded.
fn with_submodule() -> Place {
    let place = place();
    place.git_in(place.dir.path(), &["clone", "-q", "repo", "library"]);
    place.git(&["submodule", "--quiet", "add", "../library", "sub"]);
    place.git(&["commit", "-q", "-m", "sub"]);
    let sub = place.repo.join("sub");
    std::fs::write(sub.join("more.txt"), "more\n").unwrap();
    place.git_in(&sub, &["add", "-A"]);
    place.git_in(&sub, &["commit", "-q", "-m", "more"]);
    place
}

#[tokio::test]
async fn a_submodule_is_an_entry_and_is_never_entered() {
    let place = with_submodule();
    let sub = place.repo.join("sub");
    let head = place.git_in(&sub, &["rev-parse", "HEAD"]);
    let change = place.working_tree().await.unwrap();
    let diff = place.mirror().await.diff(&change).await.unwrap();
    let lines: Vec<&str> = diff.files[0].hunks[0].lines.iter().map(|line| line.text.as_str()).collect();
    assert_eq!((diff.files.len(), diff.files[0].path.as_str()), (1, "sub"));
    assert_eq!(lines[1], format!("Subproject commit {head}"));
    let checkout = place.checkout(&change).await;
    assert_eq!(std::fs::read_dir(checkout.join("sub")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_submodule_with_filters_of_its_own_does_not_get_to_run_them() {
    let place = with_submodule();
    let sub = place.repo.join("sub");
    let head = place.git_in(&sub, &["rev-parse", "HEAD"]);
    let evil = place.path("evil");
    std::fs::write(&evil, format!("#!/bin/sh\necho \"$*\" >>{}\ncat\n", place.path("canary").display())).unwrap();
    std::fs::set_permissions(&evil, std::fs::Permissions::from_mode(0o755)).unwrap();
    arm(&place, &sub, &place.repo.join(".git/modules/sub"));
    std::fs::write(sub.join(".gitattributes"), "* filter=evil diff=evil\n").unwrap();
    // Same size, another time: its git would have to look, by way of the filter.
    std::fs::write(sub.join("more.txt"), "MORE\n").unwrap();
    let _ = place.command(&place.repo).args(["status"]).output().unwrap();
    assert!(std::fs::read_to_string(place.path("canary")).is_ok(), "it is not armed");
    std::fs::remove_file(place.path("canary")).unwrap();
    let before = snapshot(&place.repo);
    let change = place.working_tree().await.unwrap();
    assert_eq!(place.files(&change).await, ["M sub"]);
    assert_eq!(std::fs::read_to_string(place.path("canary")).ok(), None);
    assert_eq!(touched(&place.repo, &before), [""; 0]);
    // Where the recorded commit is that of the submodule, git would look for changes inside.
    place.git(&["-c", "core.fsmonitor=false", "update-index", "--cacheinfo", &format!("160000,{head},sub")]);
    let _ = std::fs::remove_file(place.path("canary"));
    assert_eq!(place.files(&place.working_tree().await.unwrap()).await, ["M sub"]);
    assert_eq!(std::fs::read_to_string(place.path("canary")).ok(), None);
}

#[tokio::test]
async fn a_submodule_that_is_gone_from_the_working_tree_is_deleted_and_one_that_is_not_checked_out_is_as_it_was() {
    let place = with_submodule();
    std::fs::remove_dir_all(place.repo.join("sub")).unwrap();
    assert_eq!(place.files(&place.working_tree().await.unwrap()).await, ["D sub"]);
    std::fs::create_dir(place.repo.join("sub")).unwrap();
    assert_eq!(place.files(&place.working_tree().await.unwrap()).await, [""; 0]);
}

#[tokio::test]
async fn a_symlink_is_checked_out_as_a_file_that_holds_its_target() {
    let place = place();
    symlink("/etc/passwd", place.repo.join("link")).unwrap();
    symlink("/etc", place.repo.join("dir")).unwrap();
    let change = place.working_tree().await.unwrap();
    let checkout = place.checkout(&change).await;
    for (name, target) in [("link", "/etc/passwd"), ("dir", "/etc")] {
        let path = checkout.join(name);
        assert!(path.symlink_metadata().unwrap().is_file());
        assert_eq!(std::fs::read_to_string(path).unwrap(), target);
    }
}

#[tokio::test]
async fn attributes_hide_no_change_and_names_come_through_whole() {
    let place = place();
    place.file(".gitattributes", "* -diff binary export-ignore\n");
    for name in ["with space", "tab\there", "ünï.txt", "quote\"d", "-option", ":colon", "new\nline"] {
        place.file(name, "x\n");
    }
    let change = place.working_tree().await.unwrap();
    let diff = place.mirror().await.diff(&change).await.unwrap();
    let mut paths: Vec<&str> = diff.files.iter().map(|file| file.path.as_str()).collect();
    paths.sort_unstable();
    let mut all =
        vec!["-option", ".gitattributes", ":colon", "new\nline", "quote\"d", "tab\there", "with space", "ünï.txt"];
    all.sort_unstable();
    assert_eq!(paths, all);
    assert!(diff.files.iter().all(|file| !file.binary && file.hunks.len() == 1 && file.size.is_some()));
}

#[tokio::test]
async fn a_repository_is_left_as_it_was() {
    let place = place();
    place.commit("second.txt", "two\n");
    remote(&place);
    place.file("first.txt", "staged\n");
    place.git(&["add", "first.txt"]);
    place.file("first.txt", "changed\n");
    place.file("untracked.txt", "x\n");
    // Same content, new times: git would like to note that in the index.
    place.file("second.txt", "two\n");
    let before = snapshot(&place.repo);
    let mirror = place.mirror().await;
    for change in [
        mirror.range("HEAD").await.unwrap(),
        place.staged().await.unwrap(),
        place.working_tree().await.unwrap(),
        mirror.pull_request(7, None, None).await.unwrap(),
    ] {
        mirror.diff(&change).await.unwrap();
        place.checkout(&change).await;
    }
    assert_eq!(touched(&place.repo, &before), [""; 0]);
}

#[tokio::test]
async fn a_huge_file_is_named_with_its_size_and_the_others_are_read() {
    let place = place();
    place.file("empty-lines", &"\n".repeat(60_000_000));
    std::fs::write(place.repo.join("picture"), vec![0; MAX_FILE as usize + 1]).unwrap();
    place.file("many-lines", &"x\n".repeat(1_000_000));
    place.file("small", "x\n");
    let change = place.working_tree().await.unwrap();
    let diff = place.mirror().await.diff(&change).await.unwrap();
    let shown: Vec<_> =
        diff.files.iter().map(|file| (file.path.as_str(), file.unread, file.binary, file.hunks.len())).collect();
    assert_eq!(
        shown,
        [
            ("empty-lines", Some(60_000_000), false, 0),
            ("many-lines", Some(3_000_000 + 22), false, 1),
            ("picture", None, true, 0),
            ("small", None, false, 1),
        ]
    );
    assert_eq!(diff.files[0].size, Some(60_000_000));

    // Neither does it hide by becoming small, or by going away.
    place.git(&["add", "-A"]);
    place.git(&["commit", "-q", "-m", "huge"]);
    place.file("empty-lines", "short\n");
    std::fs::remove_file(place.repo.join("many-lines")).unwrap();
    std::fs::remove_file(place.repo.join("picture")).unwrap();
    let change = place.working_tree().await.unwrap();
    let diff = place.mirror().await.diff(&change).await.unwrap();
    let shown: Vec<_> = diff.files.iter().map(|file| (file.path.as_str(), file.unread, file.binary)).collect();
    assert_eq!(
        shown,
        [
            ("empty-lines", Some(60_000_000), false),
            ("many-lines", Some(3_000_000 + 22), false),
            ("picture", None, true),
        ]
    );
}

#[tokio::test]
async fn a_repository_without_commits_inside_the_working_copy_stops_no_review() {
    let place = place();
    place.commit("inner1/file", "x\n");
    place.file("inner[1]/file", "of nobody\n");
    place.git_in(&place.repo.join("inner[1]"), &["init", "-q"]);
    place.file("inner1/file", "y\n");
    place.file("born/file", "x\n");
    place.git_in(&place.repo.join("born"), &["init", "-q"]);
    place.git_in(&place.repo.join("born"), &["commit", "-q", "--allow-empty", "-m", "born"]);
    place.file("new.txt", "x\n");
    let change = place.working_tree().await.unwrap();
    assert_eq!(place.files(&change).await, ["A born", "M inner1/file", "A new.txt"]);
}

#[tokio::test]
async fn what_a_killed_git_has_locked_is_free_again_and_what_a_living_one_locks_is_not_touched() {
    let place = place();
    remote(&place);
    let mirror = place.mirror().await;
    mirror.pull_request(7, None, None).await.unwrap();
    place.git(&["push", "-q", "-f", "../remote.git", "main:refs/pull/7/head"]);
    let locks =
        ["refs/cicd/pull/7.lock", "refs/cicd/base/main.lock", "packed-refs.lock"].map(|name| mirror.dir.join(name));
    for lock in &locks {
        std::fs::write(lock, "").unwrap();
    }
    // The standard input of a git that outlived its runner.
    let living = mirror.lock().await.unwrap();
    for lock in &locks {
        std::fs::write(lock, "").unwrap();
    }
    let error = mirror.pull_request(7, None, None).await.unwrap_err();
    assert!(format!("{error:#}").contains(".lock': File exists"), "{error:#}");
    drop(living);
    mirror.pull_request(7, None, None).await.unwrap();
    assert!(locks.iter().all(|lock| !lock.exists()));
}

#[test]
fn credentials_are_left_out_of_addresses() {
    for (url, shown) in [
        ("https://user:secret@host/x.git", "https://host/x.git"),
        ("https://x-access-token:ghp_1@github.com/o/n", "https://github.com/o/n"),
        ("https://user:p@ss@host/x", "https://host/x"),
        ("https://token@host", "https://host"),
        ("https://host/a@b", "https://host/a@b"),
        ("ssh://git@host/x", "ssh://host/x"),
        ("git@host:o/n.git", "git@host:o/n.git"),
        ("../remote.git", "../remote.git"),
        ("/srv/git/x.git", "/srv/git/x.git"),
    ] {
        assert_eq!(without_credentials(url), shown);
    }
}

#[test]
fn what_git_says_is_told_without_prefixes_hints_and_credentials() {
    let stderr = b"fatal: unable to access 'https://u:secret@host/x/': no route\nhint: try again\n\nerror: and more\n";
    assert_eq!(message(stderr), "unable to access 'https://host/x/': no route; and more");
    assert_eq!(message(b"\n"), "nothing, but it failed");
}

#[tokio::test]
async fn a_large_file_in_the_working_tree_is_seen_and_not_compared() {
    let place = place();
    place.file("first.txt", "changed\n");
    for (name, byte) in [("a.bin", "a"), ("b.bin", "b"), ("c.bin", "b")] {
        place.file(name, &byte.repeat(usize::try_from(MAX_FILE).unwrap() + 1));
    }
    place.file("small.txt", "small\n");
    let mirror = place.mirror().await;
    // Also where it was seen before.
    for _ in 0..2 {
        let change = mirror.working_tree(&place.path("scratch")).await.unwrap();
        let added = ["A a.bin", "A b.bin", "A c.bin", "M first.txt", "A small.txt"];
        assert_eq!(names(&mirror, &change).await, added);
    }
}
