//! Where secrets are kept: a directory of the user's alone, with a file for each.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use anyhow::{Context, Result, bail};
use schemars::JsonSchema;
use serde::Serialize;

use super::creds::Creds;
use super::{Redactor, VARIABLES, Value, environment, name_of, text};
use crate::error::Fail;
use crate::files;

/// What the name of an encrypted secret ends with.
const ENCRYPTED: &str = ".cred";
/// Largest file that is read: an encrypted value of the longest kind, as text.
const MAX_FILE: u64 = 256 << 10;

/// How a secret is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub enum Kept {
    /// By the host's systemd, for this user on this host.
    #[serde(rename = "encrypted")]
    Encrypted,
    /// For whoever can read the user's files.
    #[serde(rename = "plain")]
    Plain,
    /// In the file of environment.d: for every program of the user.
    #[serde(rename = "environment.d")]
    Environment,
}

impl Kept {
    pub fn as_str(self) -> &'static str {
        match self {
            Kept::Encrypted => "encrypted",
            Kept::Plain => "plain",
            Kept::Environment => "environment.d",
        }
    }
}

/// A secret that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Stored {
    pub name: String,
    pub kept: Kept,
    pub file: PathBuf,
    /// Size of the file, which is not that of the value.
    pub bytes: u64,
    pub changed_ms: i64,
}

/// Tells one content of a file from the next: each write makes a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(meta: &fs::Metadata) -> Stamp {
        Stamp { inode: meta.ino(), size: meta.len(), changed: (meta.mtime(), meta.mtime_nsec()) }
    }
}

/// What this process has read. To decrypt a value takes a while, and it is asked for with each job.
#[derive(Default)]
pub struct Memory {
    /// What its environment gave it, by name.
    given: Vec<(String, Value)>,
    values: Mutex<BTreeMap<PathBuf, (Stamp, Value)>>,
    redactor: RwLock<(Stamps, Arc<Redactor>)>,
}

type Stamps = Vec<(PathBuf, Stamp)>;

impl Default for Redactor {
    fn default() -> Self {
        Redactor::new([])
    }
}

