//! An engine pinned by path, version and hash: what a program consists of, what that hashes to, and whether it is still
//! what was pinned. The pins are in a file of their own beside the configuration, `engines.lock`.
//!
//! What the hash covers:
//! - the program's own file, all links resolved;
//! - where that is a script, its interpreter, and the whole directory of the npm package that it is in;
//! - for `command`, whatever else its command line names by an absolute path.
//!
//! It does not cover what these start or load from elsewhere: shared libraries, the target of a wrapper's `exec`. A program of
//! one file has the hash that `sha256sum` prints for it; of several it is the hash of the lines that `sha256sum` prints.
//!
//! Looking at 380 MB before each job would cost seconds, so hashes are kept by device, inode, size, mtime and ctime. A
//! user can set an mtime, but no ctime: the kernel sets it to now at each change, so a changed file is always read again.
//! A file that changed within the last two seconds is not kept, as its next change could fall into the same tick.
//!
//! What remains: who may write to the program may change it after it was looked at. It is looked at again when the engine
//! has ended, and what a program said that changed meanwhile is not used; but it has run.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::ops::ControlFlow;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::process::{self, End, Program};
use super::{Deadlines, EngineSpec, PATH};
use crate::config::EngineName;
use crate::error::Fail;
use crate::{files, plain, quantity};

/// For `--version`; a program that does not answer by then has none.
const ASK_LIMIT: Duration = Duration::from_secs(20);
/// More than this is no program.
const MAX_FILES: usize = 50_000;
/// Interpreters of interpreters.
const MAX_DEPTH: usize = 4;
/// Of the differences that a message names.
const NAMED: usize = 4;
/// How old a change must be before a hash is kept; coarse clocks tick every few milliseconds, some file systems' each
/// second or two.
const SETTLED: i64 = 2_000_000_000;

/// A program that an engine is to be, as the configuration names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub engine: EngineName,
    pub program: PathBuf,
    /// The whole command line of the engine `command`; nothing otherwise.
    pub argv: Vec<String>,
}

impl Wanted {
    /// `None` for the engine that is built in.
    pub fn of(spec: &EngineSpec) -> Option<Wanted> {
        let (engine, program, argv) = match spec {
            EngineSpec::Rules => return None,
            EngineSpec::Claude(claude) => (EngineName::Claude, claude.program.clone(), Vec::new()),
            EngineSpec::Command(command) => (EngineName::Command, command.argv.first()?.into(), command.argv.clone()),
        };
        Some(Wanted { engine, program, argv })
    }

    pub fn command(argv: &[String]) -> Option<Wanted> {
        Some(Wanted { engine: EngineName::Command, program: argv.first()?.into(), argv: argv.to_vec() })
    }

    pub fn claude(program: &Path) -> Wanted {
        Wanted { engine: EngineName::Claude, program: program.to_owned(), argv: Vec::new() }
    }
}

