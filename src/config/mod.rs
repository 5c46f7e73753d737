//! The configuration: `config.toml` for the user and `agents/NAME.toml` for each agent, as text ⇄ [`Config`]. A
//! parsed `Config` is valid. Pure; `host` reads the files.
//!
//! An agent's file may set everything below `[limits]`, `[job]`, `[review]`, `[trigger]`, `[[paths]]`, `[policy]`,
//! `[engine]`, `[forge]`, `[watch]` and `[budget]` for itself; what it leaves out comes from the user's file, and from
//! the defaults where that has nothing either. A repository's own file comes last, and may say less.

mod disk;
pub mod edit;
mod lock;
pub mod origin;
mod parse;
mod policy;
mod read;
pub mod schema;
mod shape;
mod value;
pub mod variable;

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::agent::AgentName;
use crate::engine::Deadlines;
use crate::finding::Severity;
use crate::money::Cap;

pub use disk::{DiskConfig, Every};
pub use parse::{MIN_WATCH, is_repo, parse_agent, parse_config, parse_repository, unreadable};
pub use policy::{Forks, On, PathRule, PolicyConfig, REPOSITORY_FILE, TriggerConfig};
pub use read::{Source, from_text, is_yaml, nearest_of, utf8};
pub use value::{ApiUrl, CollectorUrl, Percent, Size, Span};

/// What the user's `config.toml` holds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Settings, or tables of them, that no weaker layer changes: for the administrator's files in `/etc/cicd-toolkit` and
    /// `/opt/cicd-toolkit` only.
    pub locked: Vec<String>,
    /// Where `cicdctl secret set` keeps values.
    pub secrets: SecretsIn,
    pub runner: RunnerConfig,
    pub agents: AgentsConfig,
    pub hardening: HardeningConfig,
    pub job: JobConfig,
    pub review: ReviewConfig,
    pub trigger: TriggerConfig,
    /// In the order of the layers: what a later one says holds.
    pub paths: Vec<PathRule>,
    pub policy: PolicyConfig,
    pub engine: EngineConfig,
    pub forge: ForgeConfig,
    pub watch: WatchConfig,
    pub budget: BudgetConfig,
    pub disk: DiskConfig,
    pub traces: TracesConfig,
    /// Variables for every unit of the user, written to `environment.d`; never for secrets.
    pub environment: BTreeMap<String, String>,
    /// What [`variable`]s have set, which is above what an agent's file says, too.
    #[serde(skip)]
    pub variables: toml::Table,
}

/// Where secrets are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum SecretsIn {
    /// In files of their own, which only who needs them is given.
    #[default]
    #[serde(rename = "credentials")]
    Credentials,
    /// As variables in the file of environment.d, for every program of the user, as the deployment guide has it.
    #[serde(rename = "environment.d")]
    Environment,
}

/// The runner's own unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RunnerConfig {
    /// How long runner and agents stay with nothing to do; the socket wakes them. `0s` keeps them for good.
    pub idle_timeout: Span,
    /// Reviews at once in each of them.
    pub jobs: u32,
    /// How long a stop waits for running reviews; what is left then is queued again.
    pub stop_timeout: Span,
    pub limits: Limits,
}

impl Default for RunnerConfig {
    fn default() -> Self {
        RunnerConfig { idle_timeout: Span::secs(300), jobs: 2, stop_timeout: Span::secs(90), limits: Limits::default() }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AgentsConfig {
    /// For every agent that does not set its own.
    pub limits: Limits,
}

impl Default for AgentsConfig {
    fn default() -> Self {
        AgentsConfig { limits: Limits { cpu: Some(Percent(25)), memory: Some(Size(512 << 20)), ..Limits::default() } }
    }
}

/// Limits of a unit (systemd.resource-control(5)); each holds for the unit as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// `CPUQuota=`
    pub cpu: Option<Percent>,
    /// `CPUWeight=`, 1 to 10000
    pub cpu_weight: Option<u32>,
    /// `MemoryMax=`
    pub memory: Option<Size>,
    /// `MemorySwapMax=`
    pub swap: Option<Size>,
    /// `TasksMax=`
    pub tasks: Option<u32>,
    /// `LimitNOFILE=`
    pub open_files: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            cpu: Some(Percent(50)),
            cpu_weight: Some(100),
            memory: Some(Size(1 << 30)),
            swap: Some(Size(256 << 20)),
            tasks: Some(512),
            open_files: Some(65536),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HardeningConfig {
    pub level: Level,
}

/// How far units are confined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Off,
    #[default]
    Standard,
    Strict,
}

impl Level {
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Off => "off",
            Level::Standard => "standard",
            Level::Strict => "strict",
        }
    }
}

