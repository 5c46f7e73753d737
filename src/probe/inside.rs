//! What a probe does inside of a unit. Nothing that it succeeds with is left behind.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::io::Errno;

use super::{Answer, Attempt, Control, Exceeded, Got, Request, What};
use crate::cgroup;

/// Tries all of `request` and what needs no telling.
pub fn attempt(request: &Request) -> Answer {
    let mut attempts: Vec<Attempt> = Vec::new();
    let mut note = |what, on: &str, got| attempts.push(Attempt { what, on: on.to_owned(), got });
    for (what, path) in &request.paths {
        note(*what, &path.display().to_string(), on_path(*what, path));
    }
    if let Some(port) = request.port {
        let to = std::net::SocketAddr::from(([127, 0, 0, 1], port));
        let got = std::net::TcpStream::connect_timeout(&to, Duration::from_secs(2)).map(|_| "connected".to_owned());
        note(What::Network, &to.to_string(), outcome(got));
    }
    if let Some(known) = &request.variables {
        let names = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
        let others: Vec<String> = names.filter(|name| !known.contains(name)).collect();
        note(
            What::Environment,
            "its environment",
            if others.is_empty() { refused("none") } else { Got::Allowed(others.join(", ")) },
        );
    }
    let peer = format!("/proc/{}", request.peer);
    note(What::OtherEnvironment, &format!("{peer}/environ"), read(&Path::new(&peer).join("environ")));
    note(
        What::OtherMemory,
        &format!("{peer}/mem"),
        outcome(fs::File::open(format!("{peer}/mem")).map(|_| "opened".to_owned())),
    );
    note(What::OtherCommands, "/proc", commands_of_others());
    let pid = nix::unistd::Pid::from_raw(i32::try_from(request.peer).unwrap_or(i32::MAX));
    let signal = nix::sys::signal::kill(pid, None).map(|()| "it would arrive".to_owned()).map_err(std::io::Error::from);
    note(What::Signal, &format!("process {}", request.peer), outcome(signal));
    note(What::SetUid, "a file in memory", outcome(set_uid().map_err(Into::into)));
    let gains = rustix::thread::no_new_privs().map(|no| !no);
    note(
        What::GainPrivileges,
        "this process",
        if gains == Ok(false) { refused("no_new_privs") } else { Got::Allowed("no_new_privs is not set".into()) },
    );
    use rustix::net::{AddressFamily, SocketType, socket};
    let socket = socket(AddressFamily::PACKET, SocketType::DGRAM, None).map(|_| "made".to_owned());
    note(What::PacketSocket, "AF_PACKET", outcome(socket.map_err(Into::into)));
    let core = rustix::process::getrlimit(rustix::process::Resource::Core);
    note(
        What::CoreDump,
        "RLIMIT_CORE",
        if core.maximum == Some(0) { refused("0 bytes") } else { Got::Allowed("it has no limit".into()) },
    );
    use rustix::mount::{MountFlags, mount};
    let mounted = mount("none", "/mnt", "tmpfs", MountFlags::empty(), None).map(|()| "mounted".to_owned());
    note(What::Mount, "/mnt", outcome(mounted.map_err(Into::into)));
    let control = control();
    if let Some(group) = cgroup::own().and_then(|group| cgroup::dir(&group)) {
        // In every group, whatever the controllers; and what is written is what is there.
        let file = group.join("cgroup.max.depth");
        let written = OpenOptions::new().write(true).open(&file).and_then(|mut file| file.write_all(b"max\n"));
        note(What::WriteCgroup, &file.display().to_string(), outcome(written.map(|()| "written".to_owned())));
    }
    // Last: with it this process would leave the namespace of all that was tried.
    let namespace = nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER).map(|()| "a user namespace".to_owned());
    note(What::Namespace, "unshare(2)", outcome(namespace.map_err(Into::into)));
    Answer { attempts, control }
}

fn on_path(what: What, path: &Path) -> Got {
    match what {
        What::WriteHome | What::WriteSystem => {
            let made = OpenOptions::new().write(true).create_new(true).open(path);
            outcome(made.and_then(|_| fs::remove_file(path)).map(|()| "made a file".to_owned()))
        }
        What::RunnerSocket | What::AgentSocket | What::UserBus | What::ManagerSocket | What::SystemBus => {
            outcome(UnixStream::connect(path).map(|_| "connected".to_owned()))
        }
        _ if fs::metadata(path).is_ok_and(|meta| meta.is_dir()) => {
            outcome(fs::read_dir(path).map(|entries| format!("{} entries", entries.count())))
        }
        _ => read(path),
    }
}