/// What `engines.lock` holds of one program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    pub engine: EngineName,
    /// Links resolved.
    pub program: PathBuf,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub argv: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Of all that is covered.
    pub sha256: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interpreters: Vec<Interpreter>,
    /// Directories that are covered with all that is in them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<PathBuf>,
    /// Each path that is covered, and its hash; of a symlink `-> ` and where it leads.
    pub files: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Interpreter {
    pub program: PathBuf,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// How a program stands to the pins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// No program of this engine is pinned; the hash is absent where it could not be read.
    Unpinned(Option<String>),
    Pinned(Box<Pin>),
    /// What is not as it was pinned, each in words.
    Changed(Vec<String>),
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lock {
    #[serde(default, rename = "pin")]
    pins: Vec<Pin>,
}

/// Where the pins are, and the hashes that are known.
#[derive(Debug, Clone)]
pub struct Pins {
    pub file: PathBuf,
    pub digests: PathBuf,
}

impl Pins {
    /// A file that cannot be read is an error and not the absence of pins.
    pub fn load(&self) -> Result<Vec<Pin>> {
        let Some(text) = files::read(&self.file)? else { return Ok(Vec::new()) };
        let lock: Lock = toml::from_str(&text).with_context(|| {
            Fail::new(format!("the pins of engines in `{}` cannot be read", self.file.display()))
                .hint("`cicdctl engine pin` writes the file anew")
        })?;
        Ok(lock.pins)
    }

    pub fn save(&self, pins: Vec<Pin>) -> Result<()> {
        if pins.is_empty() {
            return files::remove(&self.file);
        }
        if let Some(dir) = self.file.parent() {
            files::make_dir(dir, 0o700)?;
        }
        let text = format!(
            "# Written by `cicdctl engine pin`: programs that may be engines, and nothing else may in their place.\n\
             # `cicdctl engine check` compares, `cicdctl engine unpin` forgets.\n\n{}",
            toml::to_string(&Lock { pins })?
        );
        files::write(&self.file, text.as_bytes(), 0o600)
    }

    /// The one program that may be this engine, where just one is pinned.
    pub fn program(&self, engine: EngineName) -> Result<Option<PathBuf>> {
        let mut pins = self.load()?.into_iter().filter(|pin| pin.engine == engine);
        let first = pins.next();
        Ok(first.filter(|_| pins.next().is_none()).map(|pin| pin.program))
    }

    /// Compares a program with the pins of its engine; reads it, and never runs it.
    pub fn standing(&self, wanted: &Wanted) -> Result<Standing> {
        let mut digests = Digests::load(&self.digests);
        let standing = standing(&self.load()?, wanted, &mut digests);
        digests.save();
        standing
    }

    /// What a pin of this program would say, but for the versions.
    pub fn measure(&self, wanted: &Wanted) -> Result<Pin> {
        let mut digests = Digests::load(&self.digests);
        let pin = measure(wanted, &mut digests);
        digests.save();
        pin
    }

    /// The same with versions, which the programs are asked for.
    pub async fn make(&self, wanted: &Wanted) -> Result<Pin> {
        let mut pin = self.measure(wanted)?;
        let said = version(&pin.program).await;
        pin.version = match wanted.engine {
            // As `[engine.claude] version` has it; without an answer it is no engine.
            EngineName::Claude => Some(said?.split_whitespace().next().unwrap_or_default().to_owned()),
            _ => said.ok(),
        };
        for interpreter in &mut pin.interpreters {
            interpreter.version = version(&interpreter.program).await.ok();
        }
        Ok(pin)
    }
}

fn standing(pins: &[Pin], wanted: &Wanted, digests: &mut Digests) -> Result<Standing> {
    let of_engine: Vec<&Pin> = pins.iter().filter(|pin| pin.engine == wanted.engine).collect();
    if of_engine.is_empty() {
        return Ok(Standing::Unpinned(measure(wanted, digests).ok().map(|now| now.sha256)));
    }
    let named = wanted.program.display();
    let real = match wanted.program.canonicalize() {
        Ok(real) => real,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Ok(Standing::Changed(vec![format!("`{named}` is gone")]));
        }
        Err(error) => return Err(error).with_context(|| format!("could not find `{named}`")),
    };
    let Some(first) = of_engine.iter().find(|pin| pin.program == real) else {
        let pinned: Vec<String> = of_engine.iter().map(|pin| format!("`{}`", pin.program.display())).collect();
        let leads = if real == wanted.program { String::new() } else { format!(", which is `{}`", real.display()) };
        let what = format!("the program is `{named}`{leads}, and pinned is {}", quantity::list(&pinned, NAMED));
        return Ok(Standing::Changed(vec![what]));
    };
    let Some(pin) = of_engine.iter().find(|pin| pin.program == real && pin.argv == wanted.argv) else {
        let what =
            format!("its command line is another: `{}`, pinned is `{}`", wanted.argv.join(" "), first.argv.join(" "));
        return Ok(Standing::Changed(vec![what]));
    };
    let changed = match measure(wanted, digests) {
        Ok(now) => differences(pin, &now),
        // Something that is covered is gone, or is no file any more.
        Err(error) => vec![format!("{error:#}")],
    };
    Ok(if changed.is_empty() { Standing::Pinned(Box::new((*pin).clone())) } else { Standing::Changed(changed) })
}