/// The cage in which the engine of one job runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct JobConfig {
    /// `CPUQuota=`
    pub cpu: Option<Percent>,
    /// `MemoryMax=`; what goes beyond is killed.
    pub memory: Size,
    /// `MemorySwapMax=`
    pub swap: Size,
    /// Processes and threads (`TasksMax=`).
    pub tasks: u32,
    /// What its directory and its engine's home may take on the disk together.
    pub disk: Size,
    /// Wall time of the engine, from start to end.
    pub timeout: Span,
    /// Until the engine's first output.
    pub first_output: Span,
    /// Between two pieces of the engine's output.
    pub idle_output: Span,
    /// Directories the engine may read besides the system's and the checkout (an interpreter below the home directory).
    pub readable: Vec<PathBuf>,
    /// Names of variables of the user manager that the engine gets; their values are never stored.
    pub pass_environment: Vec<String>,
}

impl Default for JobConfig {
    fn default() -> Self {
        JobConfig {
            cpu: Some(Percent(200)),
            memory: Size(2 << 30),
            swap: Size(0),
            tasks: 256,
            disk: Size(2 << 30),
            timeout: Span::secs(20 * 60),
            first_output: Span::secs(120),
            idle_output: Span::secs(300),
            readable: Vec::new(),
            pass_environment: Vec::new(),
        }
    }
}

