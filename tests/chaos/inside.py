#!/usr/bin/env python3
"""What the chaos suite needs inside a machine: somebody who asks for reviews, somebody who kills, a count, a watch.

    chaos repo DIR COUNT        a bare repository with pull requests 1 to COUNT, each of another head
    chaos ask SEED              asks for one after the other until ~/chaos/stop is there
    chaos kill COUNT SEED MIN MAX [KIND..]    kills COUNT times, with MIN to MAX seconds between two
    chaos finish SECONDS        lets all of it end, until nothing has ended for that time, and prints the count
    chaos latency AGENT CALLS REVIEWS DIR     of calls of GET /healthz, and of reviews of HEAD~1..HEAD by the rules;
                                              AGENT may be `runner`
    chaos crowd KIND COUNT SECONDS            COUNT clients of the runner for that time: `silent` ones say nothing,
                                              `head` and `body` send a byte each second, `deaf` ones read no answer,
                                              `follower` ones wait for the job in ~/job; who is cut off comes again

Pull request N is of the runner, the agent `quick` or the agent `slow`, as N modulo 3 is 0, 1 or 2. Both speak to a
fake_github at port 8098 whose journal they do not read: what stands at the forge is what it says itself. What was
accepted and what was killed is in ~/chaos, each line synced to the disk.

Of `kill`:
    runner, quick, slow   the process of that unit
    cage                  every process of a cage
    cli                   `cicdctl review` in the middle of asking
    publisher             the unit that writes to the forge, right before or right after what it writes is there
"""

import collections
import json
import os
import random
import resource
import select
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
import urllib.request

HOME = os.path.expanduser("~")
STATE = f"{HOME}/chaos"
FORGE = "http://127.0.0.1:8098"
REPO = "acme/shop"
SCOPES = ["cicd-runner.service", "cicd-agent@quick.service", "cicd-agent@slow.service"]
AGENTS = [None, "quick", "slow"]
RUNTIME = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
RUNNER = f"{RUNTIME}/cicd-runner.sock"
SLICE = f"/sys/fs/cgroup/user.slice/user-{os.getuid()}.slice/user@{os.getuid()}.service/cicd.slice"
# A cicdctl that asks for this pull request and above was started to be killed.
FOR_THE_KILLER = 5000
# Open reviews that `ask` keeps up.
BACKLOG = 9


