//! Configuration files laid over each other → values that are within their ranges, or an error that names the place.
//! Pure.

use std::path::Path;

use anyhow::{Result, bail};

use super::lock::{self, LOCKED};
use super::policy::{REPOSITORY_FILE, RepositoryFile};
use super::read::{Source, at_key, from_text};
use super::schema::Of;
use super::{Agent, AgentBudget, AgentFile, Config, Limits, Span, variable};
use crate::agent::AgentName;
use crate::error::Fail;
use crate::forge::github::TOKEN_VARIABLES;
use crate::forge::github::app::is_app_id;
use crate::money::Cap;
use crate::skill::check_name;

const ABSOLUTE: &str = "it must be an absolute path, such as /home/you/src/shop (`~` means nothing here)";
/// Above about 30 comments GitHub answers 502 or "submitted too quickly".
const MAX_INLINE: u32 = 25;
/// GitHub wants no more; each look that finds something costs requests of an hourly quota.
pub const MIN_WATCH: Span = Span::secs(10);
const MAX_WATCH: Span = Span::secs(24 * 3600);
const MAX_DEBOUNCE: Span = Span::secs(3600);
const MAX_WRITE_PAUSE: Span = Span::secs(60);

/// The layers of the user's configuration, the weakest first.
pub fn parse_config(layers: &[Source<'_>]) -> Result<Config> {
    // The defaults are the lowest layer: a table that sets one key leaves the others as they are.
    let mut merged = toml::Table::try_from(Config::default())?;
    let mut locked: Vec<String> = Vec::new();
    let mut variables = toml::Table::new();
    for layer in layers {
        // Each alone first: only so does an error have its line.
        let config: Config = from_text(*layer, Of::User)?;
        check(&config).map_err(|(key, problem)| at_key(*layer, key, &problem))?;
        if !config.locked.is_empty() && !lock::may_lock(layer.path) {
            bail!(at_key(
                *layer,
                LOCKED,
                "only the files of the administrator, in /etc/cicd-toolkit and /opt/cicd-toolkit, lock settings"
            ));
        }
        if let Some(problem) = lock::problem(&config.locked) {
            bail!(at_key(*layer, LOCKED, &problem));
        }
        let over: toml::Table = from_text(*layer, Of::User)?;
        if let Some(key) = lock::violated(&locked, &over, &merged) {
            bail!(at_key(*layer, &key, lock::PROBLEM));
        }
        if variable::is(layer.path) {
            overlay(&mut variables, over.clone());
        }
        overlay(&mut merged, over);
        locked.extend(config.locked);
    }
    Ok(Config { locked, variables, ..merged.try_into()? })
}

/// An agent's file laid over the user's configuration.
pub fn parse_agent(name: &AgentName, source: Source<'_>, user: &Config) -> Result<Agent> {
    let file: AgentFile = from_text(source, Of::Agent)?;
    // The tables are checked as parts of a whole configuration, at their place in the file.
    let config: AgentCheck = from_text(source, Of::Agent)?;
    let whole = Config {
        job: config.job,
        review: config.review,
        trigger: config.trigger,
        paths: config.paths,
        policy: config.policy,
        engine: config.engine,
        forge: config.forge,
        watch: config.watch,
        ..Config::default()
    };
    check(&whole).map_err(|(key, problem)| at_key(source, key, &problem))?;
    check_limits("limits", &config.limits).map_err(|(key, problem)| at_key(source, key, &problem))?;
    if let Some(path) = &file.path
        && !path.is_absolute()
    {
        bail!(at_key(source, "path", ABSOLUTE));
    }
    if let Some(repo) = &file.repo
        && !is_repo(repo)
    {
        let fail = at_key(source, "repo", "a repository is written `owner/name`");
        bail!(match repo_of_address(repo) {
            Some(name) => fail.hint(format!("write `{name}`")),
            None => fail,
        });
    }
    if whole.watch.is_on() && file.repo.is_none() {
        bail!(at_key(
            source,
            "watch.interval",
            "there is nothing to watch: add `repo = \"owner/name\"` above the first [table]"
        ));
    }

    let mut merged = toml::Table::try_from(user)?;
    let mut over = toml::Table::new();
    over.insert("job".into(), file.job.into());
    over.insert("review".into(), file.review.into());
    over.insert("trigger".into(), file.trigger.into());
    // An empty list would take the place of the user's rules.
    if !file.paths.is_empty() {
        over.insert("paths".into(), file.paths.into());
    }
    over.insert("policy".into(), file.policy.into());
    over.insert("engine".into(), file.engine.into());
    over.insert("forge".into(), file.forge.into());
    over.insert("watch".into(), file.watch.into());
    // `day` and `month` of the user hold for all agents together; an agent's own are caps of another kind.
    let mut budget = file.budget;
    budget.remove("day");
    budget.remove("month");
    over.insert("budget".into(), budget.into());
    let mut as_user = over.clone();
    as_user.insert("agents".into(), toml::Table::from_iter([("limits".to_owned(), file.limits.clone().into())]).into());
    if let Some(key) = lock::violated(&user.locked, &as_user, &merged) {
        bail!(at_key(source, key.strip_prefix("agents.").unwrap_or(&key), lock::PROBLEM));
    }
    overlay(&mut merged, over);
    overlay(&mut merged, user.variables.clone());
    let mut limits = toml::Table::try_from(&user.agents.limits)?;
    overlay(&mut limits, file.limits);
    let mut effective = Config { variables: user.variables.clone(), ..merged.try_into()? };
    // The other two are laid over the user's with the table.
    let OwnBudget { pull: _, project: _, day, month } = config.budget;
    effective.budget.agent =
        Some(AgentBudget { name: name.clone(), day: day.unwrap_or(Cap::NONE), month: month.unwrap_or(Cap::NONE) });
    Ok(Agent { name: name.clone(), path: file.path, repo: file.repo, limits: limits.try_into()?, config: effective })
}

/// The file of a repository's base branch laid over the configuration that the host has for it.
///
/// The stricter answer to forks holds: a repository may be more careful than its host, never less.
pub fn parse_repository(text: &str, host: &Config) -> Result<Config> {
    let source = Source { path: Path::new(REPOSITORY_FILE), text };
    let RepositoryFile { trigger, paths: _, review } = from_text(source, Of::Repository)?;
    let mut over: toml::Table = from_text(source, Of::Repository)?;
    over.insert("review".into(), toml::Table::try_from(review)?.into());
    let sets = |key: &str| over.get("trigger").is_some_and(|trigger| trigger.get(key).is_some());
    if sets("command") {
        let problem = "only the host can say it, as comments are read before this file is";
        bail!(at_key(source, "trigger.command", problem));
    }
    let forks = sets("forks").then_some(trigger.forks);
    let mut merged = toml::Table::try_from(host)?;
    if let Some(key) = lock::violated(&host.locked, &over, &merged) {
        bail!(at_key(source, &key, lock::PROBLEM));
    }
    overlay(&mut merged, over);
    let Config { review, mut trigger, paths, .. } = merged.try_into()?;
    trigger.forks = forks.unwrap_or(host.trigger.forks).min(host.trigger.forks);
    let config = Config { review, trigger, paths, ..host.clone() };
    check(&config).map_err(|(key, problem)| at_key(source, key, &problem))?;
    Ok(config)
}

/// `owner/name` as GitHub, GitLab and Gitea have it.
pub fn is_repo(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    // What ends in `.git` is the address that git has for it.
    text.len() <= 200 && !text.ends_with(".git") && text.split('/').count() >= 2 && text.split('/').all(part)
}

/// `acme/shop` of an address that a browser or git could have for it.
fn repo_of_address(address: &str) -> Option<String> {
    let path = match address.split_once("://") {
        Some((_, rest)) => rest.split_once('/')?.1,
        None => address.split_once(':').map_or(address, |(_, path)| path),
    };
    let mut parts = path.split('/');
    let (owner, name) = (parts.next()?, parts.next()?);
    Some(format!("{owner}/{}", name.trim_end_matches(".git"))).filter(|repo| is_repo(repo))
}

/// A configuration file that is there but cannot be read.
pub fn unreadable(path: &Path, error: &std::io::Error) -> anyhow::Error {
    Fail::configuration(format!("could not read the configuration `{}`: {error}", path.display())).into()
}

#[derive(serde::Deserialize)]
#[serde(default)]
struct AgentCheck {
    limits: Limits,
    job: super::JobConfig,
    review: super::ReviewConfig,
    trigger: super::TriggerConfig,
    paths: Vec<super::PathRule>,
    policy: super::PolicyConfig,
    engine: super::EngineConfig,
    forge: super::ForgeConfig,
    watch: super::WatchConfig,
    budget: OwnBudget,
}

/// `[budget]` of an agent's file; what it does not say is not known here.
#[derive(serde::Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct OwnBudget {
    pull: Option<Cap>,
    project: Option<Cap>,
    day: Option<Cap>,
    month: Option<Cap>,
}