impl JobConfig {
    pub fn deadlines(&self) -> Deadlines {
        Deadlines { first_byte: self.first_output.0, idle: self.idle_output.0, total: self.timeout.0 }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReviewConfig {
    /// The program that reads a change: rules (built in), the Claude Code CLI, or a command of yours.
    pub engine: EngineName,
    /// Findings below it are not shown.
    pub min_severity: Severity,
    /// Globs of paths that are left out.
    pub exclude: Vec<String>,
    /// How much of a change the engine is given, in bytes of diff (about four to a token).
    pub max_diff: Size,
    /// How much of it one call of the engine `claude` is given; a larger change is read by several.
    pub chunk: Size,
    /// How many of them run at once, 1 to 8.
    pub parallel: u32,
    /// Instructions for the engine, added to its own.
    pub instructions: String,
    /// What the engine is to look for: names of skills, embedded ones or the host's own. The rules need none.
    pub skills: Vec<String>,
    /// Publish reviews of pull requests at the forge, unless a request says otherwise.
    pub post: bool,
    /// How many findings stand at their lines, the gravest; the summary has the others.
    pub max_inline: u32,
    /// The engine `claude` looks a second time at findings of high and critical severity, and drops what it refutes.
    pub refute: bool,
}

impl Default for ReviewConfig {
    fn default() -> Self {
        ReviewConfig {
            engine: EngineName::Rules,
            min_severity: Severity::Info,
            exclude: Vec::new(),
            max_diff: Size(400 << 10),
            chunk: Size(120 << 10),
            parallel: 3,
            instructions: String::new(),
            skills: vec!["code-reviewer".into()],
            post: false,
            max_inline: 5,
            refute: true,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum EngineName {
    #[default]
    Rules,
    Claude,
    Command,
}

impl EngineName {
    pub fn as_str(self) -> &'static str {
        match self {
            EngineName::Rules => "rules",
            EngineName::Claude => "claude",
            EngineName::Command => "command",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EngineConfig {
    pub claude: ClaudeConfig,
    pub command: CommandConfig,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClaudeConfig {
    /// The `claude` executable; looked for on PATH and in `~/.local/bin` where it is not set.
    pub program: Option<PathBuf>,
    /// The only version that is used, as `claude --version` says it; any where it is not set.
    pub version: Option<String>,
    /// Model id; the engine's own default where it is not set.
    pub model: Option<String>,
    /// How often the engine may answer in one call.
    pub max_turns: u32,
    /// US dollars for one review, second look included.
    pub max_budget_usd: f64,
    /// Another address of the Messages API.
    pub base_url: Option<String>,
}

impl Default for ClaudeConfig {
    fn default() -> Self {
        ClaudeConfig { program: None, version: None, model: None, max_turns: 30, max_budget_usd: 2.0, base_url: None }
    }
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CommandConfig {
    /// Program and arguments: gets the change as JSON on stdin, prints findings as JSON or SARIF.
    pub argv: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ForgeConfig {
    pub github: GitHubConfig,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GitHubConfig {
    /// `https://HOST/api/v3` for an Enterprise Server. Where it is not set, within a workflow GITHUB_API_URL counts.
    pub api_url: Option<ApiUrl>,
    /// Client id or App id: the reviews are published by this App, whose key is the secret `github-app-key`.
    pub app_id: Option<String>,
    /// Between two writes of one review; a server without GitHub's rate limits needs none.
    pub write_pause: Span,
}

impl Default for GitHubConfig {
    fn default() -> Self {
        GitHubConfig { api_url: None, app_id: None, write_pause: Span::secs(1) }
    }
}

/// Where each job that a runner has brought to its end is told of as a trace.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TracesConfig {
    /// A collector of OpenTelemetry on this host, which knows where they go from there.
    pub endpoint: Option<CollectorUrl>,
}

/// How an agent with a repository looks by itself for something to review.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WatchConfig {
    /// Between two looks; `0s` is off.
    pub interval: Span,
    /// How long a head must stand before it is reviewed; another push begins that time anew.
    pub debounce: Span,
    /// Review what is open at the first look, too, and not only what changes after it.
    pub backlog: bool,
}

impl WatchConfig {
    pub fn is_on(&self) -> bool {
        !self.interval.0.is_zero()
    }
}

impl Default for WatchConfig {
    fn default() -> Self {
        WatchConfig { interval: Span::secs(0), debounce: Span::secs(20), backlog: false }
    }
}

/// Caps on what engines that cost may spend. That of one review is `[engine.claude] max_budget_usd`.
///
/// `day` and `month` are over all projects of the user, so an agent's file cannot change them: there the two are caps on
/// what this agent spends, beside the user's. A repository's own policy sets none of these.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BudgetConfig {
    /// All reviews of one pull request together, however long it is open.
    pub pull: Cap,
    /// Each project in a calendar month.
    pub project: Cap,
    pub day: Cap,
    pub month: Cap,
    #[serde(skip)]
    pub agent: Option<AgentBudget>,
}

impl Default for BudgetConfig {
    fn default() -> Self {
        BudgetConfig {
            pull: Cap::dollars(10),
            project: Cap::NONE,
            day: Cap::dollars(50),
            month: Cap::dollars(500),
            agent: None,
        }
    }
}

/// Whose configuration it is, and what its file says about its own spending.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentBudget {
    pub name: AgentName,
    pub day: Cap,
    pub month: Cap,
}

/// One agent: its name, its project and the configuration that holds for it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Agent {
    pub name: AgentName,
    /// Working copy of the project.
    pub path: Option<PathBuf>,
    /// `owner/name` at the forge.
    pub repo: Option<String>,
    pub limits: Limits,
    #[serde(skip)]
    pub config: Config,
}

impl Agent {
    /// The repository that it watches, if it does.
    pub fn watches(&self) -> Option<&str> {
        self.repo.as_deref().filter(|_| self.config.watch.is_on())
    }
}

/// What an agent's file holds; the tables are laid over the user's configuration.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AgentFile {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repo: Option<String>,
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub limits: toml::Table,
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub job: toml::Table,
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub review: toml::Table,
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub trigger: toml::Table,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<toml::Value>,
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub policy: toml::Table,
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub engine: toml::Table,
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub forge: toml::Table,
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub watch: toml::Table,
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub budget: toml::Table,
}

impl Config {
    /// Whether the administrator of the host has locked this key, or a table that it is in.
    pub fn is_locked(&self, key: &str) -> bool {
        lock::holds(&self.locked, key)
    }
}

/// What a new user's `config.toml` says.
pub fn starter() -> &'static str {
    include_str!("../../templates/config.toml")
}
