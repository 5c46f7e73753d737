#!/bin/bash
# On a computer of its own: limits that are changed are in the unit's control group at once; a clock that is set a day back
# or forward keeps no job and no pause for longer, and fails nothing; a host that boots without a network waits for it.
# machine: computer trixie
. "${BASH_SOURCE[0]%/*}/../lib.sh"

token=ghs_of.a-test
program fake_github <"$here/../fixtures/github/fake_github.py"
program later <<'FILE'
#!/bin/sh
cat >/dev/null
exit 75
FILE
set_up --yes || exit
configure <<<$'[engine.command]\nargv = ["/usr/local/bin/later"]'

#-- limits ------------------------------------------------------------------------------

group='cd /sys/fs/cgroup$(systemctl --user show -P ControlGroup cicd-agent@myapp.service) && cat memory.max cpu.max pids.max memory.swap.max cpu.weight | xargs'
pid='systemctl --user show -P MainPID cicd-agent@myapp.service'
same "before" '536870912 25000 100000 512 268435456 100' "$(alice "$group")"
before=$(alice "$pid")
run alice 'cicdctl agent set myapp --memory 300M --cpu 33% --tasks 99 --swap 0 --cpu-weight 55'
shows "limits are changed" 'myapp: cpu 25% → 33%, cpu_weight 100 → 55, memory 512M → 300M, swap 256M → 0, tasks 512 → 99 \(in force\)'
same "the kernel has them" '314572800 33000 100000 99 0 55' "$(alice "$group")"
alice 'systemctl --user daemon-reload'
same "also after a reload of the manager" '314572800 33000 100000 99 0 55' "$(alice "$group")"
same "without a restart" "$before" "$(alice "$pid")"
alice 'cicdctl agent restart myapp -q'
same "and after a restart" '314572800 33000 100000 99 0 55' "$(alice "$group")"

#-- the clock ---------------------------------------------------------------------------

deferrals='cicdctl job list --json | jq "[.[] | select(.agent == \"myapp\")][0].deferrals"'
alice 'cd ~/myapp && cicdctl review HEAD~1..HEAD --engine command --no-wait -q >/dev/null; cicdctl agent pause runner --for 2h -q'
check "a job is put off" wait_for 90 alice "test \$($deferrals) = 1"
as_root sh -c 'date -s "@$(($(date +%s) - 86400))"' >/dev/null
check "a day back: it is looked at again, and not in a day" wait_for 90 alice "test \$($deferrals) = 2"
check "and a pause of 2 hours lasts no longer than that" wait_for 90 alice '
    cicdctl status --json | jq -e ".runner.pause.until_ms <= (now + 7201) * 1000"'
as_root sh -c 'date -s "@$(($(date +%s) + 2 * 86400))"' >/dev/null
check "two days forward: it is looked at again" wait_for 90 alice "test \$($deferrals) = 3"
check "and the pause is over" wait_for 60 alice 'cicdctl status --json | jq -e ".runner.pause == null"'
as_root sh -c 'date -s "@$(($(date +%s) - 86400))"' >/dev/null
check "nothing has failed or was restarted" alice '
    test "$(systemctl --user show -P NRestarts cicd-agent@myapp.service cicd-runner.service | xargs)" = "0 0" &&
    systemctl --user --quiet is-active cicd-agent@myapp.service cicd-runner.socket && test -z "$(systemctl --user --failed --no-legend)"'

#-- no network at boot ------------------------------------------------------------------

with_stdin alice bash -c 'umask 077; cat >token; cicdctl secret set github-token --quiet <token' <<<"$token"
alice 'git clone -q --bare myapp github/acme/shop.git && cd github/acme/shop.git && git update-ref refs/pull/1/head main &&
    git update-ref refs/heads/main main~1 && cd && sed -i "s|^#api_url.*|api_url = \"http://127.0.0.1:8098/api/v3\"|" ~/.config/cicd-toolkit/config.toml &&
    cicdctl agent add shop --repo acme/shop --watch 10s -q && cicdctl review --pr 1 --repo acme/shop --post --no-wait -q --engine rules >/dev/null'
shop='cicdctl job list --json | jq -r "[.[] | select(.agent == \"shop\")][0] | \"\(.outcome // .state) \(.deferrals > 0)\""'
check "nobody listens: the job is put off" wait_for 90 alice "test \"\$($shop)\" = 'queued true'"
"$MACHINE" reboot "$name" >/dev/null 2>&1
uid=$(as_root id -u alice)
check "after a boot without the forge the agent runs" wait_for 120 as_root sh -c "test -S /run/user/$uid/cicd-toolkit/agents/shop.sock && systemctl --user --machine=alice@ is-active --quiet cicd-agent@shop.service"
run alice "cicdctl status; $shop; systemctl --user --failed --no-legend | wc -l"
shows "says what it cannot reach" '^! shop cannot watch acme/shop'
shows "the job waits" '^queued true$'
shows "and nothing has failed" '^0$'
alice 'systemd-run --user --quiet --unit=fake_github fake_github --port 8098 --root ~/github --token-file ~/token'
as_root sh -c 'date -s "@$(($(date +%s) + 3600))"' >/dev/null
check "with the forge there it is reviewed" wait_for 180 alice "test \"\$($shop)\" = 'reviewed true'"

summary
