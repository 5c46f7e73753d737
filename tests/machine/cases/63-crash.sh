#!/bin/bash
# An engine outlives whoever began it: the agent is killed, restarted and stopped while the engine works, and the next
# process goes on with it; it is called once, and its job ends as if nothing had been. What is cancelled meanwhile is
# ended, and of what has ended nothing is left. A job over which processes die waits longer each time.
# machine: nspawn bookworm trixie
. "${BASH_SOURCE[0]%/*}/../lib.sh"

program slow <<'FILE'
#!/bin/sh
cat >/dev/null
until test -e /usr/local/share/go; do sleep 0.2; done
echo '{"findings":[],"summary":"it has ended"}'
FILE
set_up --yes || exit
# Systemd waits five seconds before each restart, and counts them.
with_stdin alice bash -c 'cd ~/.config/systemd/user && mkdir -p cicd-agent@.service.d && cat >cicd-agent@.service.d/90-test.conf && systemctl --user daemon-reload' <<'FILE'
[Unit]
StartLimitIntervalSec=0
[Service]
RestartSec=300ms
FILE
configure <<<$'[engine.command]\nargv = ["/usr/local/bin/slow"]'

# The engine itself, wherever it runs.
engine='pgrep -u alice -fx "/bin/sh /usr/local/bin/slow"'
# What there is of jobs: directories, cages, engines.
left='echo "$(ls ~/.local/state/cicd-toolkit/agents/myapp/workspace ~/.local/state/cicd-toolkit/workspace 2>/dev/null | grep -c ^01) \
    $(systemctl --user list-units --all --no-legend "cicd-job-*" | wc -l) $('$engine' | wc -l)" | tr -s " "'
job='cicdctl job show $(cat ~/job) --json'
calls='journalctl --user -o cat | grep -c "^Started cicd-job-$(cat ~/job)\."'

# begin: a review by the agent whose engine waits; its pid is in $pid.
begin() {
    as_root rm -f /usr/local/share/go
    alice 'cd ~/myapp && cicdctl review HEAD~1..HEAD --engine command --no-wait -q >~/job'
    check "$1: the engine works" wait_for 30 alice "$engine"
    check "a directory, a cage and an engine" alice "test \"\$($left)\" = '1 1 1'"
    pid=$(alice "$engine")
}

# ends ATTEMPTS: the engine may end, and the job does.
ends() {
    check "it is the same engine" test "$(alice "$engine")" = "$pid"
    as_root touch /usr/local/share/go
    check "the job is reviewed in $1 attempts" wait_for 30 alice "$job"' | jq -e ".outcome == \"reviewed\" and .attempts == '"$1"' and .review.summary == \"it has ended\" and .review.receipt.notes == []"'
    check "the engine was called once" test "$(alice "$calls")" = 1
    check "its beginning was told once" test "$(alice 'curl -sN --unix-socket $XDG_RUNTIME_DIR/cicd-runner.sock http://localhost/jobs/$(cat ~/job)/events | grep -c "\"event\":\"engine\""')" = 1
    check "and nothing of it is left" wait_for 20 alice "test \"\$($left)\" = '0 0 0'"
}

kill_agent='systemctl --user kill -s KILL --kill-whom=main cicd-agent@myapp.service'
begun='cicdctl job show $(cat ~/job) --json | jq -e ".state == \"running\" and .attempts == $1"'

begin "killed"
check "the agent is killed" alice "$kill_agent"
check "the next one has begun the job again" wait_for 30 alice "$begun" 2
check "and once more" alice "$kill_agent"
check "the one after has it" wait_for 30 alice "$begun" 3
ends 3

begin "killed, and ended before anybody looked"
check "the agent is stopped for good" alice "$kill_agent; systemctl --user stop cicd-agent@myapp.service cicd-agent@myapp.socket"
as_root touch /usr/local/share/go
check "the cage has ended" wait_for 20 alice '! systemctl --user is-active --quiet "cicd-job-*"'
check "its result waits" alice "test \"\$($left)\" = '1 0 0'"
check "the agent is started" alice 'cicdctl agent start myapp'
check "the job is reviewed" wait_for 30 alice "$job"' | jq -e ".outcome == \"reviewed\" and .attempts == 2"'
check "the engine was called once" test "$(alice "$calls")" = 1
check "nothing is left" wait_for 20 alice "test \"\$($left)\" = '0 0 0'"

