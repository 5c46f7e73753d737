#!/usr/bin/env python3
"""Every command line of the README and of the help's examples, as a user types it.

    documented README

Run inside a machine by a user who has ~/myapp and a cicdctl of their own first on the PATH. For each line the state is made
that it is about; then it has to end with the status that stands below, within its time. Prints a line of TAP for each.
"""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys

HOME = os.environ["HOME"]
WORK = f"{HOME}/myapp"
PROGRAM = shutil.which("cicdctl")

# What a line may end with other than 0, and what it says then; the first that matches.
OTHERWISE = [
    (r" review .*--pr ", {1, 4}, r"token|GitHub|origin"),  # Nobody has a forge here.
    (r"^cicdctl finding (show|dismiss|restore) ", {1}, r"no finding|no repository|--repo"),
    (r"^cicdctl job list --why ", {0, 1}, r"42"),
    (r"^cicdctl engine (pin|show)", {0, 1}, r"claude"),  # There is no such program here.
    (r"^cicdctl job cancel", {0, 1}, r"has ended|cancelled"),
    (r"^cicdctl secret remove", {0, 1}, r"secret"),
]
# What goes on until it is told to end, and what wants a terminal.
ENDLESS = r" -f$|--watch|^cicdctl top|^cicdctl job follow"
TERMINAL = r"^cicdctl top|--watch$"


def lines(readme):
    found = []
    for index, block in enumerate(readme.split("```")):
        if index % 2 and block.startswith(("sh\n", "console\n")):
            for line in block.splitlines():
                line = re.sub(r"\s+#.*", "", line.removeprefix("$ ").strip())
                if line.startswith("cicdctl "):
                    found.append(line)

    def look(words):
        text = subprocess.run(["cicdctl", *words, "--help"], capture_output=True, text=True, check=True).stdout
        found.extend(re.findall(r"^  (cicdctl .*?)(?:\s{2,}.*)?$", text.partition("Example")[2], re.M))
        commands = re.search(r"^Commands:\n((?:  .*\n)+)", text, re.M)
        for name in re.findall(r"^  ([a-z-]+)", commands.group(1), re.M) if commands else []:
            if name != "help":
                look([*words, name])

    look([])
    # What takes everything away comes last.
    return sorted(dict.fromkeys(found), key=lambda line: "uninstall" in line)


def quietly(command, **more):
    return subprocess.run(command, shell=True, cwd=WORK, capture_output=True, text=True, stdin=subprocess.DEVNULL, **more)


def prepare(line):
    """The state that a line is about, and the line with names of what is there."""
    if not os.path.exists(f"{HOME}/shop"):
        quietly("git clone -q . ~/shop")
        quietly("for n in 1 2 3; do git -c user.name=Ada -c user.email=ada@example.com commit -q --allow-empty -m $n; done")
    os.makedirs(f"{WORK}/.github/workflows", exist_ok=True)
    for name, text in {"key.txt": "sk-ant-none\n", "token.txt": "ghp_none\n", ".cicd-toolkit.toml": "[review]\nmax_inline = 3\n",
                       "config.yaml": "runner:\n  jobs: 2\n"}.items():
        with open(f"{WORK}/{name}", "w", encoding="utf-8") as file:
            file.write(text)
    for name in ("cicdctl", "cicdctl-new"):
        shutil.copy(PROGRAM, f"{WORK}/{name}")
    if line.startswith("cicdctl init"):
        quietly("cicdctl uninstall --purge --yes")
    else:
        quietly("cicdctl config unset review.engine; cicdctl config unset environment.HTTPS_PROXY")
        quietly("cicdctl init --yes; for name in web-1 web-2 shop; do cicdctl agent add $name --yes; done; cicdctl agent add myapp --path ~/myapp --yes")
    quietly("mkdir -p ~/.config/cicd-toolkit && cp config.yaml ~/.config/cicd-toolkit/")
    added = re.match(r"cicdctl agent add (\S+)", line)
    if added:
        quietly(f"cicdctl agent remove {added.group(1)} --yes")
    named = re.match(r"cicdctl skill (new|check) (\S+)", line)
    if named:
        quietly("rm -f ~/.config/cicd-toolkit/skills/*.md; printf -- '---\\ndescription: ours\\n---\\nLook for tabs.\\n' >our-rules.md")
    if "--skill sql" in line:
        quietly("cicdctl skill new sql")
    if "XY7Z" in line:
        quietly("cicdctl review HEAD~1..HEAD --no-wait")
        quietly("sleep 1")
        jobs = quietly("cicdctl job list --json").stdout
        line = line.replace("XY7Z", re.search(r'"id": ?"(\w+)"', jobs).group(1)[-8:])
    if "HEX" in line:
        with open(PROGRAM, "rb") as file:
            line = line.replace("HEX", hashlib.sha256(file.read()).hexdigest())
    # Where only root writes.
    return line.replace("/var/lib/node_exporter/", f"{HOME}/").replace("/etc/prometheus/rules.d/", f"{HOME}/")


def run(line, seconds):
    command = f"script -qec {shquote(line)} /dev/null" if re.search(TERMINAL, line) else line
    process = subprocess.Popen(command, shell=True, cwd=WORK, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               stdin=subprocess.PIPE, start_new_session=True, env={**os.environ, "EDITOR": "true", "TERM": "xterm"})
    # For what reads a secret from its input.
    given = "a-value\n" if re.match(r"cicdctl secret set [a-z-]+$", line) else ""
    try:
        return process.communicate(given, timeout=seconds)[0], process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            return process.communicate(timeout=5)[0], "goes on"
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return process.communicate()[0], "goes on"


def shquote(text):
    return "'" + text.replace("'", "'\\''") + "'"


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        all_lines = lines(file.read())
    failed = 0
    for written in all_lines:
        line = prepare(written)
        endless = bool(re.search(ENDLESS, line))
        output, status = run(line, 3 if endless else 60)
        if status != 0 and "--yes" in output and "--yes" not in line:
            # It asks, and there is no terminal here.
            output, status = run(f"{line} --yes" if ">" not in line else line, 60)
        allowed, words = next(((statuses, words) for pattern, statuses, words in OTHERWISE if re.search(pattern, line)), ({0}, ""))
        right = status in allowed and (status == 0 or re.search(words, output)) or endless and status in (0, "goes on")
        right = right and not re.search(r"panicked|RUST_BACKTRACE", output)
        print(f"{'ok' if right else 'not ok'} - {written}", flush=True)
        if not right:
            failed += 1
            print("\n".join(f"# {part}" for part in [*output.splitlines()[-12:], f"ended with {status}"]), flush=True)
    print(f"{len(all_lines) - failed} lines are right, {failed} are not")
    sys.exit(min(failed, 1))


main()
