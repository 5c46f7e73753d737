//! Limits of a unit that runs, changed without a restart.
//!
//! What was seen on 252 and 257: a changed drop-in and a reload of the manager change what the manager says of the unit,
//! and nothing in the unit's control group. `SetUnitProperties` brings all of them into force, and leaves files behind
//! that hold until the user logs out, also against a later drop-in that says nothing about the same thing. So: the drop-in
//! first, then the same values by `SetUnitProperties`, then its files are removed, and a reload makes the manager forget
//! them.

use std::path::PathBuf;

use anyhow::{Context, Result};
use zbus::wire::Variant;

use super::Manager;
use crate::config::Limits;
use crate::files;
use crate::host::Paths;

/// The limits that can be changed while a unit runs: as the drop-in has it, and as the bus does. `LimitNOFILE=` is set
/// for a process when it starts.
pub const LIVE: [(&str, &str); 5] = [
    ("CPUQuota", "CPUQuotaPerSecUSec"),
    ("CPUWeight", "CPUWeight"),
    ("MemoryMax", "MemoryMax"),
    ("MemorySwapMax", "MemorySwapMax"),
    ("TasksMax", "TasksMax"),
];

impl Manager {
    /// Brings the limits of units that run into force; their drop-ins have them already, and the manager knows.
    pub async fn bring_into_force(&self, paths: &Paths, units: &[(String, &Limits)]) -> Result<()> {
        if units.is_empty() {
            return Ok(());
        }
        for (unit, limits) in units {
            let properties = properties(limits);
            self.proxy()
                .set_unit_properties(unit, true, &properties)
                .await
                .with_context(|| format!("could not change the limits of `{unit}` while it runs"))?;
            for dir in control_dirs(paths, unit) {
                for (directive, property) in LIVE {
                    for name in [directive, property] {
                        files::remove(&dir.join(format!("50-{name}.conf")))?;
                    }
                }
                files::remove_dir_if_empty(&dir);
            }
        }
        self.reload().await
    }
}

/// Removes what `systemctl --user set-property` has left of units that are gone.
pub fn forget_set_properties(paths: &Paths, units: &[String]) -> Result<()> {
    for dir in units.iter().flat_map(|unit| control_dirs(paths, unit)) {
        files::remove_tree(&dir)?;
    }
    Ok(())
}

/// Where systemd keeps properties that were set: until logout, and for good.
fn control_dirs(paths: &Paths, unit: &str) -> [PathBuf; 2] {
    [&paths.runtime_dir, &paths.config_home].map(|dir| dir.join("systemd/user.control").join(format!("{unit}.d")))
}

fn properties(limits: &Limits) -> Vec<(&'static str, Variant<'static>)> {
    let Limits { cpu, cpu_weight, memory, swap, tasks, open_files: _ } = limits;
    let values = [
        ("CPUQuotaPerSecUSec", cpu.map(|cpu| cpu.usec_per_sec())),
        ("CPUWeight", cpu_weight.map(u64::from)),
        ("MemoryMax", memory.map(|memory| memory.0)),
        ("MemorySwapMax", swap.map(|swap| swap.0)),
        ("TasksMax", tasks.map(u64::from)),
    ];
    // The highest number is systemd's word for none.
    values.into_iter().map(|(name, value)| (name, value.unwrap_or(u64::MAX).into())).collect()
}

/// Whether the unit's control group has these limits, by name; a limit whose file is not there is not in force.
pub fn in_force(control_group: &str, limits: &Limits) -> Vec<(&'static str, bool)> {
    let read = |file: &str| crate::cgroup::read(control_group, file).unwrap_or_default();
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let page = |bytes: u64| bytes >> 12;
    let Limits { cpu, cpu_weight, memory, swap, tasks, open_files: _ } = limits;
    let quota = read("cpu.max");
    let share = quota.split_once(' ').and_then(|(quota, period)| Some(number(quota)? * 100 / number(period)?.max(1)));
    [
        ("cpu", cpu.map(|cpu| share == Some(u64::from(cpu.0)))),
        ("cpu_weight", cpu_weight.map(|weight| number(&read("cpu.weight")) == Some(u64::from(weight)))),
        ("memory", memory.map(|memory| number(&read("memory.max")).map(page) == Some(page(memory.0)))),
        ("swap", swap.map(|swap| number(&read("memory.swap.max")).map(page) == Some(page(swap.0)))),
        ("tasks", tasks.map(|tasks| number(&read("pids.max")) == Some(u64::from(tasks)))),
    ]
    .into_iter()
    .filter_map(|(name, holds)| Some((name, holds?)))
    .collect()
}