alice 'sed -i "/^\[runner\]/a stop_timeout = \"1s\"" ~/.config/cicd-toolkit/config.toml && cicdctl apply --yes -q'
begin "restarted"
check "the agent is restarted" alice 'systemctl --user restart cicd-agent@myapp.service'
check "the next one has begun the job again" wait_for 30 alice "$begun" 2
ends 2

begin "the bus daemon restarted"
check "the bus daemon is killed" alice 'systemctl --user kill -s KILL dbus.service; sleep 2; systemctl --user is-active dbus.socket'
ends 1

begin "cancelled in the queue"
check "the agent is stopped" alice 'systemctl --user stop cicd-agent@myapp.service cicd-agent@myapp.socket'
check "the job waits, and the engine works" alice "$job"' | jq -e ".state == \"queued\"" && '"test \"\$($left)\" = '1 1 1'"
check "the runner is not awake" alice 'systemctl --user stop cicd-runner.service'
check "it is cancelled" alice 'cicdctl job cancel $(cat ~/job)'
check "nothing is left at once" alice "test \"\$($left)\" = '0 0 0'"
check "the agent is started" alice 'cicdctl agent start myapp'

begin "cancelled when its agent is dead"
check "the agent is killed and stopped" alice "$kill_agent; systemctl --user stop cicd-agent@myapp.service cicd-agent@myapp.socket"
check "the job is taken for running" alice "$job"' | jq -e ".state == \"running\""'
check "it is cancelled" expect_output 'is cancelled' alice 'cicdctl job cancel $(cat ~/job)'
check "nothing is left" alice "test \"\$($left)\" = '0 0 0'"
check "the agent is started" alice 'cicdctl agent start myapp'

begin "its cage is stopped by somebody"
check "the unit is stopped" alice 'systemctl --user stop "cicd-job-*"'
check "the job is begun again" wait_for 30 alice "$begun && $engine" 2
check "with another engine" test "$(alice "$engine")" != "$pid"
check "the job is cancelled" alice 'cicdctl job cancel $(cat ~/job)'
check "nothing is left" wait_for 20 alice "test \"\$($left)\" = '0 0 0'"

alice "cd ~/myapp && systemd-run --user --quiet --unit=local --working-directory=\$HOME/myapp cicdctl review HEAD~1..HEAD --engine command --agent myapp --local"
as_root rm -f /usr/local/share/go
check "a review without the agent: a directory, a cage and an engine" wait_for 30 alice "test \"\$($left)\" = '1 1 1'"
check "it is left alone while it runs" alice "cd ~/myapp && cicdctl review HEAD~1..HEAD --agent myapp --engine rules --local -q >/dev/null; test \"\$($left)\" = '1 1 1'"
check "it is killed" alice 'systemctl --user kill -s KILL local.service'
check "the agent removes what it left" wait_for 20 alice "test \"\$($left)\" = '0 0 0'"

# A git that takes whoever calls it along: here the job is to blame.
program git <<'FILE'
#!/bin/sh
case " $* " in *" diff "*) test -e /usr/local/share/deadly && kill -9 $PPID ;; esac
exec /usr/bin/git "$@"
FILE
as_root touch /usr/local/share/deadly
alice 'cd ~/myapp && cicdctl review HEAD~1..HEAD --engine rules --agent myapp --no-wait -q >~/job'
check "after two deaths of its agent the job waits" wait_for 30 expect_output 'next try at ' alice 'cicdctl job list -n1'
check "for a while only" wait_for 30 alice "$job"' | jq -e ".attempts == 3"'
as_root rm /usr/local/share/deadly /usr/local/bin/git
check "it is cancelled" alice 'cicdctl job cancel $(cat ~/job)'
check "nothing is left" wait_for 20 alice "test \"\$($left)\" = '0 0 0'"

begin "removed with its agent"
check "after all of that the counters agree with the store" alice '
    cicdctl metrics | sed -n "s/^cicd_jobs_ended_total{.*outcome=\"\(.*\)\"} \(.*\)$/\1 \2/p" | awk "\$2 { n[\$1] += \$2 } END { for (o in n) print o, n[o] }" | sort >counted
    cicdctl job list -n 1000 --json | jq -r ".[].outcome // empty" | sort | uniq -c | awk "{ print \$2, \$1 }" | sort >kept
    test -s kept && diff counted kept'
check "the agent is removed" alice 'cicdctl agent remove myapp --yes'
check "nothing is left" alice "test \"\$($left)\" = '0 0 0'"
check "the job has ended" alice "$job"' | jq -e ".outcome == \"cancelled\""'

summary
