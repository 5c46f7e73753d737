#!/bin/bash
# What a hostile engine can do in its cage: nothing but read the change, use its scratch and the
# network.
# machine: nspawn bookworm trixie
. "${BASH_SOURCE[0]%/*}/../lib.sh"

program probe <<'FILE'
#!/usr/bin/python3
# An engine that tries what it must not, and reports what went as findings.
import glob, json, os, socket, subprocess, sys

sys.stdin.read()
checkout, home = os.environ["CICD_CHECKOUT"], "/home/alice"
run = f"/run/user/{os.getuid()}"
state = f"{home}/.local/state/cicd-toolkit"
tried = {}

def attempt(name, what):
    try:
        got = what()
        tried[name] = f"WENT: {got!r:.200}"
    except Exception as error:
        tried[name] = f"refused: {error!r:.100}"

def write(path):
    def what():
        with open(path, "w") as file:
            file.write("x")
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
            return s.recv(100)
        except OSError:
            return "connected"
    return what

def environ_of_others():
    seen = []
    for path in glob.glob("/proc/[0-9]*/environ"):
        pid = int(path.split("/")[2])
        with open(f"/proc/{pid}/cmdline") as file:
            line = file.read()
        # Its own group is the cage.
        with open(f"/proc/{pid}/cgroup") as theirs, open("/proc/self/cgroup") as ours:
            if theirs.read() == ours.read():
                continue
        try:
            with open(path, "rb") as file:
                if file.read(1):
                    seen.append(line)
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
                if file in ("anthropic-api-key", "id_test", "store.db"):
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

attempt("write to the checkout", write(f"{checkout}/probe"))
attempt("change a file of the checkout", write(f"{checkout}/README.md"))
attempt("write to its scratch", write(f"{os.environ['TMPDIR']}/probe"))
attempt("read the checkout", read(f"{checkout}/README.md"))
attempt("write to the home", write(f"{home}/.profile-probe"))
attempt("write to the working copy", write(f"{home}/myapp/probe"))
attempt("write a git hook", write(f"{home}/myapp/.git/hooks/post-checkout"))
attempt("write a unit", write(f"{home}/.config/systemd/user/probe.service"))
attempt("write to /usr", write("/usr/probe"))
attempt("write to /usr/local/bin", write("/usr/local/bin/probe2"))
attempt("write to /etc", write("/etc/probe"))
attempt("write to /var/tmp", write("/var/tmp/host-probe"))
attempt("write to /dev/shm", write("/dev/shm/host-probe"))
attempt("write to /tmp", write("/tmp/host-probe"))
attempt("read /tmp of the host", read("/tmp/of-alice"))
attempt("write to another agent's state", write(f"{state}/agents/other/engine-home/probe"))
attempt("list another agent's state", lambda: os.listdir(f"{state}/agents/other"))
attempt("read the ssh key", read(f"{home}/.ssh/id_test"))
attempt("read the ssh key by way of /proc", through_another_root)
attempt("read the stored key", read(f"{home}/.config/cicd-toolkit/credentials/anthropic-api-key"))
attempt("find a key, a store or a ssh key", find_key)
attempt("read the store", read(f"{state}/store.db"))
attempt("list the home", lambda: [name for name in os.listdir(home) if name not in (".local", ".profile-probe")] or read("/none")())
attempt("connect to the user's bus", connect(f"{run}/bus"))
attempt("connect to the user manager", connect(f"{run}/systemd/private"))
attempt("start a unit", command("systemd-run", "--user", "--wait", "true"))
attempt("connect to the runner", connect(f"{run}/cicd-runner.sock"))
attempt("connect to its agent", connect(f"{run}/cicd-toolkit/agents/myapp.sock"))
attempt("connect to the system bus", connect("/run/dbus/system_bus_socket"))
attempt("read environments of others", environ_of_others)
attempt("make a user namespace", command("unshare", "--user", "true"))
attempt("mount", command("mount", "-t", "tmpfs", "none", "/mnt"))
attempt("lift its limits", write("/sys/fs/cgroup" + open("/proc/self/cgroup").read().strip().split("::")[-1] + "/pids.max"))
attempt("connect to the network", lambda: socket.create_connection(("127.0.0.1", 8077), 5).getpeername())
print(json.dumps({"findings": [
    {"path": "app/server.py", "start_line": 15, "end_line": 15, "severity": "info", "category": "correctness",
     "title": name, "explanation": what, "confidence": 1.0} for name, what in tried.items()]}))
