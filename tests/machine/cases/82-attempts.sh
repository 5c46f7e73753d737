#!/bin/bash
# What another user of the host (bob) and a hostile engine in its cage can do: a table of attempts,
# all refused. The same program, started by alice outside of a cage, shows that it is not blind.
# machine: nspawn bookworm trixie
. "${BASH_SOURCE[0]%/*}/../lib.sh"

program attempts <<'FILE'
#!/usr/bin/python3
# An engine that tries what it must not, and reports what went as findings. Elsewhere it needs
# CICD_CHECKOUT. Arguments: processes of alice: the runner, the engine of another cage, its user
# manager; and the directory of that cage's job.
import ctypes, glob, json, os, signal, socket, subprocess, sys

sys.stdin.read()
home, uid = "/home/alice", 1001
runner, sitter, manager = map(int, sys.argv[1:4])
other_job = sys.argv[4]
checkout = os.environ["CICD_CHECKOUT"]
scratch = os.environ.get("TMPDIR", "/tmp")
run, state = f"/run/user/{uid}", f"{home}/.local/state/cicd-toolkit"
groups = f"/sys/fs/cgroup/user.slice/user-{uid}.slice/user@{uid}.service"
if not os.path.isdir(groups):
    groups = groups.replace("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
libc = ctypes.CDLL(None, use_errno=True)
tried = {}

def attempt(name, what):
    try:
        got = what()
        tried[name] = f"WENT: {got!r:.200}"
    except Exception as error:
        tried[name] = f"refused: {error!r:.100}"

def write(path):
    def what():
        with open(path, "a") as file:
            file.write("")
        return path
    return what

def create(path):
    def what():
        with open(path, "x"):
            pass
        return path
    return what

def read(path):
    def what():
        with open(path, "rb") as file:
            return file.read(100)
    return what

def connect(path):
    def what():
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(5)
        s.connect(path)
        try:
            s.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            return s.recv(100) or "connected"
        except OSError:
            return "connected"
    return what

def call(name, *args):
    def what():
        if getattr(libc, name)(*args) == -1:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return name
    return what

def trace(pid):
    # PTRACE_SEIZE does not stop it; our end ends it.
    return call("ptrace", 0x4206, pid, None, None)

def environ_of_others():
    seen = []
    for path in glob.glob("/proc/[0-9]*/environ"):
        pid = int(path.split("/")[2])
        try:
            with open(f"/proc/{pid}/cgroup") as theirs, open("/proc/self/cgroup") as ours:
                # Its own group is the cage.
                if theirs.read() == ours.read():
                    continue
            with open(path, "rb") as file:
                if os.stat(f"/proc/{pid}").st_uid == uid and file.read(1):
                    seen.append(pid)
        except OSError:
            pass
    if not seen:
        raise PermissionError("none")
    return seen

def through_another_root():
    for path in glob.glob("/proc/[0-9]*/root/home/alice/.ssh/id_test"):
        with open(path) as file:
            return file.read()
    raise PermissionError("none")

def find_key():
    for top in ("/run", "/home", "/tmp", "/var/tmp", "/dev/shm"):
        for directory, _, files in os.walk(top):
            for file in files:
                if file in ("anthropic-api-key", "anthropic-api-key.cred", "id_test", "store.db"):
                    with open(os.path.join(directory, file), "rb") as f:
                        return directory, file, f.read(50)
    raise FileNotFoundError("none")

def command(*argv):
    def what():
        done = subprocess.run(argv, capture_output=True, timeout=20, text=True)
        if done.returncode != 0:
            raise PermissionError((done.stdout + done.stderr).strip()[:80])
        return done.stdout
    return what

def others_job():
    names = glob.glob(f"{state}/**/input.json", recursive=True)
    names = [name for name in names if os.path.realpath(name) != os.path.realpath(f"{checkout}/../input.json")]
    with open(names[0] if names else f"{other_job}/input.json") as file:
        return file.read(50)

def canary():
    # Of everything that it sees: its own environment and that of each process.
    text = repr(os.environ).encode()
    for path in glob.glob("/proc/[0-9]*/environ"):
        try:
            text += open(path, "rb").read()
        except OSError:
            pass
    if b"env-canary" not in text:
        raise PermissionError("none")
    return "env-canary"

attempt("write to the checkout", create(f"{checkout}/attempt"))
attempt("change a file of the checkout", write(f"{checkout}/README.md"))
attempt("change its own input", write(f"{checkout}/../input.json"))
attempt("write to its scratch", create(f"{scratch}/attempt"))
attempt("read the checkout", read(f"{checkout}/README.md"))
attempt("write to the home", create(f"{home}/.profile-attempt"))
attempt("write to the working copy", create(f"{home}/myapp/attempt"))
attempt("write a git hook", create(f"{home}/myapp/.git/hooks/post-checkout"))
attempt("write to the git mirrors", create(f"{home}/.cache/cicd-toolkit/attempt"))
attempt("write a unit", create(f"{home}/.config/systemd/user/attempt.service"))
attempt("write to /usr", create("/usr/attempt"))
attempt("write to /usr/local/bin", create("/usr/local/bin/attempt"))
attempt("write to /etc", create("/etc/attempt"))
attempt("read /tmp of the host", read("/tmp/of-alice"))
attempt("read /dev/shm of the host", read("/dev/shm/of-alice"))
attempt("read another agent's engine home", read(f"{state}/agents/other/engine-home/kept"))
attempt("write to another agent's engine home", create(f"{state}/agents/other/engine-home/attempt"))
attempt("list another agent's state", lambda: os.listdir(f"{state}/agents/other"))
attempt("read another job's input", others_job)
attempt("write another job's result", create(f"{other_job}/out/attempt"))
attempt("read the ssh key", read(f"{home}/.ssh/id_test"))
attempt("read the ssh key by way of /proc", through_another_root)
for kept in ("", ".cred"):
    attempt(f"read the stored key, anthropic-api-key{kept}", read(f"{home}/.config/cicd-toolkit/credentials/anthropic-api-key{kept}"))
attempt("read the configuration", read(f"{home}/.config/cicd-toolkit/agents/myapp.toml"))
attempt("find a key, a store or a ssh key", find_key)
attempt("read the store", read(f"{state}/store.db"))
attempt("list the home", lambda: [name for name in os.listdir(home) if name not in (".local", ".profile-attempt")] or read("/none")())
attempt("see a variable of environment.d", canary)
attempt("connect to the user's bus", connect(f"{run}/bus"))
attempt("connect to the user manager", connect(f"{run}/systemd/private"))
attempt("start a unit (StartTransientUnit)", command("busctl", f"--address=unix:path={run}/bus", "call", "org.freedesktop.systemd1",
    "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "StartTransientUnit", "ssa(sv)a(sa(sv))",
    f"attempt-{os.getpid()}.service", "fail", "1", "ExecStart", "a(sasb)", "1", "/usr/bin/true", "1", "true", "false", "0"))
attempt("connect to the runner", connect(f"{run}/cicd-runner.sock"))
attempt("connect to its agent", connect(f"{run}/cicd-toolkit/agents/myapp.sock"))
attempt("connect to the system bus", connect("/run/dbus/system_bus_socket"))
for who, pid in (("the runner", runner), ("another cage", sitter), ("the user manager", manager)):
    for name in ("environ", "mem", "maps"):
        attempt(f"read /proc/PID/{name} of {who}", read(f"/proc/{pid}/{name}") if name != "mem" else lambda: os.close(os.open(f"/proc/{pid}/mem", os.O_RDWR)))
    attempt(f"go through /proc/PID/root of {who}", lambda: os.listdir(f"/proc/{pid}/root"))
    attempt(f"open the files of {who}", lambda: [os.readlink(f"/proc/{pid}/fd/{number}") for number in os.listdir(f"/proc/{pid}/fd")])
    attempt(f"trace {who}", trace(pid))
    attempt(f"signal {who}", lambda: os.kill(pid, signal.SIGCONT))
    attempt(f"signal {who} by a pidfd", lambda: signal.pidfd_send_signal(os.pidfd_open(pid), signal.SIGCONT))
attempt("read environments of others", environ_of_others)
attempt("see command lines of others", lambda: next(line for line in (open(f"/proc/{pid}/cmdline").read() for pid in (runner, sitter)) if line))
attempt("make a user namespace", command("unshare", "--user", "true"))
attempt("make a process namespace", command("unshare", "--user", "--pid", "--fork", "true"))
attempt("enter a namespace of another", command("nsenter", "--mount", "--target", str(runner), "true"))
attempt("mount", command("mount", "-t", "tmpfs", "none", "/mnt"))
attempt("make a set-uid file", lambda: os.chmod(sys.argv[0], 0o4755) if os.getuid() == 0 else os.fchmod(os.memfd_create("x"), 0o4755))
attempt("lift its limits", write(groups + "/cicd.slice/cgroup.max.depth"))
attempt("leave its control group", write(groups + "/cgroup.procs"))
attempt("kill a control group", write(groups + "/cicd.slice/cgroup.kill"))
attempt("connect to the network", lambda: socket.create_connection(("127.0.0.1", 8077), 5).getpeername())
names = sorted(os.environ)
# Its parent by the numbers of /proc, which are not its own on systemd 252.
parent = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("PPid"))
keeper = sorted(line.split("=")[0] for line in open(f"/proc/{parent}/environ").read().split("\0") if line)
print(json.dumps({"summary": f"environment: {' '.join(names)}; keeper: {' '.join(keeper)}", "findings": [
    {"path": "app/server.py", "start_line": 15, "end_line": 15, "severity": "info", "category": "correctness",
     "title": name, "explanation": what, "confidence": 1.0} for name, what in tried.items()]}))
