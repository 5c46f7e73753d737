//! What limits and hardening are worth, by trying: `cicdctl run probe` is started inside a unit with the very properties
//! of a service or a cage, tries what these are to refuse, and says what happened.
//!
//! - [`inside`]: the attempts, and going beyond limits. Runs in the unit.
//! - [`start`]: makes such units and takes their answer.
//! - [`verdict`]: what follows from an answer. Pure.
//! - [`remedy`]: the one command that helps.
//! - [`memory`]: the last verdicts, for `status`, which has no time to probe.

mod inside;
pub mod memory;
pub mod remedy;
mod start;
mod verdict;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use inside::{attempt, exceed, hog};
pub use start::{Refusal, cage, cage_digest, limits, service};
pub use verdict::{Confined, Declared, LimitProof, Standing, limit_proofs, verdict};

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    WriteHome,
    WriteSystem,
    WriteCgroup,
    OtherEnvironment,
    OtherMemory,
    OtherCommands,
    Signal,
    SharedTmp,
    SharedMemory,
    SetUid,
    GainPrivileges,
    Namespace,
    Mount,
    PacketSocket,
    CoreDump,
    // Of a cage only:
    ReadCredentials,
    ReadConfiguration,
    ReadState,
    RunnerSocket,
    AgentSocket,
    UserBus,
    ManagerSocket,
    SystemBus,
    Network,
    Environment,
}

impl What {
    /// To follow "it can".
    pub fn as_str(self) -> &'static str {
        match self {
            What::WriteHome => "write to the home directory",
            What::WriteSystem => "change the read-only file system",
            What::WriteCgroup => "lift its limits (cgroup files)",
            What::OtherEnvironment => "read the environment of other processes",
            What::OtherMemory => "look into the memory of other processes (ptrace)",
            What::OtherCommands => "see the command lines of other users",
            What::Signal => "send signals to other processes of the user",
            What::SharedTmp => "see the files of others in /tmp",
            What::SharedMemory => "see the files of others in /dev/shm",
            What::SetUid => "make a set-uid file",
            What::GainPrivileges => "gain privileges by set-uid programs",
            What::Namespace => "make a namespace",
            What::Mount => "mount",
            What::PacketSocket => "ask for exotic sockets",
            What::CoreDump => "leave a core dump",
            What::ReadCredentials => "read the credentials directory",
            What::ReadConfiguration => "read the configuration",
            What::ReadState => "read the store and the state of agents",
            What::RunnerSocket => "connect to the runner",
            What::AgentSocket => "connect to an agent",
            What::UserBus => "connect to the user's bus",
            What::ManagerSocket => "connect to the user manager",
            What::SystemBus => "connect to the system bus",
            What::Network => "connect to the network",
            What::Environment => "see variables that are not its own",
        }
    }
}

/// What a probe needs to know to try.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Request {
    /// A process of the same user outside of the unit.
    pub peer: u32,
    /// Files to write, files and directories to read, sockets to connect to.
    pub paths: Vec<(What, PathBuf)>,
    /// A port of the loopback interface on which somebody listens.
    pub port: Option<u16>,
    /// The variables that may be there; `None`: any.
    pub variables: Option<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    pub what: What,
    /// Path, process or port.
    pub on: String,
    #[serde(flatten)]
    pub got: Got,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Got {
    /// By this error, such as `EPERM`.
    Refused(String),
    /// What was got.
    Allowed(String),
}

/// The answer of a probe.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    pub attempts: Vec<Attempt>,
    pub control: Control,
}

/// What the control group of the unit says; `None` where it has no such file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Control {
    pub memory_max: Option<String>,
    pub cpu_max: Option<String>,
    pub pids_max: Option<String>,
}

/// What came of going beyond small limits; `None` where there is nothing that could enforce them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Exceeded {
    /// Whether the process that took too much memory was killed.
    pub memory: Option<bool>,
    /// Whether a task too many was refused.
    pub tasks: Option<bool>,
    /// Whether a busy process was held back.
    pub cpu: Option<bool>,
}
