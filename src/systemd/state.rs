//! What the bus says about a unit → a value with names. Pure.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;
use sha2::{Digest, Sha256};
use zbus::wire::Variant;

/// Properties that confine a service (systemd.exec(5)).
pub const CONFINING: [&str; 29] = [
    "BindPaths",
    "BindReadOnlyPaths",
    "InaccessiblePaths",
    "LimitCORE",
    "LockPersonality",
    "MemoryDenyWriteExecute",
    "NoNewPrivileges",
    "PrivateDevices",
    "PrivateIPC",
    "PrivateNetwork",
    "PrivateTmp",
    "PrivateUsers",
    "ProcSubset",
    "ProtectControlGroups",
    "ProtectHome",
    "ProtectHostname",
    "ProtectKernelTunables",
    "ProtectProc",
    "ProtectSystem",
    "ReadOnlyPaths",
    "ReadWritePaths",
    "RestrictAddressFamilies",
    "RestrictNamespaces",
    "RestrictRealtime",
    "RestrictSUIDSGID",
    "SystemCallArchitectures",
    "SystemCallErrorNumber",
    "SystemCallFilter",
    "UMask",
];

/// The state of one unit, as `status` shows it. A property that the manager does not have is `None`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct UnitState {
    pub name: String,
    pub load: String,
    pub active: String,
    pub sub: String,
    /// `enabled`, `disabled`, `static`, …
    pub enabled: Option<String>,
    /// `success`, `exit-code`, `oom-kill`, `start-limit-hit`, …
    pub result: Option<String>,
    pub exit_status: Option<i32>,
    /// What the unit says of itself (`STATUS=`).
    pub status_text: Option<String>,
    pub main_pid: Option<u32>,
    pub restarts: Option<u32>,
    /// Microseconds since 1970 at which it last changed between active and not.
    pub since_usec: Option<u64>,
    /// Bytes.
    pub memory: Option<u64>,
    pub memory_peak: Option<u64>,
    pub memory_max: Option<u64>,
    /// Nanoseconds of CPU time used.
    pub cpu_nsec: Option<u64>,
    /// Microseconds of CPU time in each second that it may use.
    pub cpu_quota_usec: Option<u64>,
    pub tasks: Option<u64>,
    pub tasks_max: Option<u64>,
    pub control_group: Option<String>,
    /// The unit's file, as systemd remembers it.
    pub fragment: Option<PathBuf>,
    #[serde(skip)]
    pub invocation: Option<String>,
    /// Its file has changed since it was read.
    #[serde(skip)]
    pub is_stale: bool,
    /// Of a service: what tells its confinement from that of another.
    #[serde(skip)]
    pub hardening: Option<String>,
}