FILE
program sitter <<'FILE'
#!/usr/bin/python3
# The engine of another cage.
import sys, time
sys.stdin.read()
time.sleep(600)
FILE
set_up --yes || exit
sample_repo alice other >/dev/null
alice '
    cicdctl agent add other --path ~/other --quiet
    mkdir -p -m 700 ~/.ssh ~/.cache/cicd-toolkit && echo ssh-canary >~/.ssh/id_test
    echo tmp-canary >/tmp/of-alice; echo shm-canary >/dev/shm/of-alice
    echo kept >~/.local/state/cicd-toolkit/agents/other/engine-home/kept
    echo sk-canary-2 | cicdctl secret set anthropic-api-key --quiet
    systemctl --user set-environment CLOUD_TOKEN=env-canary
    systemd-run --user --quiet --unit=peer python3 -m http.server --bind 127.0.0.1 8077
    printf "[engine.command]\nargv = [\"/usr/local/bin/sitter\"]\n" >>~/.config/cicd-toolkit/agents/other.toml
    curl -sS --unix-socket $XDG_RUNTIME_DIR/cicd-runner.sock http://localhost/healthz >/dev/null
    cd ~/other && cicdctl review HEAD~1..HEAD --engine command --no-wait --quiet' >/dev/null
wait_for 20 as_user alice pgrep -x sitter >/dev/null
pids=$(alice 'systemctl --user show -P MainPID cicd-runner.service; pgrep -x sitter; systemctl --user show -P MainPID dbus.service >/dev/null; pgrep -u alice -x systemd' | xargs)
job=$(alice 'find ~/.local/state/cicd-toolkit/agents/other/workspace -maxdepth 2 -name input.json -printf %h')
read -r runner sitter manager <<<"$pids"
check "there is a runner, another cage and a user manager ($pids, $job)" test -n "$manager" -a -n "$job"
configure <<<"[engine.command]
argv = [\"/usr/local/bin/attempts\", \"$runner\", \"$sitter\", \"$manager\", \"$job\"]"

# Each program's answer is read as `name<TAB>result`.
results() { sed -n '/^{/,$p' | jq -r '.findings[] | "\(.title)\t\(.explanation)"'; }
cage=$(alice 'cd ~/myapp && cicdctl review HEAD~1..HEAD --engine command --json')
receipt=$(sed -n '/^{/,$p' <<<"$cage")
summary_of_cage=$(jq -r .summary <<<"$receipt")
cage=$(results <<<"$cage")
# The home, /tmp and /dev/shm are its own: it may write there, and nobody sees it.
check "nothing that it wrote reached the host" alice '
    ! ls ~/.profile-attempt ~/myapp/attempt ~/.config/systemd/user/attempt.service 2>/dev/null'
outside() {
    as_user "$1" sh -c 'dir=/tmp/outside-$0; mkdir -p $dir/checkout $dir/scratch; echo x >$dir/checkout/README.md
        echo "{}" | CICD_CHECKOUT=$dir/checkout TMPDIR=$dir/scratch timeout 60 attempts "$@"' "$@" | results
}
bob=$(outside bob "$runner" "$sitter" "$manager" "$job")
alice=$(outside alice "$runner" "$sitter" "$manager" "$job")
printf '# %-45s %-24s %-24s %s\n' attempt 'bob' "a hostile cage ($suite)" 'alice, outside of a cage'
while IFS=$'\t' read -r attempt of_cage; do
    of() { awk -F'\t' -v name="$attempt" '$1 == name { print substr($2, 1, 22); exit }' <<<"$1"; }
    printf '# %-45s %-24s %-24s %s\n' "$attempt" "$(of "$bob")" "${of_cage:0:22}" "$(of "$alice")"
done <<<"$cage"

number=$(wc -l <<<"$cage")
check "the hostile cage made its attempts ($number)" test "$number" -gt 60
check "the receipt names the cage, and no reason to go without" \
    jq -e '.receipt.cage.uncaged_because == null and (.receipt.cage.unit | startswith("cicd-job-"))' <<<"$receipt"

# What a cage is for.
allowed='write to its scratch|read the checkout|connect to the network'
# Its home is its own, and in memory.
private='write to the home'
# systemd 252 cannot give a cage a /proc of its own: command lines are seen, and nothing else of a process.
[ "$suite" != bookworm ] || private="$private|see command lines of others"
same "in the cage all is refused but what it is for" "$(grep -P '\tWENT' <<<"$cage" | cut -f1 | grep -vxE "$allowed|$private")" ""
output=$cage
while IFS= read -r name_of_it; do
    shows "the cage can: $name_of_it" "^$name_of_it"$'\t''WENT'
done <<<"${allowed//|/$'\n'}"
# What is anybody's on a host, and what is bob's own.
own='write to the checkout|change a file of the checkout|read the checkout|write to its scratch|read /tmp of the host|read /dev/shm of the host'
own="$own|connect to the system bus|see command lines of others|make a user namespace|make a process namespace|make a set-uid file|connect to the network|change its own input"
same "bob is refused all that is alice's" "$(grep -P '\tWENT' <<<"$bob" | cut -f1 | grep -vxE "$own")" ""
# Some are refused to everybody but root.
nobody='write to /usr|write to /usr/local/bin|write to /etc|mount|enter a namespace of another'
seen=$(grep -P '\trefused' <<<"$alice" | cut -f1)
unseen=$(grep -vxE "$nobody|.* of the user manager.*|(read|go|open|trace).* of another cage|trace another cage" <<<"$seen")
same "outside of a cage the same program can: it is not blind" "$unseen" ""

check "neither runner nor the other cage nor the user manager has noticed" alice '
    test "$(systemctl --user show -P MainPID cicd-runner.service) $(pgrep -x sitter)" = "$1 $2" && kill -0 "$3"' "$runner" "$sitter" "$manager"
same "the engine's environment is built from nothing" "$summary_of_cage" \
    "environment: CICD_BASE_SHA CICD_CHECKOUT CICD_HEAD_SHA HOME LANG PATH TMPDIR; keeper: LANG PATH"
check "the checkout is gone with the job" alice 'test -z "$(ls ~/.local/state/cicd-toolkit/agents/myapp/workspace)"'
check "bob cannot act for alice" as_user bob sh -c '! cicdctl --user alice status && ! systemctl --user --machine=alice@ status 2>/dev/null && ! loginctl terminate-user alice'
alice 'cd ~/other && cicdctl job list --json | jq -r ".[] | select(.state == \"running\") | .id" | xargs -r -n1 cicdctl job cancel --quiet' >/dev/null 2>&1

#-- the probe: the rules' cage has no network, either -------------------------------------

run alice 'cicdctl doctor -v'
shows "doctor's own probe: the cage of the rules has no network" '^cage: refused +connect to the network'

#-- a hostile engine and what it leaves for the agent -----------------------------------

program forger <<'FILE'
#!/usr/bin/python3
# Puts a pipe, then a link in the place of what the agent reads, and does not let it be written again.
import os, sys, time
sys.stdin.read()
out = os.path.join(os.environ["TMPDIR"], "../out")
os.remove(f"{out}/events.jsonl")
os.mkfifo(f"{out}/events.jsonl")
os.symlink("/home/alice/.ssh/id_test", f"{out}/result.json")
time.sleep(3)
os.kill(os.getppid(), 9)
FILE
configure <<<$'[engine.command]\nargv = ["/usr/local/bin/forger"]'
run alice 'cd ~/myapp && timeout 60 cicdctl review HEAD~1..HEAD --engine command; echo "status $?"
    curl -sS --max-time 5 --unix-socket $XDG_RUNTIME_DIR/cicd-toolkit/agents/myapp.sock http://localhost/healthz'
shows "an engine that plants a pipe and a link and kills its keeper is not reviewed" '^status 4'
hides "what the link leads to is not shown" 'sk-canary'
shows "and the agent answers" '"scope":"myapp"'

summary
