//! `cicdctl run … --first`: process 1 of a cage that has a namespace of processes to itself. It sees to what only the
//! first process can: whoever loses its parent becomes its child and must be waited for, and with its end the kernel
//! kills all that is left. From inside no signal reaches it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use nix::libc;
use rustix::process::{DumpableBehavior, Pid, WaitOptions, set_dumpable_behavior, wait};
use seccompiler::{
    SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

use super::TOLD_TO_STOP;
use crate::error::Exit;

/// Starts `program` with `arguments` and ends with it.
pub fn run_first(program: &Path, arguments: &[&OsStr], no_namespaces: bool) -> Result<Exit> {
    // Nobody inside may look at this process, whose sandbox is older than theirs.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).context("could not hide the first process")?;
    if no_namespaces {
        forbid_namespaces().context("could not forbid new namespaces")?;
    }
    let worker = Command::new(program)
        .args(arguments)
        .spawn()
        .with_context(|| format!("could not start `{}`", program.display()))?;
    let worker = Pid::from_child(&worker);
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == worker => {
                return match (status.exit_status(), status.terminating_signal()) {
                    (Some(0), _) => Ok(Exit::Done),
                    (Some(status), _) if status == i32::from(TOLD_TO_STOP.code()) => Ok(TOLD_TO_STOP),
                    (Some(_), _) => Ok(Exit::Failed),
                    (None, signal) => bail!("what runs in the cage was killed by signal {}", signal.unwrap_or(0)),
                };
            }
            // An orphan.
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("could not wait for what runs in the cage"),
        }
    }
}

/// For this process and all that it starts: what `RestrictNamespaces=yes` does, once the cage's own namespaces are made.
fn forbid_namespaces() -> Result<()> {
    let target = TargetArch::try_from(std::env::consts::ARCH)
        .map_err(|_| anyhow::anyhow!("not known how on this processor ({})", std::env::consts::ARCH))?;
    let flags = [
        libc::CLONE_NEWNS,
        libc::CLONE_NEWCGROUP,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWNET,
    ];
    let with = |flags: &[libc::c_int]| -> Result<Vec<SeccompRule>> {
        flags
            .iter()
            .map(|flag| {
                let flag = u64::from(flag.cast_unsigned());
                let has = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(flag), flag)?;
                Ok(SeccompRule::new(vec![has])?)
            })
            .collect()
    };
    // In clone(2) the bit of a time namespace is part of the signal's number.
    let unshare = [&flags[..], &[libc::CLONE_NEWTIME]].concat();
    let refused = BTreeMap::from([
        (libc::SYS_clone, with(&flags)?),
        (libc::SYS_unshare, with(&unshare)?),
        (libc::SYS_setns, vec![]),
    ]);
    let error = |number: libc::c_int| SeccompAction::Errno(number.cast_unsigned());
    // clone3(2) has its flags in memory, where no filter sees them; the C library falls back on clone(2).
    let unknown = BTreeMap::from([(libc::SYS_clone3, vec![])]);
    for (rules, action) in [(refused, error(libc::EPERM)), (unknown, error(libc::ENOSYS))] {
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, target)?;
        let program: seccompiler::BpfProgram = filter.try_into()?;
        seccompiler::apply_filter(&program)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behind_the_filter_programs_start_and_namespaces_do_not() {
        // A filter is for the thread that asks for it, and for what that starts.
        let behind = std::thread::spawn(|| {
            forbid_namespaces().unwrap();
            let status = |argv: &[&str]| Command::new(argv[0]).args(&argv[1..]).status().unwrap();
            assert!(status(&["sh", "-c", "sleep 0 | true"]).success());
            let unshare = nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER);
            assert_eq!(unshare, Err(nix::errno::Errno::EPERM));
        });
        behind.join().unwrap();
    }
}
