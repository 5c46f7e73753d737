#!/bin/bash
# An agent that is killed again and again over one job gives it up and leaves nothing of it: no engine, no cage, no
# directory. The same for a review without an agent.
# machine: nspawn bookworm trixie
. "${BASH_SOURCE[0]%/*}/../lib.sh"

program slow <<'FILE'
#!/bin/sh
cat >/dev/null
exec sleep 600
FILE
set_up --yes || exit
configure <<<$'[engine.command]\nargv = ["/usr/local/bin/slow"]'

# What there is of jobs: directories, cages, engines.
left='echo "$(ls ~/.local/state/cicd-toolkit/agents/myapp/workspace ~/.local/state/cicd-toolkit/workspace 2>/dev/null | grep -c ^01) \
    $(systemctl --user list-units --all --no-legend "cicd-job-*" | wc -l) $(pgrep -u alice -fc "^sleep 600")" | tr -s " "'
kill_agent='systemctl --user kill -s KILL --kill-whom=main cicd-agent@myapp.service'

alice 'cd ~/myapp && cicdctl review HEAD~1..HEAD --engine command --no-wait -q >~/job'
for round in 1 2 3; do
    check "round $round: the agent has begun the job" wait_for 30 alice 'cicdctl job show $(cat ~/job) --json | jq -e ".attempts == '$round'"'
    check "round $round: a directory, a cage and an engine" wait_for 30 alice "test \"\$($left)\" = '1 1 1'"
    check "round $round: the agent is killed" alice "$kill_agent"
done
check "the job is given up" wait_for 30 alice 'cicdctl job show $(cat ~/job) --json | jq -e ".outcome == \"failed\" and (.reason | test(\"ended 3 times\"))"'
check "and nothing of it is left" wait_for 20 alice "test \"\$($left)\" = '0 0 0'"

alice 'cd ~/myapp && systemd-run --user --quiet --unit=local --working-directory=$HOME/myapp cicdctl review HEAD~1..HEAD --engine command --agent myapp --local'
check "a review without the agent: a directory, a cage and an engine" wait_for 30 alice "test \"\$($left)\" = '1 1 1'"
check "it is left alone while it runs" alice "cd ~/myapp && cicdctl review HEAD~1..HEAD --agent myapp --engine rules --local -q >/dev/null; test \"\$($left)\" = '1 1 1'"
check "it is killed" alice 'systemctl --user kill -s KILL local.service'
check "the next one removes what it left" alice "cd ~/myapp && cicdctl review HEAD~1..HEAD --agent myapp --engine rules --local -q >/dev/null; test \"\$($left)\" = '0 0 0'"

summary