impl Default for AgentCheck {
    fn default() -> Self {
        let Config { job, review, trigger, paths, policy, engine, forge, watch, .. } = Config::default();
        let (limits, budget) = (Limits::default(), OwnBudget::default());
        AgentCheck { limits, job, review, trigger, paths, policy, engine, forge, watch, budget }
    }
}

/// Ranges that no type holds. The key is dotted.
fn check(config: &Config) -> Result<(), (&'static str, String)> {
    if !(1..=64).contains(&config.runner.jobs) {
        return Err(("runner.jobs", "it must be 1 to 64".into()));
    }
    check_limits("runner.limits", &config.runner.limits)?;
    check_limits("agents.limits", &config.agents.limits)?;
    if config.job.memory.0 < 16 << 20 {
        return Err(("job.memory", "below 16M no engine starts".into()));
    }
    if config.job.tasks < 4 {
        return Err(("job.tasks", "below 4 no engine starts".into()));
    }
    if config.job.disk.0 < 16 << 20 {
        return Err(("job.disk", "below 16M no engine has room to work".into()));
    }
    config.disk.check()?;
    if config.job.timeout.0.is_zero() {
        return Err(("job.timeout", "it must be above 0".into()));
    }
    if config.engine.claude.max_turns == 0 {
        return Err(("engine.claude.max_turns", "0 would mean no bound at all; write 1 or more".into()));
    }
    if !(config.engine.claude.max_budget_usd.is_finite() && config.engine.claude.max_budget_usd > 0.0) {
        return Err(("engine.claude.max_budget_usd", "it must be an amount above 0".into()));
    }
    if config.engine.claude.program.as_ref().is_some_and(|program| program.starts_with("~")) {
        return Err(("engine.claude.program", ABSOLUTE.into()));
    }
    if config.job.readable.iter().any(|dir| !dir.is_absolute()) {
        return Err(("job.readable", ABSOLUTE.into()));
    }
    if let Some(version) = &config.engine.claude.version
        && (version.is_empty() || version.contains(|c: char| c.is_whitespace() || c.is_control()))
    {
        return Err(("engine.claude.version", "write it as `claude --version` begins, such as 2.1.330".into()));
    }
    if config.review.chunk.0 < 1 << 10 {
        return Err(("review.chunk", "below 1K each file would be a call of its own".into()));
    }
    if !(1..=8).contains(&config.review.parallel) {
        return Err(("review.parallel", "it must be 1 to 8".into()));
    }
    if config.review.max_inline > MAX_INLINE {
        return Err(("review.max_inline", format!("at most {MAX_INLINE}: a forge refuses reviews with many comments")));
    }
    if config.forge.github.app_id.as_ref().is_some_and(|id| !is_app_id(id)) {
        return Err(("forge.github.app_id", "write the client id or the App id, as the App's page has it".into()));
    }
    for name in &config.review.skills {
        check_name(name).map_err(|problem| ("review.skills", problem))?;
    }
    if config.watch.is_on() && !(MIN_WATCH..=MAX_WATCH).contains(&config.watch.interval) {
        return Err(("watch.interval", format!("it must be {MIN_WATCH} to {MAX_WATCH}, or `0s` for not at all")));
    }
    if config.watch.debounce > MAX_DEBOUNCE {
        return Err(("watch.debounce", format!("at most {MAX_DEBOUNCE}")));
    }
    if config.forge.github.write_pause > MAX_WRITE_PAUSE {
        return Err(("forge.github.write_pause", format!("at most {MAX_WRITE_PAUSE}")));
    }
    let trigger = &config.trigger;
    let words = [
        ("trigger.label", &trigger.label),
        ("trigger.skip_label", &trigger.skip_label),
        ("trigger.command", &trigger.command),
    ];
    if let Some((key, _)) = words.into_iter().find(|(_, text)| text.trim().is_empty()) {
        return Err((key, "it must not be empty".into()));
    }
    for glob in &config.review.exclude {
        crate::globs::check_size(glob).map_err(|problem| ("review.exclude", problem))?;
        globset::Glob::new(glob).map_err(|error| ("review.exclude", error.to_string()))?;
    }
    for (name, value) in &config.environment {
        if !is_variable(name) {
            return Err((
                "environment",
                format!("`{name}` is not a valid name of a variable (letters, digits and `_`)"),
            ));
        }
        if value.chars().any(char::is_control) {
            return Err(("environment", format!("the value of `{name}` has a control character in it")));
        }
    }
    if let Some(name) = config.job.pass_environment.iter().find(|name| !is_variable(name)) {
        return Err(("job.pass_environment", format!("`{name}` is not a valid name of a variable")));
    }
    // GH_TOKEN is that of `gh`.
    let is_token = |name: &str| name == "GH_TOKEN" || TOKEN_VARIABLES.contains(&name);
    if let Some(name) = config.job.pass_environment.iter().find(|name| is_token(name)) {
        return Err(("job.pass_environment", format!("`{name}` is for publishing; no engine gets the forge's token")));
    }
    Ok(())
}

