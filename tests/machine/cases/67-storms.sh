#!/bin/bash
# What cannot start is started five times at most, whatever it is that is wrong and however often somebody knocks; status
# names the cause, and `agent start` clears it. A spent quota restarts nothing: its jobs are kept and end later.
# machine: nspawn bookworm trixie
. "${BASH_SOURCE[0]%/*}/../lib.sh"

runner=cicd-runner.service
sample_repo alice myapp >/dev/null
# A program of her own, that can go away, and no five seconds between two starts: the limit counts starts.
check "set up" alice '
    mkdir -p ~/bin ~/.config/systemd/user/{cicd-runner.service.d,cicd-agent@myapp.service.d} && cp /usr/local/bin/cicdctl ~/bin/
    for d in cicd-runner.service.d cicd-agent@myapp.service.d; do printf "[Service]\nRestartSec=200ms\n" >~/.config/systemd/user/$d/fast.conf; done
    ~/bin/cicdctl init --yes --quiet && ~/bin/cicdctl agent add myapp --path ~/myapp --quiet'
[ "$failures" -eq 0 ] || exit

# storm WHAT UNIT BREAK MEND CAUSE [FEWEST [MOST]]: broken, restarted, knocked at, named, mended, cleared.
storm() {
    local what=$1 unit=$2 break=$3 mend=$4 cause=$5 least=${6:-1} most=${7:-5} who=runner starts
    case $unit in *@*) who=myapp ;; esac
    alice "$break"
    starts=$(alice '
        since=$(date +%s.%N)
        systemctl --user restart "$1" 2>/dev/null
        sock=$XDG_RUNTIME_DIR/cicd-runner.sock; [ "$2" = runner ] || sock=$XDG_RUNTIME_DIR/cicd-toolkit/agents/myapp.sock
        for i in 1 2 3 4 5 6 7 8; do curl -sS -o /dev/null --max-time 2 --unix-socket "$sock" http://localhost/healthz 2>/dev/null; sleep 0.3; done
        for i in $(seq 40); do [ "$(systemctl --user show -P ActiveState "$1")" = failed ] && break; sleep 0.2; done
        sleep 1
        journalctl --user --sync 2>/dev/null
        journalctl --user --quiet -u "$1" --since "@$since" -o cat | grep -c "^Starting "' "$unit" "$who")
    printf '# %s: %s starts\n' "$what" "$starts"
    check "$what: $least to $most starts" test "$starts" -ge "$least" -a "$starts" -le "$most"
    check "$what: then it has failed" alice 'test "$(systemctl --user show -P ActiveState "$1")" = failed' "$unit"
    run alice 'cicdctl status'
    shows "$what: status names the cause" "^! $who (FAILED|CRASH-LOOP): .*$cause.*then .cicdctl agent start $who."
    alice "$mend"
    check "$what: put right, one command starts it" alice 'cicdctl agent start '"$who"' --quiet && systemctl --user --quiet is-active "$1"' "$unit"
    check "$what: and its socket answers" alice 'cicdctl job list >/dev/null && systemctl --user --quiet is-active cicd-runner.socket cicd-agent@myapp.socket'
}

# shellcheck disable=SC2088 # for the shell in the machine
config='~/.config/cicd-toolkit/config.toml' db='~/.local/state/cicd-toolkit/store.db'
storm "wrong configuration" $runner "sed -i 's/^#jobs = .*/jobs = 0/' $config" "sed -i 's/^jobs = .*/#jobs = 2/' $config" \
    'config\.toml:[0-9]+: `runner.jobs`: it must be 1 to 64'
storm "wrong configuration, at an agent" cicd-agent@myapp.service "sed -i 's/^#jobs = .*/jobs = 0/' $config" \
    "sed -i 's/^jobs = .*/#jobs = 2/' $config" 'config\.toml:[0-9]+: `runner.jobs`'
storm "no program" $runner 'mv ~/bin/cicdctl ~/bin/away' 'mv ~/bin/away ~/bin/cicdctl' \
    'the program `/home/alice/bin/cicdctl` does not exist' 2
storm "a store of a newer version" $runner "python3 -c 'import sqlite3; sqlite3.connect(\"$db\".replace(\"~\", \"/home/alice\")).execute(\"PRAGMA user_version = 99\")'" \
    "python3 -c 'import sqlite3; sqlite3.connect(\"$db\".replace(\"~\", \"/home/alice\")).execute(\"PRAGMA user_version = $(alice "python3 -c 'import sqlite3; print(sqlite3.connect(\"/home/alice/.local/state/cicd-toolkit/store.db\").execute(\"PRAGMA user_version\").fetchone()[0])'")\")'" \
    'written by a newer cicdctl \(schema 99'
storm "a store that is none" $runner "cicdctl agent stop runner myapp -q; cd ~/.local/state/cicd-toolkit && mkdir aside && mv store.db* aside && head -c 8192 /dev/urandom >store.db" \
    "cd ~/.local/state/cicd-toolkit && rm -f store.db* && mv aside/* . && rmdir aside; cicdctl agent start myapp -q" 'file is not a database'
storm "a directory that cannot be written to" $runner "cicdctl agent stop runner myapp -q; rm -f $db-*; chmod 500 ~/.local/state/cicd-toolkit" \
    "chmod 700 ~/.local/state/cicd-toolkit; cicdctl agent start myapp -q" 'could not open the store|Permission denied' 2