/// What is not as it was pinned. Pure.
pub fn differences(pin: &Pin, now: &Pin) -> Vec<String> {
    let mut found = Vec::new();
    let programs = |pin: &Pin| pin.interpreters.iter().map(|of| of.program.clone()).collect::<Vec<_>>();
    let (before, after) = (programs(pin), programs(now));
    if before != after {
        let words = |all: &[PathBuf]| match all {
            [] => "none".to_owned(),
            all => all.iter().map(|path| format!("`{}`", path.display())).collect::<Vec<_>>().join(", "),
        };
        found.push(format!("its interpreter is {}, and pinned is {}", words(&after), words(&before)));
    }
    let short = |value: &str| value.get(..12).unwrap_or(value).to_owned();
    for (path, value) in &now.files {
        match pin.files.get(path) {
            Some(pinned) if pinned == value => {}
            Some(pinned) => {
                found.push(format!("`{path}` has changed (sha256 {}…, pinned {}…)", short(value), short(pinned)));
            }
            None => found.push(format!("`{path}` is new")),
        }
    }
    found
        .extend(pin.files.keys().filter(|path| !now.files.contains_key(*path)).map(|path| format!("`{path}` is gone")));
    found
}

/// The differences in one line.
pub fn in_words(changed: &[String]) -> String {
    let more = changed.len().saturating_sub(NAMED);
    let mut text = changed[..changed.len() - more].join("; ");
    if more > 0 {
        text.push_str(&format!("; and {more} more"));
    }
    text
}

/// The beginning of a hash, as a receipt has it.
pub fn short(sha256: &str) -> String {
    format!("sha256:{}", sha256.get(..12).unwrap_or(sha256))
}

/// The error of a job whose engine is not what was pinned.
pub fn refusal(engine: EngineName, changed: &[String], end: &str) -> Fail {
    let name = engine.as_str();
    Fail::new(format!("the engine `{name}` is not what was pinned, {end}: {}", in_words(changed)))
        .hint(format!("find out who changed it; `cicdctl engine pin {name}` pins it as it is now"))
}

fn measure(wanted: &Wanted, digests: &mut Digests) -> Result<Pin> {
    let found = |path: &Path| path.canonicalize().with_context(|| format!("could not find `{}`", path.display()));
    let program = found(&wanted.program)?;
    let mut roots = vec![program.clone()];
    for word in wanted.argv.iter().skip(1).filter(|word| word.starts_with('/')) {
        // What is no file is an option or a place to look at, and none of the program.
        if let Ok(path) = Path::new(word).canonicalize()
            && path.is_file()
        {
            roots.push(path);
        }
    }
    let mut covered: BTreeSet<PathBuf> = roots.iter().cloned().collect();
    let (mut interpreters, mut packages) = (Vec::new(), BTreeSet::new());
    for root in &roots {
        let is_program = *root == program;
        let script = if is_program { interpreter_of(root)? } else { None };
        // A native program may lie in a package, and is whole without it.
        if script.is_none() && is_program {
            continue;
        }
        if let Some(dir) = package_of(root) {
            packages.insert(dir);
        }
        let mut next = script;
        while let Some(interpreter) = next {
            if interpreters.len() == MAX_DEPTH {
                bail!("`{}` has interpreters without end", root.display());
            }
            next = interpreter_of(&interpreter)?;
            covered.insert(interpreter.clone());
            interpreters.push(Interpreter { program: interpreter, version: None });
        }
    }
    let mut all = BTreeMap::new();
    for path in &covered {
        all.insert(text_of(path)?, digests.of(path)?);
    }
    for dir in &packages {
        walk(dir, digests, &mut all)?;
    }
    let sha256 = match all.first_key_value() {
        Some((_, only)) if all.len() == 1 => only.clone(),
        _ => {
            let mut hash = Sha256::new();
            for (path, value) in &all {
                hash.update(format!("{value}  {path}\n"));
            }
            hex::encode(hash.finalize())
        }
    };
    let packages = packages.into_iter().collect();
    Ok(Pin {
        engine: wanted.engine,
        program,
        argv: wanted.argv.clone(),
        version: None,
        sha256,
        interpreters,
        packages,
        files: all,
    })
}

fn text_of(path: &Path) -> Result<String> {
    let text = path.to_str().filter(|text| !text.chars().any(char::is_control));
    Ok(text.with_context(|| format!("`{}` has a name that no list can hold", path.display()))?.to_owned())
}

