#!/bin/bash
# A runner that is really stuck (stopped, its event loop blocked, its store locked) is ended by its watchdog, started
# again and goes on; a store that stays locked is waited for and not started against.
# machine: nspawn bookworm trixie
. "${BASH_SOURCE[0]%/*}/../lib.sh"

agent=cicd-agent@myapp.service
set_up --yes || exit
ask='cd ~/myapp && cicdctl review HEAD~1..HEAD --no-wait -q'
jobs='cicdctl job list --json | jq -r ".[] | .outcome // .state" | sort | uniq -c | xargs'
my() { wait_for "${2:-20}" alice "test \"\$($jobs)\" = '$1' || { $jobs; false; }"; }

alice "mkdir -p ~/.config/systemd/user/$agent.d; printf '[Service]\nWatchdogSec=3\nRestartSec=1\n' >~/.config/systemd/user/$agent.d/quick.conf; systemctl --user daemon-reload; cicdctl agent restart myapp -q"
# ended_by_watchdog WHAT: the pid has changed, and the journal says why.
ended_by_watchdog() {
    check "$1: the watchdog ends it, and it is back" wait_for 40 alice "
        p=\$(systemctl --user show -P MainPID $agent); test \$p != 0 -a \$p != $pid && test \$(systemctl --user show -P ActiveState $agent) = active"
    check "$1: said so" alice "journalctl --user -u $agent --since '@$since' -o cat | grep -q 'Watchdog timeout'"
    check "$1: restarts are counted" alice "test \$(systemctl --user show -P NRestarts $agent) -ge 1"
}
mark() {
    pid=$(alice "systemctl --user show -P MainPID $agent") since=$(as_root date +%s)
}
n=0
for how in stopped 'event loop' store; do
    mark
    alice "$ask" >/dev/null
    n=$((n + 1))
    check "$how: a job is done" my "$n reviewed"
    case $how in
        stopped) alice "kill -STOP $pid" ;;
        'event loop')
            # It reads its configuration and never comes back from that.
            alice 'cd ~/.config/cicd-toolkit && mv config.toml aside && mkfifo config.toml'
            wait_for 20 alice "test \"\$(systemctl --user show -P MainPID $agent)\" != $pid" >/dev/null
            # The next one may hang there, too, until somebody opens the other end.
            alice 'cd ~/.config/cicd-toolkit && mv config.toml fifo && mv aside config.toml && for i in 1 2 3; do timeout 1 sh -c ": >fifo"; done; rm fifo'
            ;;
        store)
            alice 'systemd-run --user --quiet --collect --unit=holder python3 -c "
import sqlite3, time
db = sqlite3.connect(\"/home/alice/.local/state/cicd-toolkit/store.db\", isolation_level=None, timeout=20)
db.execute(\"BEGIN EXCLUSIVE\"); time.sleep(30); db.execute(\"COMMIT\")"'
            check "a locked store: the watchdog ends it" wait_for 15 alice "journalctl --user -u $agent --since @$since -o cat | grep -q 'Watchdog timeout'"
            check "the next one waits for the store, and systemd is told" wait_for 40 alice "systemctl --user show -P StatusText $agent | grep 'which another process holds locked'"
            check "having been started once" alice "test \$(systemctl --user show -P ActiveState $agent) = activating"
            ;;
    esac
    ended_by_watchdog "$how"
    alice "$ask" >/dev/null
    n=$((n + 1))
    check "$how: jobs go on" my "$n reviewed" 30
done

summary