def note(name, **what):
    """A line that is still there after a power cut."""
    line = json.dumps(what).encode() + b"\n"
    file = os.open(f"{STATE}/{name}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(file, line)
    os.fsync(file)
    os.close(file)


def notes(name):
    try:
        with open(f"{STATE}/{name}") as file:
            return [json.loads(line) for line in file if line.endswith("\n")]
    except FileNotFoundError:
        return []


def forge(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(FORGE + path, data=data), timeout=60) as answer:
        return json.load(answer)


def is_stopped():
    return os.path.exists(f"{STATE}/stop")


#-- the repository ------------------------------------------------------------------------


def repo(directory, count):
    """The change of each pull request is a line that the rules find."""
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", directory], check=True)
    base = "".join(f"def order_{n}(items):\n    return sum(items) + {n}\n\n\n" for n in range(6))
    who = "Ada <ada@example.com> 1767225600 +0000"
    lines = []

    def commit(ref, mark, text, parent):
        data = text.encode()
        lines.append(f"commit {ref}\nmark :{mark}\ncommitter {who}\ndata 6\nchange\n{parent}M 100644 inline app/orders.py\n"
                     f"data {len(data)}\n{text}\n")

    commit("refs/heads/main", 1, base, "")
    for n in [*range(1, count + 1), *range(FOR_THE_KILLER, FOR_THE_KILLER + count // 4 + 1)]:
        text = base.replace("def order_1(items):\n", f"def order_1(items):\n    verify = requests.get(items[{n}], verify=False)\n")
        commit(f"refs/pull/{n}/head", n + 1, text, "from :1\n")
    subprocess.run(["git", "-C", directory, "fast-import", "--quiet"], input="".join(lines).encode(), check=True)
    refs = subprocess.run(["git", "-C", directory, "for-each-ref", "--format=%(refname) %(objectname)", "refs/pull"],
                          stdout=subprocess.PIPE, check=True).stdout.decode()
    heads = {ref.split("/")[2]: sha for ref, sha in (line.split() for line in refs.splitlines())}
    with open(f"{STATE}/heads", "w") as file:
        json.dump(heads, file)
    subprocess.run(["git", "-C", directory, "pack-refs", "--all"], check=True)
    os.sync()
    print(f"{len(heads)} pull requests")


def heads():
    with open(f"{STATE}/heads") as file:
        return {int(number): sha for number, sha in json.load(file).items()}


#-- asking --------------------------------------------------------------------------------


def by_curl(number):
    """The id of the job, where 202 was answered."""
    body = {"pr": number, "repo": REPO, "post": True}
    if AGENTS[number % 3]:
        body["agent"] = AGENTS[number % 3]
    done = subprocess.run(
        ["curl", "-sS", "--max-time", "40", "--unix-socket", RUNNER, "-w", "\n%{http_code}",
         "-H", "Content-Type: application/json", "-d", json.dumps(body), "http://localhost/review"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    text, _, status = done.stdout.decode().rpartition("\n")
    return json.loads(text)["id"] if status == "202" else None


def command(number, *options):
    agent = ["--agent", AGENTS[number % 3]] if AGENTS[number % 3] else []
    return ["cicdctl", "review", "--pr", str(number), "--repo", REPO, "--post", *agent, *options]


def by_cli(number):
    done = subprocess.run(command(number, "--no-wait", "-q"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return done.stdout.decode().strip() or None


def by_waiting_cli(number):
    """One that follows its job to the end; it says the job's name before, and may be killed afterwards."""
    process = subprocess.Popen(command(number, "-v"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    job = None
    for line in process.stderr:
        words = line.decode(errors="replace").split()
        if not job and len(words) == 2 and words[0] == "job":
            job = words[1]
            note("accepted", number=number, job=job, way="waiting cli")
    process.wait()
    return job


def ask(seed):
    dice = random.Random(seed)
    mutex = threading.Lock()
    sha = heads()
    last = max((one["number"] for one in notes("accepted") if one["number"] < FOR_THE_KILLER), default=0)
    numbers = iter(n for n in sorted(sha) if last < n < FOR_THE_KILLER)
    asked = {}

    def crowded():
        try:
            ends = forge("/control/ends")
        except OSError:
            return True
        # One that was given up before its head was known has no end at the forge; it does not count for ever. A slow
        # machine is not to be given more than it can do.
        young = [n for n, at in asked.items() if time.monotonic() - at < 300]
        return sum(ends.get(sha[n], "pending") == "pending" for n in young) >= BACKLOG

    def one_after_the_other():
        while not is_stopped():
            if crowded():
                time.sleep(0.3)
                continue
            with mutex:
                number = next(numbers, None)
                way = dice.choices(["curl", "cli", "waiting cli"], [5, 3, 2])[0]
                twice = dice.random() < 0.2
            if number is None:
                return
            asked[number] = time.monotonic()
            # Who gets no answer does not know, and asks again.
            job, tries = None, 0
            while not job and tries < 40:
                tries += 1
                job = {"curl": by_curl, "cli": by_cli, "waiting cli": by_waiting_cli}[way](number)
                if job and way != "waiting cli":
                    note("accepted", number=number, job=job, way=way)
                if not job:
                    way = "curl"
                    time.sleep(0.3)
            if twice:
                job = by_curl(number)
                if job:
                    note("accepted", number=number, job=job, way="again")

    threads = [threading.Thread(target=one_after_the_other) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


#-- killing -------------------------------------------------------------------------------


def processes(group):
    try:
        with open(f"{group}/cgroup.procs") as file:
            return [int(line) for line in file]
    except OSError:
        return []


def name_of(pid):
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except OSError:
        return ""


def strike(pids):
    struck = []
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
            struck.append(pid)
        except ProcessLookupError:
            pass
    return struck


def unit_of(unit):
    # systemd puts the instances of a template into a slice of their own only where no Slice= is set.
    return f"{SLICE}/{unit}"


def kill(count, seed, least, most, kinds):
    dice = random.Random(seed)
    weights = {"runner": 18, "quick": 12, "slow": 18, "cage": 18, "cli": 12, "publisher": 22}
    kinds = kinds or list(weights)
    own = max((one["number"] for one in notes("kills") if "number" in one), default=FOR_THE_KILLER - 1)
    sprung, done, began = len(forge("/control/traps")), collections.Counter(), time.monotonic()
    limit = began + 60 + count * (most + 8)
    while done.total() < count and time.monotonic() < limit:
        time.sleep(dice.uniform(least, most))
        kind = dice.choices(kinds, [weights[kind] for kind in kinds])[0]
        if kind in ("runner", "quick", "slow"):
            unit = SCOPES[["runner", "quick", "slow"].index(kind)]
            # The main process alone: what it has started is to be taken care of, too.
            if strike([pid for pid in processes(unit_of(unit)) if name_of(pid) == "cicdctl"][:1]):
                done[kind] += 1
                note("kills", kind=kind)
                forgive(unit)
        elif kind == "cage":
            cages = sorted(name for name in os.listdir(SLICE) if name.startswith("cicd-job-"))
            if cages and strike(processes(f"{SLICE}/{dice.choice(cages)}")):
                done[kind] += 1
                note("kills", kind=kind)
        elif kind == "cli":
            waiting = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if is_asking(pid)]
            if waiting and dice.random() < 0.5:
                struck = strike([dice.choice(waiting)])
            else:
                own += 1
                struck = killed_cli(own, dice.uniform(0, 0.12))
            if struck:
                done[kind] += 1
                note("kills", kind=kind, **({"number": own} if own >= FOR_THE_KILLER else {}))
        else:
            write = dice.choices(["review", "summary", "status"], [4, 3, 2])[0]
            forge("/control/trap", {"kind": write, "when": dice.choice(["before", "after", "after"]),
                                    "kill": [f"{unit_of(unit)}/cgroup.procs" for unit in SCOPES]})
        traps = forge("/control/traps")
        for trap in traps[sprung:]:
            if trap["killed"]:
                done["publisher"] += 1
                note("kills", kind="publisher", at=f"{trap['when']} {trap['kind']}")
                forgive(SCOPES[trap["number"] % 3])
        sprung = len(traps)
    forge("/control/trap", {"kill": []})
    print(f"{done.total()} kills in {time.monotonic() - began:.0f} s: " + listed(done))
    return done.total() >= count


def forgive(unit):
    """A limit of starts is there for what fails by itself."""
    subprocess.run(["systemctl", "--user", "reset-failed", unit], stderr=subprocess.DEVNULL)


def is_asking(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
        return words[:2] == [b"cicdctl", b"review"] and b"--no-wait" not in words
    except OSError:
        return False


def killed_cli(number, after):
    process = subprocess.Popen(command(number, "--no-wait", "-q"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    time.sleep(after)
    process.kill()
    out = process.communicate()[0].decode()
    if out.endswith("\n"):
        note("accepted", number=number, job=out.strip(), way="killed cli")
    return [process.pid] if process.returncode == -signal.SIGKILL else []


#-- latency -------------------------------------------------------------------------------


def http(path, method, target, body=None, timeout=60):
    """Status and body of the answer on a unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as to:
        to.settimeout(timeout)
        to.connect(path)
        data = b"" if body is None else json.dumps(body).encode()
        to.sendall(f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                   f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
        text = b""
        while piece := to.recv(65536):
            text += piece
    head, _, rest = text.partition(b"\r\n\r\n")
    return int(head.split(None, 2)[1] if head else 0), rest


def latency(agent, calls, reviews, directory):
    path = RUNNER if agent == "runner" else f"{RUNTIME}/cicd-toolkit/agents/{agent}.sock"
    times = []
    for _ in range(calls):
        began = time.monotonic()
        status, _ = http(path, "GET", "/healthz")
        assert status == 200, status
        times.append(time.monotonic() - began)
        time.sleep(0.02)
    print(f"GET /healthz at {agent}: median {spread(times)}, {calls} calls")
    times = []
    for _ in range(reviews):
        began = time.monotonic()
        status, text = http(path, "POST", "/review", {"path": directory, "range": "HEAD~1..HEAD", "engine": "rules"})
        assert status == 202, text
        job = json.loads(text)["id"]
        while True:
            answer = json.loads(http(path, "GET", f"/jobs/{job}")[1])
            if answer["state"] == "ended":
                break
            time.sleep(0.02)
        assert answer["outcome"] == "reviewed", answer
        times.append(time.monotonic() - began)
    if reviews:
        print(f"review by the rules at {agent}: median {spread(times)}, {reviews} reviews")


def crowd(kind, count, seconds):
    """Each client is a connection that is in the way as long as it is let."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(count + 100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
    begin = {"silent": b"", "head": b"GET /healthz HTTP/1.1\r\nX-Slow: ", "deaf": b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 40,
             "follower": f"GET /jobs/{following()}/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n".encode(),
             "body": b"POST /review HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"}[kind]
    end, there, cut, refused = time.monotonic() + seconds, [], 0, 0
    while time.monotonic() < end:
        while len(there) < count and time.monotonic() < end:
            client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            client.setblocking(False)
            try:
                client.connect(RUNNER)
                client.send(begin)
            except BlockingIOError:
                # The backlog is full.
                client.close()
                refused += 1
                break
            except OSError:
                client.close()
                cut += 1
                continue
            there.append(client)
        time.sleep(0.25 if kind == "silent" else 1)
        still = []
        for client in there:
            try:
                if kind in ("head", "body"):
                    client.send(b"x")
                if kind != "deaf" and client.recv(65536) == b"":
                    raise ConnectionResetError
                if kind == "deaf" and is_hung_up(client):
                    raise ConnectionResetError
                still.append(client)
            except BlockingIOError:
                still.append(client)
            except OSError:
                client.close()
                cut += 1
        there = still
    print(f"{kind}: {count} clients for {seconds:.0f} s, {cut} times one was cut off, {len(there)} are left, {refused} times the backlog was full")


def following():
    try:
        with open(f"{HOME}/job") as file:
            return file.read().strip()
    except FileNotFoundError:
        return "none"


def is_hung_up(client):
    poll = select.poll()
    poll.register(client, 0)
    return any(what & (select.POLLHUP | select.POLLERR) for _, what in poll.poll(0))


def spread(times):
    return f"{statistics.median(times) * 1000:.0f} ms, max {max(times) * 1000:.0f} ms"


#-- the count -----------------------------------------------------------------------------


def listed(counter):
    return ", ".join(f"{name} {number}" for name, number in sorted(counter.items())) or "none"


def rows(sql):
    connection = sqlite3.connect(f"file:{HOME}/.local/state/cicd-toolkit/store.db?mode=ro", uri=True, timeout=30)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def finish(seconds):
    """Whatever is wrong is a line that starts with `wrong:`."""
    open(f"{STATE}/stop", "w").close()
    forge("/control/trap", {"kill": []})
    began = time.monotonic()
    for unit in SCOPES:
        forgive(unit)
    # A slow machine loses nothing: what counts is that something ends. A job may wait for two minutes before it is tried
    # again, so SECONDS have to be more than that.
    left, moved = None, began
    while left != 0 and time.monotonic() - moved < seconds:
        now = rows("SELECT count(*) FROM jobs WHERE state != 'ended'")[0][0]
        if now != left:
            left, moved = now, time.monotonic()
        time.sleep(0.5)
    took = time.monotonic() - began
    print(f"all has ended after {took:.0f} s" if left == 0 else f"{left} have not ended after {took:.0f} s, none of them for {seconds:.0f} s")
    accepted, sha = notes("accepted"), heads()
    jobs = {job: (state, outcome, reason, json.loads(request)["pr"], attempts) for job, state, outcome, reason, request, attempts
            in rows("SELECT id, state, outcome, reason, request, attempts FROM jobs")}
    ends = dict(rows("SELECT job, count(*) FROM events WHERE json_extract(what, '$.event') = 'ended' GROUP BY job"))
    state = forge("/control/state")
    finals = forge("/control/ends")
    wrong = []

    promised = {one["job"]: one["number"] for one in accepted}
    lost = [job for job in promised if job not in jobs or jobs[job][0] != "ended"]
    lost += [job for job, row in jobs.items() if job not in promised and row[0] != "ended"]
    outcomes = collections.Counter(row[1] for row in jobs.values() if row[0] == "ended")
    print("accepted %d (%s), which are %d jobs; %d jobs in the store" %
          (len(accepted), listed(collections.Counter(one["way"] for one in accepted)), len(promised), len(jobs)))
    print("ended " + listed(outcomes))
    reasons = collections.Counter(f"{row[1]}: {row[2]}" for row in jobs.values() if row[1] != "reviewed" and row[0] == "ended")
    for reason, number in reasons.most_common():
        print(f"  {number} x {reason}")
    print("attempts " + listed(collections.Counter(str(row[4]) for row in jobs.values())))
    for job in lost:
        wrong.append(f"lost: job {job} is {jobs[job][0] if job in jobs else 'unknown'}")
    for job, row in jobs.items():
        if row[0] == "ended" and ends.get(job, 0) != 1:
            wrong.append(f"job {job} has {ends.get(job, 0)} ends")

    reviewed = {row[3] for row in jobs.values() if row[1] == "reviewed"}
    published, doubled = 0, 0
    for number in sorted({row[3] for row in jobs.values()}):
        there = [collections.Counter(one.get("commit_id") for one in state["reviews"].get(str(number), [])),
                 collections.Counter(one["user"]["login"] for one in state["summaries"].get(str(number), [])),
                 collections.Counter(f"{one['path']}:{one['line']}" for one in state["comments"].get(str(number), []))]
        for what, counter in zip(("review", "summary", "comment"), there):
            for where, times in counter.items():
                if times > 1:
                    doubled += times - 1
                    wrong.append(f"doubled: {what} of pull request {number} ({where}) stands {times} times")
        if number in reviewed:
            if there[0].get(sha[number], 0) and there[1]:
                published += 1
            else:
                wrong.append(f"not published: pull request {number} was reviewed, and its review or summary is not there")
        if finals.get(sha[number], "none") in ("pending", "none"):
            said = "reviewed" if number in reviewed else "given up"
            wrong.append(f"{said}, and the commit of pull request {number} says {finals.get(sha[number], 'nothing')} for ever")
    kills = notes("kills")
    print("kills %d: %s" % (len(kills), listed(collections.Counter(one["kind"] for one in kills))))
    print("  of the publisher: " + listed(collections.Counter(one["at"] for one in kills if "at" in one)))
    print("the store: " + rows("PRAGMA integrity_check")[0][0])
    print(f"accepted {len(promised)}, ended {sum(row[0] == 'ended' for row in jobs.values())}, reviewed {len(reviewed)} heads, "
          f"published {published}, lost {len(lost)}, doubled {doubled}")
    for line in wrong[:40]:
        print(f"wrong: {line}")
    print("nothing is wrong" if not wrong else f"{len(wrong)} things are wrong")
    return not wrong


def main():
    what, arguments = sys.argv[1], sys.argv[2:]
    os.makedirs(STATE, exist_ok=True)
    if what == "repo":
        return repo(arguments[0], int(arguments[1]))
    if what == "ask":
        return ask(int(arguments[0]))
    if what == "kill":
        count, seed, least, most = int(arguments[0]), int(arguments[1]), float(arguments[2]), float(arguments[3])
        sys.exit(not kill(count, seed, least, most, arguments[4:]))
    if what == "latency":
        return latency(arguments[0], int(arguments[1]), int(arguments[2]), arguments[3])
    if what == "crowd":
        return crowd(arguments[0], int(arguments[1]), float(arguments[2]))
    if what == "finish":
        sys.exit(not finish(float(arguments[0])))
    sys.exit(__doc__)


if __name__ == "__main__":
    main()