/// All that is in a directory.
fn walk(dir: &Path, digests: &mut Digests, all: &mut BTreeMap<String, String>) -> Result<()> {
    let mut todo = vec![dir.to_owned()];
    while let Some(dir) = todo.pop() {
        let entries = std::fs::read_dir(&dir).with_context(|| format!("could not list `{}`", dir.display()))?;
        for entry in entries {
            let entry = entry?;
            let path = entry.path();
            let kind = entry.file_type()?;
            if kind.is_dir() {
                todo.push(path);
            } else if kind.is_symlink() {
                let target =
                    std::fs::read_link(&path).with_context(|| format!("could not read `{}`", path.display()))?;
                all.insert(text_of(&path)?, format!("-> {}", text_of(&target)?));
            } else {
                all.insert(text_of(&path)?, digests.of(&path)?);
            }
            if all.len() > MAX_FILES {
                bail!("`{}` holds more than {MAX_FILES} files", dir.display());
            }
        }
    }
    Ok(())
}

/// The interpreter of a script, links resolved; `None` for what is no script.
fn interpreter_of(file: &Path) -> Result<Option<PathBuf>> {
    let open = || -> std::io::Result<Vec<u8>> {
        let mut head = Vec::new();
        File::open(file)?.take(512).read_to_end(&mut head)?;
        Ok(head)
    };
    let head = open().with_context(|| format!("could not read `{}`", file.display()))?;
    let Some(line) = head.strip_prefix(b"#!") else { return Ok(None) };
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line).into_owned();
    let named = words_of(&line).with_context(|| format!("`{}` begins with `#!` and names nothing", file.display()))?;
    let path = if named.starts_with('/') {
        Some(PathBuf::from(&named))
    } else {
        // As the cage looks for it.
        std::env::split_paths(PATH)
            .map(|dir| dir.join(&named))
            .find(|file| file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0))
    };
    let path = path.with_context(|| {
        Fail::new(format!("the interpreter `{named}` of `{}` is not in {PATH}", file.display()))
            .hint("an engine finds no other programs in its cage; install it there")
    })?;
    let real = path.canonicalize().with_context(|| format!("could not find `{}`", path.display()))?;
    Ok(Some(real))
}

/// What the rest of a `#!` line names; what `env` is to look for where it is that.
fn words_of(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let first = words.next()?;
    if Path::new(first).file_name() != Some(OsStr::new("env")) {
        return Some(first.to_owned());
    }
    words.find(|word| !word.starts_with('-') && !word.contains('=')).map(str::to_owned)
}

/// The directory of the npm package that a file belongs to, the outermost: a package brings its own along.
fn package_of(file: &Path) -> Option<PathBuf> {
    let is_name = |dir: Option<&Path>, name: &str| dir.and_then(Path::file_name) == Some(OsStr::new(name));
    let is_package = |dir: &&Path| {
        let above = dir.parent();
        let scoped = above.and_then(Path::file_name).is_some_and(|name| name.as_encoded_bytes().starts_with(b"@"));
        let above = if scoped { above.and_then(Path::parent) } else { above };
        is_name(above, "node_modules") && dir.join("package.json").is_file()
    };
    file.ancestors().skip(1).filter(is_package).last().map(Path::to_path_buf)
}

/// What a program of one's own answers to `--version`, in an emptied environment: its first line.
pub async fn version(program: &Path) -> Result<String> {
    let text = ask(program, &["--version"]).await?;
    let line = plain::one_line(text.lines().next().unwrap_or_default(), 100);
    if line.is_empty() {
        bail!("`{} --version` said nothing", program.display());
    }
    Ok(line)
}

/// What a program prints, in an emptied environment and within a time.
pub async fn ask(program: &Path, args: &[&str]) -> Result<String> {
    let mut output = Vec::new();
    let ended = process::run(
        Program {
            path: program.to_owned(),
            args: args.iter().map(Into::into).collect(),
            env: [("PATH", PATH), ("HOME", "/nonexistent"), ("LANG", "C.UTF-8"), ("DISABLE_AUTOUPDATER", "1")]
                .map(|(name, value)| (name.into(), value.into()))
                .into(),
            cwd: "/".into(),
            stdin: Vec::new(),
            deadlines: Deadlines { first_byte: ASK_LIMIT, idle: ASK_LIMIT, total: ASK_LIMIT },
            output_cap: 1 << 20,
        },
        &mut |line| {
            output.extend_from_slice(line);
            output.push(b'\n');
            ControlFlow::Continue(())
        },
    )
    .await?;
    if ended.end != End::Exited(0) {
        let words = plain::one_line(&ended.stderr, 300);
        let words = if words.is_empty() { words } else { format!(": {words}") };
        bail!("`{} {}` {}{words}", program.display(), args.join(" "), ended.end);
    }
    Ok(String::from_utf8_lossy(&output).into_owned())
}