fn check_limits(table: &'static str, limits: &Limits) -> Result<(), (&'static str, String)> {
    if limits.cpu_weight.is_some_and(|weight| !(1..=10_000).contains(&weight)) {
        return Err((table, "`cpu_weight` must be 1 to 10000".into()));
    }
    if limits.memory.is_some_and(|memory| memory.0 < 16 << 20) {
        return Err((table, "`memory` must be at least 16M: below that nothing starts".into()));
    }
    if limits.tasks.is_some_and(|tasks| tasks < 8) {
        return Err((table, "`tasks` must be at least 8: below that nothing starts".into()));
    }
    Ok(())
}

fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Lays `over` upon `base`, table by table. Lists of tables (`[[paths]]`) follow each other, other lists take each
/// other's place.
fn overlay(base: &mut toml::Table, over: toml::Table) {
    let of_tables = |list: &[toml::Value]| list.first().is_some_and(toml::Value::is_table);
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(above)) => overlay(below, above),
            (Some(toml::Value::Array(below)), toml::Value::Array(above)) if of_tables(&above) => below.extend(above),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BudgetConfig, EngineName, Forks, On, Percent, Size};
    use crate::finding::Severity;

    fn config(text: &str) -> Result<Config> {
        parse_config(&[Source { path: Path::new("config.toml"), text }])
    }

    fn error(text: &str) -> String {
        crate::error::describe(&config(text).unwrap_err())
    }

    #[test]
    fn the_starter_file_says_what_the_defaults_are() {
        assert_eq!(config(super::super::starter()).unwrap(), Config::default());
        let uncommented: String = super::super::starter()
            .lines()
            .filter(|line| {
                ![
                    "#program",
                    "#version",
                    "#model",
                    "#base_url",
                    "#argv",
                    "#api_url",
                    "#app_id",
                    "#endpoint",
                    "#HTTPS_PROXY",
                    "#exclude",
                ]
                .iter()
                .any(|key| line.starts_with(key))
            })
            .filter(|line| !line.starts_with("# "))
            .map(|line| format!("{}\n", line.strip_prefix('#').unwrap_or(line)))
            .collect();
        assert_eq!(config(&uncommented).unwrap(), Config::default());
    }

    #[test]
    fn an_unknown_key_is_an_error_with_its_place_and_the_nearest_name() {
        assert_eq!(
            error("[runner]\njobs = 1\nidle_timout = \"5m\"\n"),
            "error: config.toml:3:1: unknown key `idle_timout`\n  hint: did you mean `idle_timeout`?"
        );
        assert!(error("[review]\nengine = \"claud\"\n").contains("config.toml:2:10: unknown value `claud`"));
        assert!(error("[review]\nengine = \"claud\"\n").contains("hint: did you mean `claude`?"));
    }

    #[test]
    fn wrong_values_and_wrong_syntax_have_their_place() {
        for (text, words) in [
            ("[runner]\njobs = \"two\"\n", "2:8: invalid type: string \"two\", expected a whole number"),
            ("[job]\nmemory = 512\n", "2:10: invalid type: integer `512`, expected a string in quotation marks"),
            ("[review]\nskills = \"x\"\n", "config.toml:2: `review.skills`: it is a list: write [\"x\"]"),
            ("runner = 5\n", "config.toml:1: `runner`: it is a table: write `[runner]`"),
            ("[runner]\njobs = [1]\n", "2:8: invalid type: a list, expected a whole number"),
            ("[review]\npost = 1\n", "expected true or false"),
        ] {
            assert!(error(text).contains(words), "{}", error(text));
        }
        assert!(error("[disk]\nkeep_jobs = \"1h\"\n").contains("config.toml:2: `disk.keep_jobs`: write 1d to 36500d"));
        assert!(error("[disk]\ngc = \"often\"\n").contains("config.toml:2:6: unknown value `often`"));
        let elsewhere = error("[runner.limits]\nmemory = \"1G\"\n[job]\nmemory = \"1M\"\n");
        assert!(elsewhere.contains("config.toml:4: `job.memory`: below 16M"), "{elsewhere}");
        assert!(error("[job]\ndisk = \"1M\"\n").contains("config.toml:2: `job.disk`: below 16M"));
        assert!(error("[job]\nmemory = \"512MB\"\n").contains("config.toml:2:10: `512MB` is not a valid size"));
        assert!(error("[job\n").starts_with("error: config.toml:1:"));
        assert!(error("[runner]\njobs = 0\n").contains("config.toml:2: `runner.jobs`: it must be 1 to 64"));
        assert!(error("[review]\nparallel = 9\n").contains("config.toml:2: `review.parallel`: it must be 1 to 8"));
        assert!(error("[review]\nchunk = \"512\"\n").contains("config.toml:2: `review.chunk`: below 1K"));
        assert!(error("[runner]\njobs = \"many\"\n").contains("config.toml:2:8: invalid type"));
    }

    #[test]
    fn layers_are_laid_over_each_other_key_by_key() {
        let lower = Source { path: Path::new("/etc/config.toml"), text: "[job]\nmemory = \"1G\"\ntasks = 100\n" };
        let upper = Source { path: Path::new("config.toml"), text: "[job]\ntasks = 50\n" };
        let config = parse_config(&[lower, upper]).unwrap();
        assert_eq!((config.job.memory, config.job.tasks), (Size(1 << 30), 50));
    }

    #[test]
    fn an_agent_takes_from_the_user_what_it_does_not_say_itself() {
        let user = config("[job]\ntasks = 99\n[agents.limits]\ncpu = \"30%\"\n").unwrap();
        let name = "myapp".parse().unwrap();
        let text = "path = \"/src/myapp\"\n[limits]\nmemory = \"256M\"\n[review]\nengine = \"command\"\n";
        let agent = parse_agent(&name, Source { path: Path::new("a.toml"), text }, &user).unwrap();
        assert_eq!(agent.limits.cpu, Some(Percent(30)));
        assert_eq!(agent.limits.memory, Some(Size(256 << 20)));
        assert_eq!(agent.config.job.tasks, 99);
        assert_eq!(agent.config.review.engine, EngineName::Command);

        let wrong = Source { path: Path::new("a.toml"), text: "[limits]\nmemroy = \"1G\"\n" };
        let error = parse_agent(&name, wrong, &user).unwrap_err();
        assert!(crate::error::describe(&error).contains("a.toml:2:1: unknown key `memroy`"), "{error:#}");
    }

    #[test]
    fn a_forge_is_safe_to_talk_to() {
        assert!(error("[forge.github]\napp_id = \"a b\"\n").contains("`forge.github.app_id`: write the client id"));
        assert!(error("[forge.github]\napi_url = \"http://github.example\"\n").contains("config.toml:2:11: `http"));
        assert!(error("[review]\nmax_inline = 26\n").contains("config.toml:2: `review.max_inline`: at most 25"));
        let passed = error("[job]\npass_environment = [\"GITHUB_TOKEN\"]\n");
        assert!(passed.contains("no engine gets the forge's token"), "{passed}");
        let user = config("[review]\npost = true\n").unwrap();
        let text = "repo = \"acme/shop\"\n[forge.github]\napi_url = \"https://git.acme.example/api/v3\"\n";
        let agent = parse_agent(&"shop".parse().unwrap(), Source { path: Path::new("a.toml"), text }, &user).unwrap();
        assert_eq!(agent.config.forge.github.api_url.unwrap().server(), "https://git.acme.example");
        assert!(agent.config.review.post);
    }

    #[test]
    fn a_watch_is_of_a_repository_and_not_too_eager() {
        assert!(
            error("[watch]\ninterval = \"9s\"\n")
                .contains("config.toml:2: `watch.interval`: it must be 10s to 1d, or `0s`")
        );
        assert!(error("[watch]\ndebounce = \"61m\"\n").contains("config.toml:2: `watch.debounce`: at most 1h"));
        let user = config("[watch]\ndebounce = \"5s\"\n").unwrap();
        let agent =
            |text: &str| parse_agent(&"shop".parse().unwrap(), Source { path: Path::new("shop.toml"), text }, &user);
        let shop = agent("repo = \"acme/shop\"\n[watch]\ninterval = \"60s\"\n").unwrap();
        assert_eq!((shop.watches(), shop.config.watch.debounce), (Some("acme/shop"), Span::secs(5)));
        assert_eq!(agent("repo = \"acme/shop\"\n").unwrap().watches(), None);
        let nothing = agent("[watch]\ninterval = \"60s\"\n").unwrap_err().to_string();
        assert!(nothing.contains("shop.toml:2: `watch.interval`: there is nothing to watch"), "{nothing}");
    }

    #[test]
    fn every_layer_may_say_when_to_review_and_rules_for_paths_add_up() {
        let user = config(
            "[trigger]\non = [\"opened\"]\n[[paths]]\nmatch = [\"*.sql\"]\nexclude = true\n[[paths]]\nmatch = [\"a/\"]\n",
        )
        .unwrap();
        assert_eq!((user.trigger.on.as_slice(), user.trigger.forks), (&[On::Opened][..], Forks::Label));
        let text = "[trigger]\nforks = \"off\"\n[[paths]]\nmatch = [\"b/\"]\nmax_diff = \"4K\"\n[policy]\nfrom_repository = false\n";
        let agent = parse_agent(&"shop".parse().unwrap(), Source { path: Path::new("a.toml"), text }, &user).unwrap();
        let of =
            |config: &Config| -> Vec<String> { config.paths.iter().map(|rule| rule.globs[0].to_string()).collect() };
        assert_eq!((agent.config.trigger.on.as_slice(), agent.config.trigger.forks), (&[On::Opened][..], Forks::Off));
        assert_eq!(of(&agent.config), ["*.sql", "a/", "b/"]);
        let silent =
            parse_agent(&"shop".parse().unwrap(), Source { path: Path::new("a.toml"), text: "" }, &user).unwrap();
        assert_eq!(of(&silent.config), ["*.sql", "a/"], "who says nothing takes nothing away");
        assert!(user.policy.from_repository && !agent.config.policy.from_repository);

        let own = parse_repository("[[paths]]\nmatch = [\"c/\"]\nmin_severity = \"high\"\n", &agent.config).unwrap();
        assert_eq!(of(&own), ["*.sql", "a/", "b/", "c/"]);
        assert_eq!((own.paths[2].max_diff, own.paths[3].min_severity), (Some(Size(4096)), Some(Severity::High)));
    }

    #[test]
    fn wrong_policies_have_their_place() {
        for (text, expected) in [
            ("[trigger]\non = [\"pushed\"]\n", "config.toml:2:7: unknown value `pushed`"),
            ("[trigger]\nfork = \"off\"\n", "hint: did you mean `forks`?"),
            ("[trigger]\nforks = \"summary\"\n", "config.toml:2:9: unknown value `summary`"),
            ("[trigger]\nlabel = \" \"\n", "config.toml:2: `trigger.label`: it must not be empty"),
            ("[trigger]\nbase_branches = [\"a[\"]\n", "config.toml:2:17: `a[` is no glob"),
            ("[[paths]]\nexclude = true\n", "config.toml:1:1: missing key `match`"),
            ("[[paths]]\nmatch = []\n", "config.toml:2:9: a rule without a glob"),
            ("[[paths]]\nmatch = [\"a\"]\n\n[[paths]]\nmatch = [\"b\", \"a[\"]\n", "config.toml:5:9: `a[` is no glob"),
            ("[[paths]]\nmatch = [\"a\"]\nengine = \"claude\"\n", "config.toml:3:1: unknown key `engine`"),
        ] {
            let error = error(text);
            assert!(error.contains(expected), "{text}{error}");
        }
    }

    #[test]
    fn a_repository_says_no_more_than_it_may() {
        let host = Config::default();
        let error = |text: &str| crate::error::describe(&parse_repository(text, &host).unwrap_err());
        for (text, expected) in [
            ("[engine.command]\nargv = [\"/bin/sh\"]\n", ".cicd-toolkit.toml:1:2: unknown key `engine`"),
            ("[trigger]\ncommand = \"/ask\"\n", ".cicd-toolkit.toml:2: `trigger.command`: only the host can say it"),
            ("[job]\npass_environment = [\"HOME\"]\n", ".cicd-toolkit.toml:1:2: unknown key `job`"),
            ("[policy]\nfrom_repository = true\n", ".cicd-toolkit.toml:1:2: unknown key `policy`"),
            ("[review]\npost = true\n", ".cicd-toolkit.toml:2:1: unknown key `post`"),
            ("[review]\nmax_diff = \"1G\"\n", ".cicd-toolkit.toml:2:1: unknown key `max_diff`"),
            ("[review]\nengine = \"claude\"\n", ".cicd-toolkit.toml:2:1: unknown key `engine`"),
            ("[review]\n\nmin_severty = \"low\"\n", ".cicd-toolkit.toml:3:1: unknown key `min_severty`"),
            ("[review]\n\nmin_severty = \"low\"\n", "hint: did you mean `min_severity`?"),
            ("[review]\nmax_inline = 99\n", ".cicd-toolkit.toml:2: `review.max_inline`: at most 25"),
            ("[review]\nexclude = [\"a[\"]\n", ".cicd-toolkit.toml:2: `review.exclude`"),
            ("[trigger\n", ".cicd-toolkit.toml:1:"),
        ] {
            let error = error(text);
            assert!(error.contains(expected), "{text}{error}");
        }
        let text = "[review]\nmin_severity = \"high\"\nexclude = [\"docs/\"]\ninstructions = \"Be brief.\"\nmax_inline = 2\nrefute = false\n";
        let own = parse_repository(text, &host).unwrap().review;
        assert_eq!((own.min_severity, own.max_inline, own.refute), (Severity::High, 2, false));
        assert_eq!((own.exclude, own.instructions.as_str()), (vec!["docs/".to_owned()], "Be brief."));
        assert_eq!(parse_repository("", &host).unwrap(), host);
        let source = Source { path: Path::new("a.toml"), text: "[budget]\nday = 1\n" };
        let agent = parse_agent(&"shop".parse().unwrap(), source, &host).unwrap().config;
        assert_eq!(parse_repository("", &agent).unwrap(), agent, "the caps of an agent are still there");
    }

    #[test]
    fn the_stricter_answer_to_forks_holds() {
        for (host, own, holds) in [
            ("off", "full", Forks::Off),
            ("label", "full", Forks::Label),
            ("summary-only", "full", Forks::SummaryOnly),
            ("full", "label", Forks::Label),
            ("summary-only", "off", Forks::Off),
        ] {
            let host = config(&format!("[trigger]\nforks = \"{host}\"\n")).unwrap();
            let own = format!("[trigger]\nforks = \"{own}\"\n");
            assert_eq!(parse_repository(&own, &host).unwrap().trigger.forks, holds, "{own}");
        }
        let host = config("[trigger]\nforks = \"full\"\n").unwrap();
        assert_eq!(parse_repository("[trigger]\ndrafts = true\n", &host).unwrap().trigger.forks, Forks::Full);
    }

    #[test]
    fn caps_of_the_user_hold_for_an_agent_whatever_its_file_says() {
        let user = config("[budget]\npull = 4\nday = 20\nmonth = \"none\"\n").unwrap();
        assert_eq!(
            user.budget,
            BudgetConfig { pull: Cap::dollars(4), day: Cap::dollars(20), month: Cap::NONE, ..Default::default() }
        );
        let agent = |text| {
            let source = Source { path: Path::new("shop.toml"), text };
            parse_agent(&"shop".parse().unwrap(), source, &user).map(|agent| agent.config.budget)
        };
        let own = |day, month| Some(AgentBudget { name: "shop".parse().unwrap(), day, month });
        assert_eq!(agent("").unwrap(), BudgetConfig { agent: own(Cap::NONE, Cap::NONE), ..user.budget.clone() });
        assert_eq!(
            agent("[budget]\npull = \"none\"\nproject = 30\nday = 1000\nmonth = 100\n").unwrap(),
            BudgetConfig {
                pull: Cap::NONE,
                project: Cap::dollars(30),
                agent: own(Cap::dollars(1000), Cap::dollars(100)),
                ..user.budget.clone()
            }
        );
        let wrong = agent("[budget]\nday = \"no\"\n").unwrap_err().to_string();
        assert!(wrong.starts_with("shop.toml:2:7: ") && wrong.contains("or \"none\" for no cap"), "{wrong}");
        assert!(agent("[budget]\nweek = 3\n").unwrap_err().to_string().contains("unknown key `week`"));
        assert!(error("[budget]\npull = -1\n").contains("config.toml:2:8: "));
        assert_eq!(
            parse_config(&[Source { path: Path::new("c.yaml"), text: "budget:\n  pull: 3\n  day: none\n" }])
                .unwrap()
                .budget,
            BudgetConfig { pull: Cap::dollars(3), day: Cap::NONE, ..Default::default() }
        );
    }

    #[test]
    fn repositories_are_owner_and_name() {
        assert!(is_repo("acme/web") && is_repo("group/sub/web.js"));
        for text in ["web", "", "/web", "a/", "../x", "a/../b", "a b/c", "a/-;rm"] {
            assert!(!is_repo(text), "{text}");
        }
    }

    #[test]
    fn yaml_takes_the_same_keys() {
        let yaml = |text| {
            let host = Source {
                path: Path::new("/etc/cicd-toolkit/config.toml"),
                text: "locked = [\"job.tasks\"]\njob.tasks = 99\n",
            };
            parse_config(&[host, Source { path: Path::new("config.yaml"), text }])
        };
        let config = yaml("runner:\n  jobs: 3\n").unwrap();
        assert_eq!((config.runner.jobs, config.job.tasks), (3, 99));
        assert_eq!(yaml(" \n").unwrap().job.tasks, 99);
        assert!(yaml("runner:\n  jbos: 3\n").unwrap_err().to_string().contains("jbos"));
        let refused = yaml("job:\n  tasks: 5\n").unwrap_err().to_string();
        assert!(refused.starts_with("config.yaml: `job.tasks`: the administrator of this host"), "{refused}");
        let wrong = yaml("runner:\n  jobs: 0\n").unwrap_err().to_string();
        assert_eq!(wrong, "config.yaml: `runner.jobs`: it must be 1 to 64");
    }
}
