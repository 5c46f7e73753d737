#!/usr/bin/env python3
"""Inside a machine, as root: every row of the table, ours beside a peer in turns, as lines of JSON.

    bench inside USER AGENTS STARTS ROUNDS SECONDS ROWS JOBS

USER has a runner and a repository ~/myapp. AGENTS agents are made for it, STARTS of them started and stopped, each thing
timed ROUNDS times, each load kept up for SECONDS; the queue is looked at beside ROWS jobs, and JOBS reviews are done to
see whether memory stays flat.
"""

import concurrent.futures
import json
import os
import pwd
import signal
import statistics
import subprocess
import sys
import time

USER, AGENTS, STARTS, ROUNDS, SECONDS, ROWS, JOBS = sys.argv[1], *(float(text) if "." in text else int(text) for text in sys.argv[2:])
WHO = pwd.getpwnam(USER)
RUNTIME = f"/run/user/{WHO.pw_uid}"
ENV = {
    "HOME": WHO.pw_dir, "USER": USER, "LOGNAME": USER, "XDG_RUNTIME_DIR": RUNTIME, "LANG": "C.UTF-8",
    "DBUS_SESSION_BUS_ADDRESS": f"unix:path={RUNTIME}/bus", "PATH": "/usr/local/bin:/usr/bin:/bin",
}
RUNNER = f"{RUNTIME}/cicd-runner.sock"
CONFIG = f"{WHO.pw_dir}/.config/cicd-toolkit"
UNITS = f"{WHO.pw_dir}/.config/systemd/user"
PROPERTIES = ("Id,LoadState,ActiveState,SubState,Result,NRestarts,MemoryCurrent,MemoryMax,CPUUsageNSec,CPUQuotaPerSecUSec,"
              "TasksCurrent,TasksMax,StatusText,StateChangeTimestamp")
NAMES = [f"bench-{n:03}" for n in range(AGENTS)]


def start(command, **more):
    return subprocess.Popen(command, user=USER, group=WHO.pw_gid, extra_groups=[], env={**ENV, **more.pop("env", {})},
                            cwd=more.pop("cwd", WHO.pw_dir), stdin=subprocess.DEVNULL, **more)


