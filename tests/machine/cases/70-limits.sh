#!/bin/bash
# Limits of a cage hold against a hog, a fork bomb, a spinner and one that will not go; a reboot
# with nobody logged in brings everything back, and what had not ended then ends.
# machine: computer trixie
. "${BASH_SOURCE[0]%/*}/../lib.sh"

program hog <<'FILE'
#!/usr/bin/python3
import sys
sys.stdin.read()
kept = []
while True:
    kept.append(bytearray(1 << 20))
FILE
program bomb <<'FILE'
#!/usr/bin/python3
# Starts as many processes as it can and says how many that were.
import os, sys, time, json
sys.stdin.read()
n = 0
try:
    while n < 2000:
        if os.fork() == 0:
            time.sleep(600)
            os._exit(0)
        n += 1
    why = "no limit"
except OSError as error:
    why = error.strerror
print(json.dumps({"findings": [], "summary": f"{n} processes, then: {why}"}))
FILE
program spinner <<'FILE'
#!/bin/sh
cat >/dev/null
while :; do :; done
FILE
program stubborn <<'FILE'
#!/usr/bin/python3
# Ignores what asks it to go, and so do its children, each in a session of its own.
import os, signal, sys, time
sys.stdin.read()
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
for _ in range(5):
    if os.fork() == 0:
        os.setsid()
        if os.fork() != 0:
            os._exit(0)
        time.sleep(600)
time.sleep(600)
FILE
program slow <<'FILE'
#!/bin/sh
cat >/dev/null
sleep "$1"
echo '{"findings": []}'
FILE
set_up --yes || exit

# review ENGINE [SETTING...]: by that program, with settings of [job]; the job's JSON, then what is left.
review() {
    local argv=$1
    shift
    { printf '[engine.command]\nargv = [%s]\n[job]\n' "$argv"; printf '%s\n' "$@"; } | configure
    alice 'cd ~/myapp; before=$(systemctl --user show -P MainPID cicd-agent@myapp.service)
        timeout 120 cicdctl review HEAD~1..HEAD --engine command --json 2>/dev/null >review.json; status=$?
        jq -r "\"\(.outcome): \(.reason) \(.summary)\", \"peak \(.receipt.peak_memory)\"" review.json
        echo "status $status"
        echo "left $(pgrep -u alice -c "^(hog|bomb|spinner|stubborn|slow|sleep)$") $(ls -d /sys/fs/cgroup/user.slice/user-*/user@*/cicd.slice/cicd-job-*/ 2>/dev/null | wc -l)"
        [ "$(systemctl --user show -P MainPID cicd-agent@myapp.service)" = "$before" ] && echo "same agent"'
}

# ends OUTCOME-AND-REASON: what holds after each of them.
ends() {
    shows "$1: $2" "^$2"
    shows "$1: nothing is left, neither process nor cgroup" '^left 0 0$'
    shows "$1: the agent did not notice" '^same agent$'
}

run alice 'cicdctl status'
shows "limits are enforced here, and status says so" '^limits +memory, cpu, tasks enforced$'
run alice 'cicdctl doctor'
of='memory enforced, cpu enforced, tasks enforced'
shows "doctor has gone beyond them, and read those of a service and of a cage from inside" "^ok +delegation +limits of services: $of; of cages: $of$"
run alice 'cicdctl agent add second --repo example/second && cicdctl agent remove second --yes --quiet'
shows "agent add has proved them" '^ +limits and hardening: enforced$'

run review '"/usr/local/bin/hog"' 'memory = "64M"'
ends "memory hog" 'failed: .*ran out of memory and was killed at its limit of 64M'
shows "memory hog: status 4" '^status 4$'
peak=$(sed -n 's/^peak //p' <<<"$output")
check "memory hog: it had 64 MB and no more (peak: $peak)" test "${peak:-0}" -gt 50000000 -a "${peak:-0}" -le 67108864

run review '"/usr/local/bin/bomb"' 'tasks = 40'
ends "fork bomb" 'reviewed: .*[1-3][0-9] processes, then: Resource temporarily unavailable'

run review '"/usr/local/bin/spinner"' 'timeout = "4s"' 'cpu = "50%"'
ends "spinner" 'failed: .*was not done after 4s'
shows "spinner: status 4" '^status 4$'

run review '"/usr/local/bin/stubborn"' 'timeout = "3s"'
ends "one that ignores TERM and leaves its session" 'failed: .*was not done after 3s'

run review '"/usr/local/bin/slow", "0"'
ends "after all of them a good engine" 'reviewed: '
shows "status 0" '^status 0$'

#-- a reboot ----------------------------------------------------------------------------

{ printf '[engine.command]\nargv = ["/usr/local/bin/slow", "600"]\n'; } | configure
run alice 'cd ~/myapp; for i in 1 2 3; do cicdctl review HEAD~1..HEAD --engine command --no-wait --quiet >>jobs; done
    for i in $(seq 100); do pgrep -u alice -x slow >/dev/null && break; sleep 0.2; done
    cicdctl job list --json | jq -r ".[].state" | sort | uniq -c | xargs
    sed -i s/600/1/ ~/.config/cicd-toolkit/agents/myapp.toml'
shows "two jobs run and one waits" '1 queued 2 running'
check "reboot" "$MACHINE" reboot "$name"
# Root looks; alice does not log in.
uid=$(as_root id -u alice)
manager="systemctl --user --machine=alice@"
check "both sockets and the agent are there, with nobody logged in" wait_for 90 as_root sh -c "
    test -S /run/user/$uid/cicd-runner.sock -a -S /run/user/$uid/cicd-toolkit/agents/myapp.sock &&
    $manager is-active --quiet cicd-runner.socket cicd-agent@myapp.socket"
check "nobody is logged in" as_root sh -c '! loginctl list-sessions --no-legend | grep -w alice | grep -wv manager'
check "the services are enabled" as_root sh -c "$manager is-enabled --quiet cicd-runner.service cicd-agent@myapp.service"
ended_by_itself="python3 -c \"
import sqlite3
rows = sqlite3.connect('file:/home/alice/.local/state/cicd-toolkit/store.db?mode=ro', uri=True).execute('SELECT outcome FROM jobs ORDER BY id DESC LIMIT 3').fetchall()
print(rows)
assert rows == [('reviewed',)] * 3\""
check "what ran and what waited ends as reviewed, still with nobody logged in" wait_for 120 as_root sh -c "$ended_by_itself"
check "a review after the reboot" alice 'cd ~/myapp && cicdctl review HEAD~1..HEAD --json | jq -e "(.findings | length) == 11"'

summary
