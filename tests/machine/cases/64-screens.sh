#!/bin/bash
# What draws on the whole screen, in a real terminal: `status --watch` and `top` show what is there, act only when they are
# told yes, and give the terminal back whatever ends them. And all of it without a bus daemon.
# machine: nspawn bookworm trixie
. "${BASH_SOURCE[0]%/*}/../lib.sh"

program screen <<'FILE'
#!/usr/bin/env python3
"""screen COLUMNS ROWS SECONDS KEYS COMMAND...: runs it in a terminal of that size, types KEYS (a pause after each; `^M` is
Enter, `^I` Tab, and `^K` kills it by TERM), and says what was seen, whether it ended, and whether the terminal is as it was."""
import fcntl, os, pty, re, select, signal, struct, sys, termios, time
columns, rows, seconds, keys = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
ours, theirs = pty.openpty()
fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
before = termios.tcgetattr(theirs)
child = os.fork()
if child == 0:
    os.login_tty(theirs)
    os.environ["TERM"] = "xterm"
    os.execvp(sys.argv[5], sys.argv[5:])
seen = b""

def look(until):
    global seen
    while time.monotonic() < until:
        if select.select([ours], [], [], 0.05)[0]:
            seen += os.read(ours, 65536)

look(time.monotonic() + seconds)
for key in re.findall(r"\^.|.", keys):
    os.kill(child, signal.SIGTERM) if key == "^K" else os.write(ours, {"^M": b"\r", "^I": b"\t"}.get(key, key.encode()))
    look(time.monotonic() + seconds)
ended, status = os.waitpid(child, os.WNOHANG)
print("ended with", os.waitstatus_to_exitcode(status) if ended else "nothing")
print("modes", "restored" if termios.tcgetattr(theirs) == before else "changed")
print("screen", "restored" if seen.rfind(b"\x1b[?1049l") > seen.rfind(b"\x1b[?1049h") > -1 else "kept")
print("cursor", "shown" if seen.rfind(b"\x1b[?25h") > seen.rfind(b"\x1b[?25l") else "hidden")
print(re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b" ", seen).decode(errors="replace"))
FILE
set_up --yes || exit

restored() { # WHAT
    shows "$1: it ended well" '^ended with 0$'
    shows "$1: the terminal's modes are as before" '^modes restored$'
    shows "$1: and so are screen and cursor" '^(screen restored|cursor shown)$'
}

run alice 'export LANG=C.UTF-8; screen 80 24 3 "^K" cicdctl status --watch=0.5'
restored "status --watch"
shows "status --watch: shows the runner and the agent" 'myapp +ready'
run alice 'screen 80 24 2 "^K" cicdctl top'
restored "top, ended by TERM"
run alice 'export LANG=C.UTF-8; screen 80 24 2 "q" cicdctl top'
restored "top, ended by its key"
shows "top: shows the agent" 'myapp'
pid='systemctl --user show -P MainPID cicd-agent@myapp.service'
run alice "$pid; "'screen 100 30 2 "jrnq" cicdctl top | grep -c "restart myapp?";'" $pid; "'screen 100 30 2 "jryq" cicdctl top | grep -o ": done";'" $pid"
check "top: asks before it restarts, and does it when told so" test "$(sed -n 1p <<<"$output")" = "$(sed -n 3p <<<"$output")" \
    -a "$(sed -n 2p <<<"$output")" -ge 1 -a "$(sed -n 4p <<<"$output")" = ": done" \
    -a "$(sed -n 3p <<<"$output")" != "$(sed -n 5p <<<"$output")"
run alice 'cd ~/myapp && cicdctl review HEAD~1..HEAD --quiet >/dev/null; screen 100 30 2 "^I^Mqq" cicdctl top'
restored "top, with a job looked into"
shows "top: shows the job" 'reviewed: [0-9]+ findings'
run alice 'for size in "20 4" "10 2" "40 10"; do screen $size 1 "q" cicdctl top | head -n 1; done; screen 80 24 1 "" true >/dev/null; cicdctl top </dev/null; echo "status $?"; cicdctl status --watch | cat; echo "status ${PIPESTATUS[0]}"'
shows "any size will do" '^ended with 0$'
shows "without a terminal it says what to use" 'cicdctl status --watch --json'
run alice 'timeout 3 cicdctl status --watch=0.5 --json | jq -r ".runner.word" | sort | uniq -c'
shows "JSON needs none: a line for each look" '^ +[3-6] ready$'

#-- no bus daemon ------------------------------------------------------------------------------

run alice 'unset DBUS_SESSION_BUS_ADDRESS; mv $XDG_RUNTIME_DIR/bus $XDG_RUNTIME_DIR/bus.away
    cicdctl status; timeout 60 cicdctl agent restart myapp; timeout 60 cicdctl agent stop myapp; timeout 60 cicdctl agent start myapp
    cd ~/myapp && timeout 60 cicdctl review HEAD~1..HEAD --local --json | jq -r "\"local \(.outcome) in \(.receipt.cage.unit | tostring)\""
    timeout 60 cicdctl review HEAD~1..HEAD --json | jq -r "\"runner \(.outcome)\""; mv $XDG_RUNTIME_DIR/bus.away $XDG_RUNTIME_DIR/bus'
shows "no bus: status says so" 'no bus daemon'
shows "no bus: it restarts" 'restarted: myapp'
shows "no bus: it stops" 'stopped: myapp'
shows "no bus: it starts" 'started: myapp'
shows "no bus: a local review" '^local reviewed in cicd-job-.*service'
shows "no bus: one by the runner" '^runner reviewed$'

summary