FILE
set_up --yes || exit
alice '
    cicdctl agent add other --repo example/other --quiet
    mkdir -m 700 ~/.ssh && echo ssh-canary >~/.ssh/id_test && echo tmp-canary >/tmp/of-alice
    echo sk-canary-2 | cicdctl secret set anthropic-api-key --quiet
    systemd-run --user --quiet --unit=peer python3 -m http.server --bind 127.0.0.1 8077'
configure <<<$'[engine.command]\nargv = ["/usr/local/bin/probe"]'

run alice 'cd ~/myapp && cicdctl review HEAD~1..HEAD --engine command --json'
ended "the probe is reviewed" 0
answer=$(sed -n '/^{/,$p' <<<"$output" | jq -r '.findings[] | "\(.title): \(.explanation)"')
check "the receipt names the cage, and no reason to go without" \
    jq -e '.receipt.cage.uncaged_because == null and (.receipt.cage.unit | startswith("cicd-job-"))' <(sed -n '/^{/,$p' <<<"$output")
output=$answer
for allowed in 'write to its scratch' 'read the checkout' 'connect to the network'; do
    shows "$allowed: it can" "^$allowed: WENT"
done
while IFS= read -r forbidden; do
    shows "$forbidden: refused" "^$forbidden: refused"
done <<'NAMES'
write to the checkout
change a file of the checkout
write to the working copy
write a git hook
write a unit
write to /usr
write to /usr/local/bin
write to /etc
read /tmp of the host
write to another agent's state
list another agent's state
read the ssh key
read the ssh key by way of /proc
read the stored key
find a key, a store or a ssh key
read the store
list the home
connect to the user's bus
connect to the user manager
start a unit
connect to the runner
connect to its agent
connect to the system bus
read environments of others
make a user namespace
mount
lift its limits
NAMES
# The home, /tmp, /var/tmp and /dev/shm are its own: it may write there, and nobody sees it.
check "nothing that it wrote reached the host" alice '! ls /tmp/host-probe /var/tmp/host-probe /dev/shm/host-probe ~/.profile-probe ~/myapp/probe 2>/dev/null'
check "the checkout is gone with the job" alice 'test -z "$(ls ~/.local/state/cicd-toolkit/agents/myapp/workspace)"'
check "outside of a cage the same program can: the probe is not blind" alice '
    echo "{}" | CICD_CHECKOUT=$HOME/myapp TMPDIR=/tmp timeout 60 probe | jq -e "
        [.findings[] | select(.explanation | startswith(\"WENT\")) | .title] as \$went
        | ([\"read the ssh key\", \"read the stored key\", \"read the store\", \"connect to the runner\", \"start a unit\",
            \"connect to the user'\''s bus\", \"connect to the system bus\", \"read environments of others\", \"write a git hook\",
            \"read /tmp of the host\", \"list another agent'\''s state\", \"find a key, a store or a ssh key\"] - \$went) == []"'

#-- a hostile engine and what it leaves for the agent -----------------------------------

program forger <<'FILE'
#!/usr/bin/python3
# Puts a pipe, then a link in the place of what the agent reads, and does not let it be written again.
import os, sys, time
sys.stdin.read()
out = os.path.join(os.environ["TMPDIR"], "../out")
os.remove(f"{out}/events.jsonl")
os.mkfifo(f"{out}/events.jsonl")
os.symlink("/home/alice/.config/cicd-toolkit/credentials/anthropic-api-key", f"{out}/result.json")
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