impl UnitState {
    /// Adds what one interface of the unit says.
    pub fn fill<'v>(&mut self, property: impl Fn(&str) -> Option<&'v Variant<'v>>) {
        let text = |name: &str| {
            property(name).and_then(|v| <&str>::try_from(v).ok()).filter(|v| !v.is_empty()).map(str::to_owned)
        };
        // Systemd writes "unknown" and "no limit" as the highest number.
        let number = |name: &str| property(name).and_then(|v| u64::try_from(v).ok()).filter(|v| *v != u64::MAX);
        let small = |name: &str| property(name).and_then(|v| u32::try_from(v).ok());
        let set = |field: &mut String, value: Option<String>| {
            if let Some(value) = value {
                *field = value;
            }
        };
        set(&mut self.name, text("Id"));
        set(&mut self.load, text("LoadState"));
        set(&mut self.active, text("ActiveState"));
        set(&mut self.sub, text("SubState"));
        self.enabled = text("UnitFileState").or(self.enabled.take());
        self.result = text("Result").or(self.result.take());
        self.exit_status = property("ExecMainStatus").and_then(|v| i32::try_from(v).ok()).or(self.exit_status);
        self.status_text = text("StatusText").or(self.status_text.take());
        self.main_pid = small("MainPID").filter(|pid| *pid != 0).or(self.main_pid);
        self.restarts = small("NRestarts").or(self.restarts);
        self.since_usec = number("StateChangeTimestamp").filter(|usec| *usec != 0).or(self.since_usec);
        self.memory = number("MemoryCurrent").or(self.memory);
        self.memory_peak = number("MemoryPeak").or(self.memory_peak);
        self.memory_max = number("MemoryMax").or(self.memory_max);
        self.cpu_nsec = number("CPUUsageNSec").or(self.cpu_nsec);
        self.cpu_quota_usec = number("CPUQuotaPerSecUSec").or(self.cpu_quota_usec);
        self.tasks = number("TasksCurrent").or(self.tasks);
        self.tasks_max = number("TasksMax").or(self.tasks_max);
        self.control_group = text("ControlGroup").or(self.control_group.take());
        self.fragment = text("FragmentPath").map(PathBuf::from).or(self.fragment.take());
        self.is_stale |= property("NeedDaemonReload").and_then(|v| bool::try_from(v).ok()).unwrap_or(false);
        if let Some(id) = property("InvocationID").and_then(|v| Vec::<u8>::try_from(v.try_clone().ok()?).ok())
            && !id.is_empty()
        {
            self.invocation = Some(hex::encode(id));
        }
        if property("MainPID").is_some() {
            let mut digest = Sha256::new();
            for name in CONFINING {
                digest.update(format!("{name}={:?}\n", property(name)));
            }
            self.hardening = Some(hex::encode(&digest.finalize()[..8]));
        }
    }

    /// Memory, CPU and tasks that were asked for.
    pub fn limits(&self) -> [Option<u64>; 3] {
        [self.memory_max, self.cpu_quota_usec, self.tasks_max]
    }

    pub fn is_active(&self) -> bool {
        matches!(self.active.as_str(), "active" | "reloading" | "activating")
    }

    pub fn is_failed(&self) -> bool {
        self.active == "failed"
    }

    /// Why a unit failed, in words.
    pub fn failure(&self) -> String {
        let status = self.exit_status.unwrap_or(0);
        match self.result.as_deref() {
            Some("exit-code") => match exit_status_name(status) {
                Some(meaning) => format!("its process exited with status {status} ({meaning})"),
                None => format!("its process exited with status {status}"),
            },
            Some("signal") => format!("its process was killed by signal {status}"),
            Some("core-dump") => format!("its process dumped core (signal {status})"),
            Some("oom-kill") => match self.memory_max {
                Some(max) => format!("it ran out of memory and was killed (limit {})", crate::config::Size(max)),
                None => "it ran out of memory and was killed".into(),
            },
            Some("timeout") => "it took too long and was ended".into(),
            Some("watchdog") => "it stopped answering its watchdog".into(),
            Some("start-limit-hit") => "it failed too often in too short a time; systemd gave up".into(),
            // Of sockets.
            Some("service-start-limit-hit") => "its service failed too often in too short a time".into(),
            Some("trigger-limit-hit") => "it woke its service too often in too short a time".into(),
            Some("protocol") => "it ended before it said that it was ready".into(),
            Some("resources") => "systemd could not set it up (a missing file, directory or socket)".into(),
            Some(other) if other != "success" => format!("systemd reports `{other}`"),
            _ => format!("it is {} ({})", self.active, self.sub),
        }
    }
}

/// Exit statuses of systemd itself (systemd.exec(5), "Process exit codes") and ours.
pub fn exit_status_name(status: i32) -> Option<&'static str> {
    Some(match status {
        75 => "try again later",
        78 => "wrong configuration, or a damaged store",
        200 => "CHDIR: no such working directory",
        203 => "EXEC: the program could not be started",
        204 => "MEMORY",
        210 => "CHROOT",
        216 => "GROUP",
        217 => "USER: user namespaces are forbidden here",
        218 => "CAPABILITIES: a hardening directive that this host does not allow",
        219 => "CGROUP",
        226 => "NAMESPACE: a path of the sandbox is missing, or namespaces are forbidden",
        228 => "SECCOMP",
        243 => "CREDENTIALS: a secret's file is missing",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(pairs: &[(&str, Variant<'static>)]) -> UnitState {
        let mut state = UnitState::default();
        state.fill(|name| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| value));
        state
    }

    #[test]
    fn what_the_bus_says_is_read_and_unset_numbers_are_none() {
        let state = filled(&[
            ("ActiveState", "failed".into()),
            ("Result", "oom-kill".into()),
            ("ExecMainStatus", 9i32.into()),
            ("MemoryMax", (512u64 << 20).into()),
            ("MemoryCurrent", u64::MAX.into()),
            ("NRestarts", 3u32.into()),
            ("MainPID", 0u32.into()),
            ("InvocationID", vec![1u8, 255].into()),
        ]);
        assert!(state.is_failed());
        assert_eq!((state.memory, state.restarts, state.main_pid), (None, Some(3), None));
        assert_eq!(state.invocation.as_deref(), Some("01ff"));
        assert_eq!(state.failure(), "it ran out of memory and was killed (limit 512M)");
    }

    #[test]
    fn a_state_that_nobody_knows_is_shown_and_not_invented() {
        let state = filled(&[("ActiveState", "hibernating".into()), ("Result", "moon-phase".into())]);
        assert_eq!(state.active, "hibernating");
        assert_eq!(state.failure(), "systemd reports `moon-phase`");
    }
}