/// What tells one state of a file from another; a user cannot set the last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    dev: u64,
    ino: u64,
    size: u64,
    mtime_ns: i64,
    ctime_ns: i64,
}

impl Identity {
    fn of(meta: &std::fs::Metadata) -> Identity {
        let nanoseconds = |secs: i64, nsec: i64| secs.saturating_mul(1_000_000_000).saturating_add(nsec);
        Identity {
            dev: meta.dev(),
            ino: meta.ino(),
            size: meta.size(),
            mtime_ns: nanoseconds(meta.mtime(), meta.mtime_nsec()),
            ctime_ns: nanoseconds(meta.ctime(), meta.ctime_nsec()),
        }
    }

    /// Another change would have another ctime.
    fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        i64::try_from(now).is_ok_and(|now| now.saturating_sub(self.ctime_ns) > SETTLED)
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Known {
    #[serde(flatten)]
    identity: Identity,
    sha256: String,
}

/// Hashes of files that have not changed since.
struct Digests {
    path: PathBuf,
    known: HashMap<PathBuf, Known>,
    is_new: bool,
}

impl Digests {
    /// A file that cannot be read costs time, and nothing else.
    fn load(path: &Path) -> Digests {
        let known = files::read(path).ok().flatten().and_then(|text| serde_json::from_str(&text).ok());
        Digests { path: path.to_owned(), known: known.unwrap_or_default(), is_new: false }
    }

    fn save(&mut self) {
        if !self.is_new {
            return;
        }
        if self.known.len() > MAX_FILES {
            self.known.retain(|path, known| path.metadata().is_ok_and(|meta| Identity::of(&meta) == known.identity));
        }
        let write = || -> Result<()> {
            if let Some(dir) = self.path.parent() {
                files::make_dir(dir, 0o700)?;
            }
            files::write(&self.path, &serde_json::to_vec(&self.known)?, 0o600)
        };
        if let Err(error) = write() {
            tracing::debug!("hashes are not kept: {error:#}");
        }
    }

    fn of(&mut self, path: &Path) -> Result<String> {
        self.read(path).with_context(|| format!("could not read `{}`", path.display()))
    }