def call(*command, **more):
    """What it printed; one that fails ends all."""
    process = start(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
    out, err = process.communicate()
    if process.returncode != 0:
        sys.exit(f"bench: {' '.join(command)[:200]} ended with {process.returncode}: {err.decode()[-2000:]}")
    return out.decode()


def timed(*commands):
    """Milliseconds that the commands take, one after the other."""
    began = time.perf_counter()
    for command in commands:
        process = start(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if process.wait() != 0:
            sys.exit(f"bench: {' '.join(command)[:200]} ended with {process.returncode}")
    return (time.perf_counter() - began) * 1000


def in_turns(ours, theirs, rounds=ROUNDS, before=lambda: None):
    """Medians of both, one after the other, so that a busy moment of the host meets both."""
    times = ([], [])
    for index in range(rounds + 1):
        for what, into in zip((ours, theirs), times):
            before()
            took = what()
            # The first finds caches cold.
            if index > 0:
                into.append(took)
    return statistics.median(times[0]), statistics.median(times[1])


def row(what, unit, ours, peer, theirs, budget=None, higher=False):
    """`budget`: of ours to theirs at most, or at least where more is better; without a peer, of ours itself."""
    print(json.dumps({"what": what, "unit": unit, "ours": ours, "peer": peer, "theirs": theirs, "budget": budget,
                      "higher": higher}), flush=True)


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def memory(unit, what="Pss"):
    """kB of its main process: `Pss`, in which what others have, too, is divided among all of them, or `Pss_Anon`, which is
    its own alone: the pages of the program are the larger part of the first, and whoever runs it next shares them."""
    with open(f"/proc/{main_pid(unit)}/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(f"{what}:"))


def main_pid(unit):
    return int(call("systemctl", "--user", "show", "-P", "MainPID", unit))


# By the user: the runner answers nobody else.
ASK = """
import socket, sys, time
began = time.perf_counter()
with socket.socket(socket.AF_UNIX) as stream:
    stream.connect(sys.argv[1])
    stream.sendall(f"GET {sys.argv[2]} HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n".encode())
    answer = stream.recv(4096)
if not answer.startswith(b"HTTP/1.1 200"):
    sys.exit(f"{sys.argv[1]} answered {answer!r}")
print((time.perf_counter() - began) * 1000)
"""


def first_answer(path, what="/healthz"):
    """Milliseconds until a service that may have to be started has answered."""
    return float(call("python3", "-c", ASK, path, what))


def peer(*arguments):
    return json.loads(call("peer", *map(str, arguments)))


#-- the rows ------------------------------------------------------------------------------


def agents():
    say(f"{AGENTS} agents are made")
    took = []
    for name in NAMES[:3]:
        took.append(timed(["cicdctl", "agent", "add", name, "--yes", "--quiet"]))
    row("agent add", "ms", statistics.median(took), "", None)
    with open(f"{CONFIG}/agents/{NAMES[0]}.toml") as file:
        text = file.read()
    for name in NAMES[3:]:
        path = f"{CONFIG}/agents/{name}.toml"
        with open(path, "w") as file:
            file.write(text)
        os.chown(path, WHO.pw_uid, WHO.pw_gid)
        os.chmod(path, 0o600)
    began = time.perf_counter()
    call("cicdctl", "apply", "--yes", "--quiet")
    row(f"apply of {len(NAMES) - 3} new agents", "s", time.perf_counter() - began, "", None)
    some = NAMES[:STARTS]
    call("cicdctl", "agent", "stop", *NAMES)
    units = [f"cicd-agent@{name}.{kind}" for kind in ("socket", "service") for name in some]
    row(f"agent start of {STARTS}", "ms",
        *with_peer("systemctl start", in_turns(
            lambda: timed(["cicdctl", "agent", "start", *some, "--quiet"]),
            lambda: timed(["systemctl", "--user", "start", *units]),
            rounds=max(ROUNDS // 4, 2), before=lambda: call("systemctl", "--user", "stop", *units))), 1.1)
    began = time.perf_counter()
    call("cicdctl", "agent", "start", *NAMES, "--quiet")
    row(f"agent start of all {AGENTS}", "s", time.perf_counter() - began, "", None)
    theirs = (["systemctl", "--user", "list-units", "--all", "cicd-*"],
              ["systemctl", "--user", "show", "-p", PROPERTIES, "cicd-agent@*.service", "cicd-agent@*.socket"])
    for words in (["agent", "list"], ["status"], ["status", "--json"]):
        both = in_turns(lambda words=words: timed(["cicdctl", *words]), lambda: timed(*theirs))
        row(f"{' '.join(words)} of {AGENTS}, running", "ms", *with_peer("list-units, show", both), 1.0)


def with_peer(name, both):
    return both[0], name, both[1]


def command_line():
    for option in ("--version", "--help"):
        both = in_turns(lambda option=option: timed(["cicdctl", option]), lambda: timed(["systemctl", "--version"]),
                        rounds=ROUNDS * 3)
        row(f"cicdctl {option}", "ms", *with_peer("systemctl --version", both), 1.0)


def bare():
    """A bare server as the same kind of unit as ours, behind a socket of the same kind."""
    for kind in ("service", "socket"):
        with open(f"{UNITS}/cicd-runner.{kind}") as file:
            text = file.read()
        lines = []
        for line in text.replace("cicd-runner.sock", "bench-peer.sock").splitlines():
            if line.startswith("ExecStart="):
                line = "ExecStart=/usr/local/bin/peer serve"
            if not line.startswith(("WatchdogSec=", "ExecReload=", "FileDescriptorName=")):
                lines.append(line)
        with open(f"{UNITS}/bench-peer.{kind}", "w") as file:
            file.write("\n".join(lines) + "\n")
    call("systemctl", "--user", "daemon-reload")
    call("systemctl", "--user", "start", "bench-peer.socket")


NGINX = """
daemon off;
pid RUNTIME/bench-nginx.pid;
error_log stderr crit;
worker_processes 1;
events { worker_connections 512; }
http {
    access_log off;
    keepalive_requests 1000000000;
    server {
        listen unix:RUNTIME/bench-nginx.sock;
        location = /healthz { default_type application/json; return 200 '{"ready":true}'; }
    }
    client_body_temp_path RUNTIME/bench-nginx; proxy_temp_path RUNTIME/bench-nginx;
    fastcgi_temp_path RUNTIME/bench-nginx; uwsgi_temp_path RUNTIME/bench-nginx; scgi_temp_path RUNTIME/bench-nginx;
}
"""


def nginx():
    """One worker on a unix socket, as a service of the user's; the path of the socket."""
    with open(f"{RUNTIME}/bench-nginx.conf", "w") as file:
        file.write(NGINX.replace("RUNTIME", RUNTIME))
    call("systemd-run", "--user", "--quiet", "--unit=bench-nginx", "/usr/sbin/nginx", "-c", f"{RUNTIME}/bench-nginx.conf")
    return wait_for_answer("--unix-socket", f"{RUNTIME}/bench-nginx.sock", "http://localhost/healthz")[1]


def node_exporter():
    """Its collector for systemd, asking the manager of the user: the words of a curl that asks it."""
    call("systemd-run", "--user", "--quiet", "--unit=bench-exporter", f"--setenv=DBUS_SYSTEM_BUS_ADDRESS=unix:path={RUNTIME}/bus",
         "/usr/bin/prometheus-node-exporter", "--collector.disable-defaults", "--collector.systemd",
         "--collector.systemd.enable-restarts-metrics", "--collector.systemd.enable-start-time-metrics",
         "--collector.systemd.enable-task-metrics", "--web.disable-exporter-metrics", "--web.listen-address=127.0.0.1:9199")
    words = wait_for_answer("http://127.0.0.1:9199/metrics")
    if 'node_systemd_unit_state{name="cicd-runner.service"' not in call(*ASK_CURL, *words):
        sys.exit("bench: node_exporter does not see the units of the user")
    return words


ASK_CURL = ("curl", "-sS", "--max-time", "30")


def wait_for_answer(*words):
    for _ in range(100):
        process = start([*ASK_CURL, "-o", "/dev/null", *words], stderr=subprocess.DEVNULL)
        if process.wait() == 0:
            return words
        time.sleep(0.05)
    sys.exit(f"bench: nobody answers at {words[-1]}")


def idle():
    """Before there are many: what hundreds of processes share is divided among them."""
    bare()
    first_answer(RUNNER), first_answer(f"{RUNTIME}/bench-peer.sock")
    call("cicdctl", "agent", "add", "lonely", "--yes", "--quiet")
    agent = "cicd-agent@lonely.service"
    call("systemctl", "--user", "restart", agent)
    time.sleep(2)
    for what, unit in (("runner", "cicd-runner.service"), ("agent", agent)):
        row(f"idle {what}, PSS", "kB", memory(unit), "bare hyper", memory("bench-peer.service"), 1.5)
        row("of that without the program's own pages", "kB", memory(unit, "Pss_Anon"), "bare hyper",
            memory("bench-peer.service", "Pss_Anon"))
    call("cicdctl", "agent", "remove", "lonely", "--yes", "--quiet")


def runner():
    theirs = f"{RUNTIME}/bench-peer.sock"

    def asleep():
        call("systemctl", "--user", "stop", "cicd-runner.service", "bench-peer.service")
        call("systemctl", "--user", "reset-failed")
        call("systemctl", "--user", "start", "cicd-runner.socket", "bench-peer.socket")
        time.sleep(0.05)

    both = in_turns(lambda: first_answer(RUNNER), lambda: first_answer(theirs), before=asleep)
    row("first answer of a sleeping runner", "ms", *with_peer("service that does nothing", both), 1.3)
    third = nginx()
    for clients in (1, 16):
        ours, bares, nginxes = [], [], []
        for _ in range(3):
            ours.append(peer("load", RUNNER, clients, SECONDS)["per_second"])
            bares.append(peer("load", theirs, clients, SECONDS)["per_second"])
            nginxes.append(peer("load", third, clients, SECONDS)["per_second"])
        what, ours = f"GET /healthz, {clients} clients", statistics.median(ours)
        row(what, "/s", ours, "bare hyper", statistics.median(bares), 0.8, True)
        row(what, "/s", ours, "nginx, one worker", statistics.median(nginxes), None, True)
    call("systemctl", "--user", "stop", "bench-nginx.service")
    both = in_turns(lambda: first_answer(RUNNER, "/metrics"),
                    lambda: timed(["systemctl", "--user", "show", "-p", PROPERTIES, "cicd-agent@*.service"]))
    row(f"GET /metrics of {AGENTS} agents", "ms", *with_peer("systemctl show", both))
    exporter = node_exporter()
    both = in_turns(lambda: timed([*ASK_CURL, "--unix-socket", RUNNER, "http://localhost/metrics"]),
                    lambda: timed([*ASK_CURL, *exporter]))
    row(f"curl of /metrics of {AGENTS} agents", "ms", *with_peer("node_exporter, systemd", both))
    call("systemctl", "--user", "stop", "bench-exporter.service")
    call("cicdctl", "agent", "pause", "runner", "--note", "bench", "--quiet")
    ours, disk, alone = [], [], []
    state = f"{WHO.pw_dir}/.local/state/cicd-toolkit"
    for _ in range(3):
        ours.append(peer("accept", RUNNER, 32, SECONDS)["per_second"])
        disk.append(peer("sync", state, 32, SECONDS)["per_second"])
        alone.append(peer("sync", state, 1, SECONDS)["per_second"])
    ours = statistics.median(ours)
    row("reviews accepted, 32 clients", "/s", ours, "fdatasync, 32 files", statistics.median(disk), 0.5, True)
    row("reviews accepted, 32 clients", "/s", ours, "fdatasync, 1 file", statistics.median(alone), None, True)


def queue():
    few, many = peer("queue", f"{WHO.pw_dir}", 10), peer("queue", f"{WHO.pw_dir}", ROWS)
    for what in ("claim", "list"):
        row(f"{what} beside {ROWS} jobs", "us", many[what], "10 jobs", few[what], 1.5)


def change(name, size):
    """A repository whose last commit adds about `size` bytes in files of 200 lines."""
    path = f"{WHO.pw_dir}/{name}"
    call("git", "init", "-q", path)
    git = ("git", "-C", path, "-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    call(*git, "commit", "-q", "--allow-empty", "-m", "first")
    line = "    total = total + price_of(item) * amount_of(item)  # {}\n"
    for n in range(size // (200 * len(line))):
        file = f"{path}/part-{n:04}.py"
        with open(file, "w") as out:
            out.write("".join(line.format(f"{n:05}") for _ in range(200)))
        os.chown(file, WHO.pw_uid, WHO.pw_gid)
    call(*git, "add", ".")
    call(*git, "commit", "-q", "-m", "second")
    return path


GIT = """#!/bin/bash
began=$EPOCHREALTIME
/usr/bin/git.real "$@"
status=$?
echo "$began $EPOCHREALTIME" >>HOME/git-times
exit $status
"""


def git_seconds():
    """How long at least one git ran: some run side by side."""
    with open(f"{WHO.pw_dir}/git-times") as file:
        spans = sorted(tuple(map(float, line.split())) for line in file)
    total, end = 0.0, 0.0
    for began, ended in spans:
        total += max(0.0, ended - max(began, end))
        end = max(end, ended)
    return total


def review():
    path = change("one-mb", 1_000_000)
    command = ["cicdctl", "review", "HEAD~1..HEAD", "--local", "--engine", "rules", "--json"]

    engine = []

    def reviewed():
        began = time.perf_counter()
        process = start(command, cwd=path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = process.communicate()
        if process.returncode not in (0, 3):
            sys.exit(f"bench: the review of 1 MB ended with {process.returncode}: {err.decode()[-1000:]}")
        took = (time.perf_counter() - began) * 1000
        engine.append(json.loads(out)["receipt"]["engine_ms"])
        return took

    both = in_turns(reviewed, lambda: timed(["git", "-C", path, "diff", "HEAD~1..HEAD"]))
    row("review of a 1 MB diff by the rules, in all", "ms", *with_peer("git diff", both))
    # In the place of git: it is started with a PATH and an environment of its own.
    shim = "/usr/bin/git"
    os.rename(shim, "/usr/bin/git.real")
    with open(shim, "w") as file:
        file.write(GIT.replace("HOME", WHO.pw_dir))
    os.chmod(shim, 0o755)
    times = f"{WHO.pw_dir}/git-times"
    beyond = []
    for _ in range(ROUNDS):
        if os.path.exists(times):
            os.unlink(times)
        whole = reviewed()
        beyond.append(whole - git_seconds() * 1000 - engine[-1])
    os.rename("/usr/bin/git.real", shim)
    row("of that beyond engine (caged) and git", "ms", statistics.median(beyond), "", None, 50)
    path = change("twenty-mb", 20_000_000)
    process = start(command, cwd=path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        try:
            with open(f"/proc/{process.pid}/status") as file:
                peak = max([peak, *(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))])
        except OSError:
            pass
        time.sleep(0.002)
    if process.returncode not in (0, 3, 4):
        sys.exit(f"bench: the review of 20 MB ended with {process.returncode}")
    row("review of a 20 MB diff, peak memory", "MB", peak / 1024, "", None, 64)


def ask(**request):
    """The id of an accepted job."""
    return json.loads(call("curl", "-sS", "--fail-with-body", "--unix-socket", RUNNER, "-H", "Content-Type: application/json",
                           "-d", json.dumps(request), "http://localhost/review"))["id"]


def follow(job):
    call("curl", "-sS", "-N", "-o", "/dev/null", "--unix-socket", RUNNER, f"http://localhost/jobs/{job}/events")


def many():
    """Memory of a runner that has much to do, and after much was done."""
    state = f"{WHO.pw_dir}/.local/state/cicd-toolkit"
    call("systemctl", "--user", "stop", "cicd-runner.service")
    for name in os.listdir(state):
        if name.startswith("store.db"):
            os.unlink(f"{state}/{name}")
    call("systemctl", "--user", "start", "cicd-runner.socket", "cicd-runner.service")
    places = [f"{WHO.pw_dir}/busy-{n}" for n in range(8)]
    for place in places:
        call("git", "clone", "-q", "myapp", place)

    def reviews(place, count):
        for _ in range(count):
            follow(ask(path=place, range="HEAD~1..HEAD", engine="rules"))

    def done(count):
        with concurrent.futures.ThreadPoolExecutor(len(places)) as pool:
            list(pool.map(lambda place: reviews(place, count // len(places)), places))
        time.sleep(2)
        return memory("cicd-runner.service", "Pss_Anon")

    few = done(max(JOBS // 10, len(places)))
    began = time.perf_counter()
    after = done(JOBS)
    row(f"reviews by the rules, one after the other in {len(places)} lines", "/s", JOBS / (time.perf_counter() - began), "", None)
    row(f"idle runner after {JOBS} jobs, anonymous", "kB", after, f"after {max(JOBS // 10, len(places))}", few, 1.1)
    call("cicdctl", "config", "set", "engine.command.argv", '["/bin/sleep", "8"]', "--quiet")
    call("systemctl", "--user", "restart", "cicd-runner.service")
    jobs = [ask(path=place, range="HEAD~1..HEAD", engine="command") for place in places]
    followers = [start(["peer", "follow", RUNNER, jobs[0], "64"], stdout=subprocess.PIPE)]
    time.sleep(3)
    row("runner with 64 followers and 8 jobs, PSS", "kB", memory("cicd-runner.service"), "bare hyper, idle",
        memory("bench-peer.service"))
    saw = json.loads(followers[0].communicate()[0])["saw_the_end"]
    if saw != 64:
        sys.exit(f"bench: only {saw} of 64 followers saw the end of the job")


ROWS_OF_ALL = (command_line, idle, agents, runner, queue, review, many)


def main():
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    for part in ROWS_OF_ALL:
        say(part.__name__)
        part()


main()