fn read(path: &Path) -> Got {
    outcome(fs::read(path).map(|text| format!("{} bytes", text.len())))
}

fn outcome(result: std::io::Result<String>) -> Got {
    match result {
        Ok(got) => Got::Allowed(got),
        Err(error) => Got::Refused(match error.raw_os_error() {
            // Such as `EPERM`.
            Some(number) => format!("{:?}", nix::errno::Errno::from_raw(number)),
            None => error.to_string(),
        }),
    }
}

fn refused(by: &str) -> Got {
    Got::Refused(by.to_owned())
}

/// The command line of a process of somebody else, whoever that is.
fn commands_of_others() -> Got {
    let own = rustix::process::getuid().as_raw();
    let Ok(entries) = fs::read_dir("/proc") else { return refused("there is no /proc") };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_other = entry.metadata().is_ok_and(|meta| meta.uid() != own);
        if is_other && name.to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()) {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            if !line.is_empty() {
                return Got::Allowed(format!("that of process {}", name.to_string_lossy()));
            }
        }
    }
    refused("none to be seen")
}

fn set_uid() -> Result<String, Errno> {
    let file = rustix::fs::memfd_create("cicdctl-probe", rustix::fs::MemfdFlags::CLOEXEC)?;
    rustix::fs::fchmod(&file, rustix::fs::Mode::from_raw_mode(0o4755))?;
    Ok("made".into())
}

fn control() -> Control {
    let read = |name: &str| Some(cgroup::read(&cgroup::own()?, name)?.trim().to_owned());
    Control { memory_max: read("memory.max"), cpu_max: read("cpu.max"), pids_max: read("pids.max") }
}

/// More than a unit with small limits has: memory in a child, which may be killed for it, then tasks and CPU.
pub fn exceed(program: &Path) -> Result<Exceeded> {
    let Control { memory_max, cpu_max, pids_max } = control();
    let number = |text: &Option<String>| text.as_ref().and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
    let mut exceeded = Exceeded::default();
    if let Some(max) = number(&memory_max) {
        let status = Command::new(program)
            .args(["run", "probe", "--hog", &((max * 3) >> 20).to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .context("could not start what takes memory")?;
        exceeded.memory = Some(status.signal() == Some(9));
    }
    if let Some(max) = number(&pids_max) {
        exceeded.tasks = Some(too_many_tasks(max));
    }
    if number(&cpu_max).is_some() {
        let before = throttled();
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(500) {
            std::hint::spin_loop();
        }
        exceeded.cpu = Some(throttled() > before);
    }
    Ok(exceeded)
}

/// Whether a thread beyond `max` is refused.
fn too_many_tasks(max: u64) -> bool {
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Arc::new(std::sync::Mutex::new(wait));
    let mut threads = Vec::new();
    let mut is_refused = false;
    for _ in 0..max + 8 {
        let wait = wait.clone();
        // Each ends once `done` is gone: then the wait of all is over.
        let body = move || drop(wait.lock().map(|wait| wait.recv()));
        match std::thread::Builder::new().stack_size(64 << 10).spawn(body) {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                is_refused = error.raw_os_error() == Some(Errno::AGAIN.raw_os_error());
                break;
            }
        }
    }
    drop(done);
    for thread in threads {
        // It cannot panic.
        let _ = thread.join();
    }
    is_refused
}

/// How often this unit was held back as it had used its share of the CPU.
fn throttled() -> u64 {
    let text = cgroup::own().and_then(|group| cgroup::read(&group, "cpu.stat")).unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix("nr_throttled ")?.parse().ok()).unwrap_or(0)
}

/// Takes memory and uses it, up to `mib`.
pub fn hog(mib: usize) {
    // It is this process that is to be killed, and not the one that waits for it; a refusal shows in the result.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    let mut kept = Vec::new();
    for _ in 0..mib {
        kept.push(std::hint::black_box(vec![1u8; 1 << 20]));
    }
}