    fn read(&mut self, path: &Path) -> Result<String> {
        let Some(mut file) = files::open_untrusted(path)? else { bail!("it is gone") };
        let before = Identity::of(&file.metadata()?);
        if let Some(known) = self.known.get(path).filter(|known| known.identity == before) {
            return Ok(known.sha256.clone());
        }
        let sha256 = files::copy_hashed(&mut file, &mut std::io::sink())?;
        if Identity::of(&file.metadata()?) != before {
            bail!("it changes while it is read");
        }
        if before.is_settled() {
            self.known.insert(path.to_owned(), Known { identity: before, sha256: sha256.clone() });
            self.is_new = true;
        }
        Ok(sha256)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::CommandSpec;

    struct Place {
        dir: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Place {
            Place { dir: tempfile::tempdir().unwrap() }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().canonicalize().unwrap().join(name)
        }

        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.path(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            path
        }

        fn pins(&self) -> Pins {
            Pins { file: self.path("engines.lock"), digests: self.path("digests.json") }
        }

        fn pin(&self, wanted: &Wanted) -> Pin {
            let pin = self.pins().measure(wanted).unwrap();
            self.pins().save(vec![pin.clone()]).unwrap();
            pin
        }

        fn changed(&self, wanted: &Wanted) -> String {
            match self.pins().standing(wanted).unwrap() {
                Standing::Changed(changed) => in_words(&changed),
                other => panic!("not changed: {other:?}"),
            }
        }
    }

    fn command(argv: &[&Path]) -> Wanted {
        let argv: Vec<String> = argv.iter().map(|path| path.to_str().unwrap().to_owned()).collect();
        Wanted::command(&argv).unwrap()
    }

    #[test]
    fn one_file_has_the_hash_that_sha256sum_prints() {
        let place = Place::new();
        let program = place.write("claude", "abc");
        let wanted = Wanted::claude(&program);
        assert_eq!(
            place.pins().standing(&wanted).unwrap(),
            Standing::Unpinned(Some("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".into()))
        );
        let pin = place.pin(&wanted);
        assert_eq!(pin.files.len(), 1);
        assert_eq!(place.pins().standing(&wanted).unwrap(), Standing::Pinned(Box::new(pin)));
        // It is this one that is meant from now on, wherever another is found.
        assert_eq!(place.pins().program(EngineName::Claude).unwrap(), Some(program.clone()));
        place.write("claude", "abd");
        assert!(place.changed(&wanted).contains("has changed (sha256 a52d159f262b…, pinned ba7816bf8f01…)"));
        std::fs::remove_file(&program).unwrap();
        assert_eq!(place.changed(&wanted), format!("`{}` is gone", program.display()));
        let other = Wanted::claude(&place.write("other/claude", "abc"));
        assert!(place.changed(&other).contains("the program is `"), "{}", place.changed(&other));
        // Another engine has pins of its own.
        let lint = command(&[&place.write("lint", "x")]);
        assert!(matches!(place.pins().standing(&lint).unwrap(), Standing::Unpinned(Some(_))));
    }

    #[test]
    fn a_link_is_followed_and_another_target_is_another_program() {
        let place = Place::new();
        let link = place.path("claude");
        std::os::unix::fs::symlink(place.write("versions/1", "one"), &link).unwrap();
        let wanted = Wanted::claude(&link);
        place.pin(&wanted);
        assert!(matches!(place.pins().standing(&wanted).unwrap(), Standing::Pinned(_)));
        std::fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(place.write("versions/2", "one"), &link).unwrap();
        let changed = place.changed(&wanted);
        assert!(changed.contains("versions/2`, and pinned is `") && changed.ends_with("versions/1`"), "{changed}");
    }

    #[test]
    fn a_script_is_its_interpreter_and_its_whole_package() {
        let place = Place::new();
        let package = "lib/node_modules/@acme/lint";
        let program = place.write(&format!("{package}/bin/cli.js"), "#!/usr/bin/env -S A=1 sh\necho\n");
        place.write(&format!("{package}/package.json"), "{}");
        let deep = place.write(&format!("{package}/node_modules/dep/index.js"), "1");
        place.write(&format!("{package}/node_modules/dep/package.json"), "{}");
        place.write("lib/node_modules/@acme/other/index.js", "1");
        std::os::unix::fs::symlink("../../x", place.path(&format!("{package}/link"))).unwrap();
        let wanted = Wanted::claude(&program);
        let pin = place.pin(&wanted);
        let sh = Path::new("/bin/sh").canonicalize().unwrap();
        assert_eq!(pin.interpreters, [Interpreter { program: sh.clone(), version: None }]);
        assert_eq!(pin.packages, [place.path(package)]);
        assert_eq!(pin.files.len(), 6, "{:?}", pin.files);
        assert!(pin.files.contains_key(sh.to_str().unwrap()));
        place.write(&format!("{package}/node_modules/dep/index.js"), "2");
        assert!(place.changed(&wanted).starts_with(&format!("`{}` has changed", deep.display())));
        place.write(&format!("{package}/node_modules/dep/index.js"), "1");
        assert!(matches!(place.pins().standing(&wanted).unwrap(), Standing::Pinned(_)));
        let new = place.write(&format!("{package}/new.js"), "");
        assert_eq!(place.changed(&wanted), format!("`{}` is new", new.display()));
        std::fs::remove_file(new).unwrap();
        std::fs::remove_file(place.path(&format!("{package}/link"))).unwrap();
        assert!(place.changed(&wanted).ends_with("/link` is gone"), "{}", place.changed(&wanted));
    }

    #[test]
    fn the_files_of_a_command_line_belong_to_it() {
        let place = Place::new();
        let (program, rules) = (place.write("lint", "x"), place.write("rules.toml", "a = 1"));
        let wanted = command(&[&program, &rules]);
        assert_eq!(place.pin(&wanted).files.len(), 2);
        place.write("rules.toml", "a = 2");
        assert!(place.changed(&wanted).starts_with(&format!("`{}` has changed", rules.display())));
        let other = command(&[&program]);
        assert!(place.changed(&other).starts_with("its command line is another: "), "{}", place.changed(&other));
    }

    #[test]
    fn the_hash_of_several_files_is_that_of_the_lines_of_sha256sum() {
        let place = Place::new();
        let (a, b) = (place.write("a", "1"), place.write("b", "2"));
        let pin = place.pins().measure(&command(&[&a, &b])).unwrap();
        let sums = std::process::Command::new("sha256sum").args([&a, &b]).output().unwrap();
        assert_eq!(pin.sha256, hex::encode(Sha256::digest(&sums.stdout)));
    }

    /// The mtime is set back, the size is the same, and the file is the same one.
    #[test]
    fn a_change_that_hides_is_read_all_the_same() {
        let place = Place::new();
        let program = place.write("lint", "good");
        let mut digests = Digests::load(&place.path("digests.json"));
        let meta = program.metadata().unwrap();
        let good = digests.of(&program).unwrap();
        assert!(!digests.is_new, "a file that has just changed is not kept");
        digests.known.insert(program.clone(), Known { identity: Identity::of(&meta), sha256: good.clone() });
        std::thread::sleep(Duration::from_millis(30));
        let file = std::fs::OpenOptions::new().write(true).open(&program).unwrap();
        std::io::Write::write_all(&mut &file, b"evil").unwrap();
        file.set_modified(meta.modified().unwrap()).unwrap();
        let now = program.metadata().unwrap();
        assert_eq!((now.len(), now.ino(), now.modified().unwrap()), (4, meta.ino(), meta.modified().unwrap()));
        assert_ne!(digests.of(&program).unwrap(), good);
    }

    #[test]
    fn what_has_not_changed_is_not_read_again() {
        let place = Place::new();
        let program = place.write("lint", "good");
        // An old file, as most are: what is kept is believed as long as nothing about it has changed.
        let identity = Identity::of(&program.metadata().unwrap());
        let known = HashMap::from([(program.clone(), Known { identity, sha256: "kept".into() })]);
        std::fs::write(place.path("digests.json"), serde_json::to_vec(&known).unwrap()).unwrap();
        assert_eq!(Digests::load(&place.path("digests.json")).of(&program).unwrap(), "kept");
        // And one that cannot be read costs time only.
        std::fs::write(place.path("digests.json"), "garbage").unwrap();
        assert_ne!(Digests::load(&place.path("digests.json")).of(&program).unwrap(), "kept");
    }

    #[test]
    fn pins_that_cannot_be_read_are_no_absence_of_pins() {
        let place = Place::new();
        let wanted = Wanted::claude(&place.write("claude", "x"));
        place.pin(&wanted);
        let text = std::fs::read_to_string(place.path("engines.lock")).unwrap();
        std::fs::write(place.path("engines.lock"), &text[..text.len() / 2]).unwrap();
        let error = place.pins().standing(&wanted).unwrap_err();
        assert!(format!("{error:#}").contains("cannot be read"), "{error:#}");
        place.pins().save(Vec::new()).unwrap();
        assert!(!place.path("engines.lock").exists());
    }

    #[tokio::test]
    async fn a_pin_has_the_versions_that_programs_say() {
        let place = Place::new();
        let program = place.write("claude", "#!/bin/sh\necho \"2.1.330 (Claude Code)${SECRET}\"\n");
        let pin = place.pins().make(&Wanted::claude(&program)).await.unwrap();
        assert_eq!(pin.version.as_deref(), Some("2.1.330"));
        let mute = place.write("mute", "#!/bin/sh\nexit 3\n");
        assert_eq!(place.pins().make(&command(&[&mute])).await.unwrap().version, None);
        let error = place.pins().make(&Wanted::claude(&mute)).await.unwrap_err();
        assert!(error.to_string().ends_with("--version` ended with exit status 3"), "{error:#}");
        let limit = Duration::from_secs(1);
        let deadlines = Deadlines { first_byte: limit, idle: limit, total: limit };
        let spec = EngineSpec::Command(CommandSpec { argv: vec!["/x".into(), "y".into()], deadlines });
        assert_eq!(Wanted::of(&spec).unwrap().argv, ["/x", "y"]);
        assert_eq!(Wanted::of(&EngineSpec::Rules), None);
    }
}