impl Memory {
    /// Of a process with such an environment.
    pub fn new<'a>(variable: impl Fn(&str) -> Option<&'a str>) -> Memory {
        let given = VARIABLES.iter().filter_map(|name| Some((named(name), Value::new(variable(name)?)))).collect();
        Memory { given, ..Memory::default() }
    }

    /// As of the last [`Vault::redactor`], without looking anything up: for texts that are made all the time.
    pub fn redactor(&self) -> Arc<Redactor> {
        self.redactor.read().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    fn values(&self) -> MutexGuard<'_, BTreeMap<PathBuf, (Stamp, Value)>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The user's secrets.
pub struct Vault {
    dir: PathBuf,
    /// `cicd-toolkit.conf` of environment.d.
    environment: PathBuf,
    creds: Creds,
    memory: Arc<Memory>,
}

impl Vault {
    pub fn new(dir: PathBuf, environment: PathBuf, memory: Arc<Memory>) -> Vault {
        Vault { dir, environment, creds: Creds::default(), memory }
    }

    /// The value as it is now, and how it is kept. A file that was put there by hand may have a newline at its end and
    /// the like; what can be no value is an error that says so.
    pub fn load(&self, name: &str) -> Result<Option<(Kept, Value)>> {
        let Some((kept, path, meta)) = self.find(name)? else { return Ok(None) };
        let stamp = Stamp::of(&meta);
        if let Some((known, value)) = self.memory.values().get(&path)
            && *known == stamp
        {
            return Ok(Some((kept, value.clone())));
        }
        let remedy = format!("`cicdctl secret set {name}` stores it anew");
        let wrong = |why: String| Fail::new(format!("the secret `{name}` is of no use: {why}")).hint(&remedy);
        let bytes = read(&path).with_context(|| wrong("its file cannot be read".into()))?;
        let bytes = match kept {
            Kept::Encrypted => self
                .creds
                .decrypt(name, &bytes)
                .map_err(|why| wrong(format!("`{}` cannot be decrypted on this host: {why}", path.display())))?,
            _ => bytes,
        };
        let value = text::value(name, &bytes).map_err(|why| wrong(format!("`{}`: {why}", path.display())))?;
        self.memory.values().insert(path, (stamp, value.clone()));
        Ok(Some((kept, value)))
    }

    pub fn value(&self, name: &str) -> Result<Option<Value>> {
        Ok(self.load(name)?.map(|(_, value)| value))
    }

    /// The file of a secret that is kept as it is.
    pub fn plain_file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Keeps a value, encrypted if the host can and `plain` is not asked for; says how, and why not encrypted. When this
    /// returns it is on the disk.
    pub fn store(&self, name: &str, value: &Value, plain: bool) -> Result<(Kept, Option<String>)> {
        self.make_dir()?;
        let [encrypted, clear] = [format!("{name}{ENCRYPTED}"), name.to_owned()].map(|name| self.dir.join(name));
        let text = match plain {
            true => Err("as was asked for".to_owned()),
            false => self.creds.encrypt(name, value),
        };
        let (kept, path, other, text, why) = match text {
            Ok(text) => (Kept::Encrypted, encrypted, clear, text, None),
            Err(why) => (Kept::Plain, clear, encrypted, value.reveal().as_bytes().to_owned(), Some(why)),
        };
        files::write(&path, &text, 0o600)?;
        // Only now: who is killed between the two has both, and the newer one holds.
        files::remove(&other)?;
        Ok((kept, why))
    }

    /// What is there, by name; a secret that is in both places is there twice.
    pub fn list(&self) -> Result<Vec<Stored>> {
        let mut all = Vec::new();
        for name in self.names()? {
            let Some((kept, file, meta)) = self.find(&name)? else { continue };
            all.push(stored(name, kept, file, &meta));
        }
        if let Some((text, meta)) = self.environment()? {
            for found in environment::secrets(&text) {
                if let Some(name) = name_of(&found.name) {
                    all.push(stored(name.to_owned(), Kept::Environment, self.environment.clone(), &meta));
                }
            }
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// Removes the files of a secret; says whether there was one.
    pub fn remove(&self, name: &str) -> Result<bool> {
        let mut was_there = false;
        for file in [format!("{name}{ENCRYPTED}"), name.to_owned()].map(|name| self.dir.join(name)) {
            was_there |= fs::symlink_metadata(&file).is_ok();
            files::remove(&file)?;
            self.memory.values().remove(&file);
        }
        Ok(was_there)
    }

    /// The value of a variable in our own file of environment.d, as it is now: what a process was given at its start may
    /// be another one.
    pub fn variable(&self, variable: &str) -> Result<Option<Value>> {
        let Some((text, _)) = self.environment()? else { return Ok(None) };
        let found = environment::secrets(&text).into_iter().rfind(|found| found.name == variable);
        Ok(found.and_then(|found| found.value))
    }

    /// Tells whether anything has changed since: names and stamps of all files.
    pub fn stamps(&self) -> Vec<(PathBuf, Stamp)> {
        let mut stamps = Vec::new();
        let mut push = |path: PathBuf| {
            if let Ok(meta) = fs::symlink_metadata(&path) {
                stamps.push((path, Stamp::of(&meta)));
            }
        };
        for name in files::names(&self.dir).unwrap_or_default() {
            push(self.dir.join(name));
        }
        push(self.environment.clone());
        stamps
    }

    /// Knows all values that are kept here. One that cannot be read cannot get anywhere, either.
    pub fn redactor(&self) -> Arc<Redactor> {
        let stamps = self.stamps();
        {
            let known = self.memory.redactor.read().unwrap_or_else(PoisonError::into_inner);
            if known.0 == stamps {
                return known.1.clone();
            }
        }
        let mut values = self.memory.given.clone();
        for name in self.names().unwrap_or_default() {
            if let Ok(Some(value)) = self.value(&name) {
                values.push((name, value));
            }
        }
        if let Ok(Some((text, _))) = self.environment() {
            for found in environment::secrets(&text) {
                values.extend(found.value.map(|value| (named(&found.name), value)));
            }
        }
        let redactor = Arc::new(Redactor::new(values.iter().map(|(name, value)| (name.as_str(), value.reveal()))));
        *self.memory.redactor.write().unwrap_or_else(PoisonError::into_inner) = (stamps, redactor.clone());
        redactor
    }

    /// Names of secrets that have a file.
    fn names(&self) -> Result<Vec<String>> {
        let mut names: Vec<String> = files::names(&self.dir)?
            .into_iter()
            .map(|name| name.strip_suffix(ENCRYPTED).map_or(name.clone(), str::to_owned))
            .filter(|name| super::check_name(name).is_ok())
            .collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// The newer of the two files that a secret may have.
    fn find(&self, name: &str) -> Result<Option<(Kept, PathBuf, fs::Metadata)>> {
        let mut found: Option<(Kept, PathBuf, fs::Metadata)> = None;
        for (kept, file) in [(Kept::Encrypted, format!("{name}{ENCRYPTED}")), (Kept::Plain, name.to_owned())] {
            let path = self.dir.join(file);
            match fs::symlink_metadata(&path) {
                Ok(meta) => {
                    let time = |meta: &fs::Metadata| (meta.mtime(), meta.mtime_nsec());
                    if found.as_ref().is_none_or(|(_, _, other)| time(other) < time(&meta)) {
                        found = Some((kept, path, meta));
                    }
                }
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("could not look at `{}`", path.display()));
                }
            }
        }
        Ok(found)
    }

    fn environment(&self) -> Result<Option<(String, fs::Metadata)>> {
        let Ok(meta) = fs::metadata(&self.environment) else { return Ok(None) };
        Ok(files::read(&self.environment)?.map(|text| (text, meta)))
    }

    /// A directory that others can look into is closed to them first; one that is not ours to close is refused.
    fn make_dir(&self) -> Result<()> {
        match fs::symlink_metadata(&self.dir) {
            Err(_) => return files::make_dir(&self.dir, 0o700),
            Ok(meta) if !meta.is_dir() => bail!(
                Fail::new(format!("`{}` is no directory", self.dir.display()))
                    .hint("move it away, then run the command again")
            ),
            Ok(meta) if meta.uid() != rustix::process::geteuid().as_raw() => {
                bail!(Fail::new(format!("`{}` belongs to another user", self.dir.display())).hint(format!(
                    "as root `chown {}: {}`",
                    rustix::process::geteuid().as_raw(),
                    self.dir.display()
                )))
            }
            Ok(meta) if meta.mode() & 0o077 == 0 => {}
            Ok(_) => close(&self.dir, 0o700)?,
        }
        Ok(())
    }
}

/// What a variable's value is called where it was.
fn named(variable: &str) -> String {
    name_of(variable).unwrap_or(variable).to_owned()
}

fn stored(name: String, kept: Kept, file: PathBuf, meta: &fs::Metadata) -> Stored {
    let changed_ms = meta.mtime().saturating_mul(1000).saturating_add(meta.mtime_nsec() / 1_000_000);
    Stored { name, kept, file, bytes: meta.len(), changed_ms }
}

/// Takes all rights of others away.
pub fn close(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .with_context(|| format!("could not take the rights of others at `{}` away", path.display()))
}

/// A regular file, and no symlink: whoever may change where that leads could make us read something else.
fn read(path: &Path) -> Result<Vec<u8>> {
    use std::io::Read;
    let read = || -> Result<Vec<u8>> {
        let file = files::open_untrusted(path)?.context("it is gone")?;
        let mut bytes = Vec::new();
        file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_FILE {
            bail!("it is larger than {MAX_FILE} bytes");
        }
        Ok(bytes)
    };
    read().with_context(|| format!("could not read `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place {
        dir: tempfile::TempDir,
    }

    /// Turns letters around, and fails where there is a file `broken`.
    const FAKE: &str = "#!/bin/sh\n[ ! -e \"${0%/*}/broken\" ] || { echo 'No such key.' >&2; exit 1; }\n[ \"$1 $3\" = '--user --newline=no' ] || exit 9\ncase $4 in encrypt) printf 'made for %s\\n' \"$2\"; tr a-z n-za-m ;; decrypt) read -r head; [ \"$head\" = \"made for $2\" ] || { echo 'Name does not match.' >&2; exit 1; }; tr a-z n-za-m ;; esac\n";

    impl Place {
        fn new() -> Place {
            let place = Place { dir: tempfile::tempdir().unwrap() };
            let program = place.path("systemd-creds");
            fs::write(&program, FAKE).unwrap();
            close(&program, 0o700).unwrap();
            place
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        /// On a host that can encrypt, or cannot.
        fn vault(&self, encrypts: bool) -> Vault {
            let program = if encrypts { self.path("systemd-creds") } else { "/nonexistent/systemd-creds".into() };
            Vault {
                creds: Creds::of(program),
                ..Vault::new(self.path("credentials"), self.path("env.conf"), Arc::default())
            }
        }

        fn files(&self) -> Vec<String> {
            files::names(&self.path("credentials")).unwrap()
        }
    }

    fn text(vault: &Vault, name: &str) -> Option<String> {
        vault.value(name).unwrap().map(|value| value.reveal().to_owned())
    }

    const KEY: &str = "anthropic-api-key";

    #[test]
    fn a_value_is_kept_encrypted_where_that_can_be_had_and_as_it_is_where_not() {
        let place = Place::new();
        let (can, cannot) = (place.vault(true), place.vault(false));
        assert_eq!(text(&can, KEY), None);
        let (kept, why) = cannot.store(KEY, &Value::new("canary"), false).unwrap();
        assert!(kept == Kept::Plain && why.unwrap().contains("/nonexistent/systemd-creds"));
        assert_eq!((place.files(), text(&can, KEY).as_deref()), (vec![KEY.into()], Some("canary")));
        assert_eq!(can.store(KEY, &Value::new("canary-2"), false).unwrap(), (Kept::Encrypted, None));
        let file = place.path("credentials/anthropic-api-key.cred");
        assert_eq!(place.files(), ["anthropic-api-key.cred"]);
        assert!(!fs::read_to_string(&file).unwrap().contains("canary"));
        assert_eq!(text(&can, KEY).as_deref(), Some("canary-2"));
        let modes = [place.path("credentials"), file].map(|path| fs::metadata(path).unwrap().mode() & 0o777);
        assert_eq!(modes, [0o700, 0o600]);
        assert_eq!(can.store(KEY, &Value::new("canary-3"), true).unwrap().0, Kept::Plain);
        assert_eq!((place.files(), text(&can, KEY).as_deref()), (vec![KEY.into()], Some("canary-3")));
        assert!(can.remove(KEY).unwrap() && !can.remove(KEY).unwrap());
        assert_eq!((place.files(), text(&can, KEY)), (vec![], None));
    }

    #[test]
    fn another_process_sees_the_new_value_at_once() {
        let place = Place::new();
        for encrypts in [true, false] {
            let (here, there) = (place.vault(encrypts), place.vault(encrypts));
            here.store(KEY, &Value::new("value-one"), false).unwrap();
            assert_eq!(text(&there, KEY).as_deref(), Some("value-one"));
            let before = there.stamps();
            assert!(before == there.stamps() && there.redactor().finds("value-one"));
            here.store(KEY, &Value::new("value-two"), false).unwrap();
            assert_eq!(text(&there, KEY).as_deref(), Some("value-two"));
            assert!(before != there.stamps() && there.redactor().finds("value-two"));
        }
    }

    #[test]
    fn what_is_of_no_use_is_said_with_its_remedy_and_without_a_word_of_it() {
        let place = Place::new();
        place.vault(true).store(KEY, &Value::new("canary"), false).unwrap();
        let error = |vault: &Vault, name: &str| {
            let error = vault.value(name).unwrap_err();
            let text = crate::error::describe(&error);
            assert!(text.contains(&format!("hint: `cicdctl secret set {name}` stores it anew")), "{text}");
            assert!(!text.contains("canary"), "{text}");
            text
        };
        fs::copy(place.path("credentials/anthropic-api-key.cred"), place.path("credentials/github-token.cred"))
            .unwrap();
        assert!(error(&place.vault(true), "github-token").contains("cannot be decrypted on this host"));
        fs::write(place.path("broken"), "").unwrap();
        assert!(error(&place.vault(true), KEY).contains("No such key."));
        assert!(error(&place.vault(false), KEY).contains("/nonexistent/systemd-creds"));
        fs::remove_file(place.path("credentials/github-token.cred")).unwrap();
        fs::write(place.path("credentials/github-token"), "canary canary").unwrap();
        assert!(error(&place.vault(true), "github-token").contains("white space"));
    }

    #[test]
    fn of_two_files_the_newer_one_holds() {
        let place = Place::new();
        let vault = place.vault(true);
        vault.store(KEY, &Value::new("encrypted"), false).unwrap();
        let old = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
        let set =
            |name: &str| fs::File::options().write(true).open(place.path(name)).unwrap().set_modified(old).unwrap();
        fs::write(place.path("credentials/anthropic-api-key"), "by hand\n".replace(' ', "-")).unwrap();
        set("credentials/anthropic-api-key.cred");
        assert_eq!(text(&vault, KEY).as_deref(), Some("by-hand"));
        vault.store(KEY, &Value::new("encrypted"), false).unwrap();
        assert_eq!((text(&vault, KEY).as_deref(), place.files().len()), (Some("encrypted"), 1));
    }

    #[test]
    fn an_open_directory_is_closed_and_links_are_not_followed() {
        let place = Place::new();
        let vault = place.vault(false);
        let dir = place.path("credentials");
        fs::create_dir(&dir).unwrap();
        close(&dir, 0o755).unwrap();
        vault.store(KEY, &Value::new("canary"), false).unwrap();
        assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o777, 0o700);
        fs::write(place.path("elsewhere"), "else").unwrap();
        std::os::unix::fs::symlink(place.path("elsewhere"), dir.join("github-token")).unwrap();
        let error = vault.value("github-token").unwrap_err();
        assert!(format!("{error:#}").contains("github-token` is of no use"), "{error:#}");
        assert!(vault.store("github-token", &Value::new("canary"), false).is_err());
        assert_eq!(fs::read_to_string(place.path("elsewhere")).unwrap(), "else");
        fs::remove_dir_all(&dir).unwrap();
        std::os::unix::fs::symlink(place.path(""), &dir).unwrap();
        let error = vault.store(KEY, &Value::new("canary"), false).unwrap_err();
        assert!(error.to_string().contains("is no directory"), "{error:#}");
    }

    #[test]
    fn what_stands_in_the_environment_is_listed_and_found() {
        let place = Place::new();
        let vault = place.vault(false);
        fs::write(place.path("env.conf"), "GITHUB_TOKEN=\"canary-77\"\nX=1\n").unwrap();
        vault.store(KEY, &Value::new("canary-88"), false).unwrap();
        let listed: Vec<_> = vault.list().unwrap().into_iter().map(|stored| (stored.name, stored.kept)).collect();
        assert_eq!(listed, [(KEY.to_owned(), Kept::Plain), ("github-token".to_owned(), Kept::Environment)]);
        assert_eq!(vault.variable("GITHUB_TOKEN").unwrap().unwrap().reveal(), "canary-77");
        assert_eq!(
            vault.redactor().text("canary-77 canary-88"),
            "[redacted github-token] [redacted anthropic-api-key]"
        );
    }
}