storm "another runner of the same user" $runner 'cicdctl agent stop runner -q; systemd-run --user --quiet --collect --unit=other cicdctl run daemon; sleep 1' \
    'systemctl --user stop other.service' 'already is the runner|another process listens' 2

#-- what is wrong before a start is said at once ----------------------------------------

alice "sed -i 's/^#jobs = .*/jobs = 0/' $config; cicdctl agent stop runner -q"
run alice 'cicdctl agent start runner'
ended "a start with a wrong configuration is refused" 1
shows "with file and line" 'config\.toml:[0-9]+: `runner.jobs`'
alice "sed -i 's/^jobs = .*/#jobs = 2/' $config; cicdctl agent start runner -q"

#-- quota -------------------------------------------------------------------------------

program busy <<'FILE'
#!/bin/sh
# Says "try later" while there is no quota.
cat >/dev/null
[ -e /home/alice/quota ] || [ -e "$CICD_CHECKOUT/quota" ] || exit 75
echo '{"findings": []}'
FILE
state='systemctl --user show -P NRestarts -P MainPID cicd-agent@myapp.service | xargs'
outcomes='cicdctl job list --json | jq -r ".[] | \"\(.state) \(.outcome // \"-\")\"" | sort | uniq -c | xargs'
# pass: the time until which jobs are put off is over.
pass='python3 -c "
import sqlite3
db = sqlite3.connect(\"/home/alice/.local/state/cicd-toolkit/store.db\", timeout=20)
db.execute(\"UPDATE jobs SET not_before_ms = 1 WHERE not_before_ms IS NOT NULL\"); db.commit()"'
configure <<<$'[engine.command]\nargv = ["/usr/local/bin/busy"]'
before=$(alice "$state")
for _ in 1 2 3; do alice 'cd ~/myapp && cicdctl review HEAD~1..HEAD --engine command --no-wait -q' >/dev/null; done
check "no quota: three jobs are put off" wait_for 20 alice 'cicdctl job list --json | jq -e "[.[] | select(.state == \"queued\" and .deferrals == 1 and .not_before_ms != null)] | length == 3"'
alice "$pass"
check "they are tried again and put off again" wait_for 20 alice 'cicdctl job list --json | jq -e "[.[] | select(.state == \"queued\" and .deferrals == 2)] | length == 3"'
same "no quota: 0 restarts, the same process" "$before" "$(alice "$state")"
check "nothing has failed" alice 'systemctl --user --quiet is-active cicd-runner.socket cicd-agent@myapp.service && ! cicdctl status | grep "^!"'
configure <<<$'[engine.command]\nargv = ["/bin/sh", "-c", "cat >/dev/null; echo \'{\\"findings\\": []}\'"]'
alice "$pass"
check "the quota is back: all three end as reviewed" wait_for 20 alice 'cicdctl job list --json | jq -e "[.[] | select(.outcome == \"reviewed\")] | length == 3"'
same "still 0 restarts" "$before" "$(alice "$state")"
printf '# command engine: NRestarts and pid %s; jobs: %s\n' "$(alice "$state")" "$(alice "$outcomes")"

if [ -n "${CICDCTL_TEST_CLAUDE:-}" ]; then
    "$MACHINE" put "$name" "$CICDCTL_TEST_CLAUDE" /usr/local/bin/claude
    program fake_api <"$here/../fixtures/claude/fake_api.py"
    with_stdin alice cicdctl secret set anthropic-api-key --quiet <<<sk-ant-of-a-test
    configure <<<$'[engine.claude]\nbase_url = "http://127.0.0.1:8099"\nmodel = "claude-sonnet-5-5"\n[job]\ntimeout = "60s"'
    # api SCRIPT: what it answers from now on.
    api() {
        alice 'systemctl --user stop fake_api.service 2>/dev/null; printf "%s" "$1" >~/script.json
            systemd-run --user --quiet --collect --unit=fake_api fake_api --port 8099 --script ~/script.json
            for i in $(seq 50); do curl -s -o /dev/null http://127.0.0.1:8099/ && break; sleep 0.1; done' "$1"
    }
    api '{"default": {"error": {"status": 429, "type": "rate_limit_error", "message": "Claude AI usage limit reached|'$(($(date +%s) + 25))'", "headers": {"x-should-retry": "false"}}}}'
    before=$(alice "$state")
    for _ in 1 2; do alice 'cd ~/myapp && cicdctl review HEAD~1..HEAD --engine claude --no-wait -q' >/dev/null; done
    check "claude, no quota: both jobs are put off until the time that the API names" wait_for 30 alice '
        cicdctl job list --json | jq -e "[.[] | select(.request.engine == \"claude\" and .state == \"queued\" and .deferrals >= 1 and .not_before_ms < (now + 40) * 1000)] | length == 2"'
    alice 'cicdctl job list' | sed 's/^/# /'
    api '{"default": {"structured": {"summary": "Fine.", "findings": []}}}'
    check "claude, the quota is back: both end as reviewed by themselves" wait_for 60 alice '
        cicdctl job list --json | jq -e "[.[] | select(.request.engine == \"claude\" and .outcome == \"reviewed\")] | length == 2"'
    same "0 restarts, the same process" "$before" "$(alice "$state")"
    printf '# claude: NRestarts and pid %s\n' "$(alice "$state")"
fi

summary
