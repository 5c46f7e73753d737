#!/bin/bash
# The Claude Code CLI itself in the cage, against an API that answers well, badly and not at all:
# nothing but a good answer is a review, and the key is nowhere but where it must be.
# machine: nspawn trixie
. "${BASH_SOURCE[0]%/*}/../lib.sh"

[ -n "${CICDCTL_TEST_CLAUDE:-}" ] || skip "CICDCTL_TEST_CLAUDE is not set; tests/claude/install.sh prints it"
check "Claude Code in the machine" "$MACHINE" put "$name" "$CICDCTL_TEST_CLAUDE" /usr/local/bin/claude
program fake_api <"$here/../fixtures/claude/fake_api.py"
set_up --engine claude || exit

#-- no key ------------------------------------------------------------------------------

configure <<'FILE'
[engine.claude]
base_url = "http://127.0.0.1:8099"
model = "claude-sonnet-5-5"

[job]
timeout = "20s"
first_output = "15s"
idle_output = "10s"
FILE
run alice 'cd ~/myapp && cicdctl review HEAD~1..HEAD; echo "status $?"'
shows "without a key: not reviewed" '^not reviewed \(failed\)'
shows "what to do" 'cicdctl secret set anthropic-api-key'
shows "status 4" '^status 4$'

key=sk-ant-canary-7f3a9c planted=planted-canary-51d0
with_stdin alice cicdctl secret set anthropic-api-key --quiet <<<"$key"
check "the key is stored for its owner alone" alice 'test "$(stat -c %a ~/.config/cicd-toolkit/credentials ~/.config/cicd-toolkit/credentials/anthropic-api-key* | xargs)" = "700 600"'

#-- an API that answers -----------------------------------------------------------------

# answers SCRIPT: an API on loopback that does as it says; then a review.
answers() {
    run alice 'systemctl --user stop fake_api.service 2>/dev/null; printf "%s" "$1" >~/script.json
        systemd-run --user --quiet --collect --unit=fake_api fake_api --port 8099 --script ~/script.json --log ~/requests.jsonl --log-bodies summary
        for i in $(seq 50); do curl -s -o /dev/null http://127.0.0.1:8099/ && break; sleep 0.1; done
        cd ~/myapp && cicdctl review HEAD~1..HEAD; echo "status $?"' "$1"
}
not_reviewed() {
    hides "$1: no word of reviewed" '^reviewed'
    shows "$1: $2" "^not reviewed( yet)? \($2\)"
    shows "$1: status 4" '^status 4$'
    hides "$1: the key is not shown" "$key"
}

answers '{"replies": [
    {"content": [{"type": "tool_use", "name": "Read", "input": {"file_path": "app/server.py"}}]},
    {"structured": {"summary": "One problem.", "findings": [{"path": "app/server.py", "start_line": 32, "end_line": 32,
        "severity": "high", "category": "security", "title": "TLS off", "explanation": "verify=False disables checks", "confidence": 0.9}]}}]}'
shows "a good answer: reviewed" '^reviewed: 1 finding .*8 files seen'
shows "with its finding" 'high: TLS off'
shows "at its line" 'app/server.py:32'
shows "in a cage" 'caged in cicd-job-'
shows "status 0" '^status 0$'
check "the API got the key" alice 'jq -es "any(.[]; .path | test(\"/v1/messages\"))" ~/requests.jsonl'
check "the receipt counts turns and tokens" alice '
    cicdctl job list --json | jq -r ".[0].id" | xargs cicdctl job show --json |
        jq -e ".review.receipt.engine | .name == \"claude\" and (.version | length) > 0 and (tostring | test(\"token\"))"'

alice 'sed -i "s/^#chunk = .*/chunk = \"2K\"/" ~/.config/cicd-toolkit/config.toml'
answers '{"rules": [{"match": {"body": "a/app/server.py b/app/server.py"},
        "reply": {"error": {"status": 400, "type": "invalid_request_error", "message": "not this one"}}}],
    "default": {"structured": {"summary": "Fine.", "findings": []}}}'
shows "a large change is read in parts" 'reads 8 files in [2-9] parts'
shows "where one of them fails the review is partial" '^not wholly reviewed \(partial\): .*app/server\.py.*not this one'
shows "and the others are seen" '[1-7] files? seen'
shows "status 4" '^status 4$'
alice 'sed -i "s/^chunk = .*/#chunk = \"120K\"/" ~/.config/cicd-toolkit/config.toml'

answers '{"default": {"error": {"status": 401, "type": "authentication_error", "message": "invalid x-api-key"}}}'
not_reviewed "401" failed
shows "401: how to store another key" 'cicdctl secret set anthropic-api-key'
answers '{"default": {"error": {"status": 429, "type": "rate_limit_error", "message": "slow down"}}}'
not_reviewed "429" '(failed|deferred)'
answers '{"default": {"raw": "<html>garbage</html>", "status": 200, "headers": {"content-type": "text/html"}}}'
not_reviewed "garbage" '(failed|deferred|partial)'
answers '{"default": {"text": "Looks good to me."}}'
not_reviewed "words without a structure" '(failed|partial)'
answers '{"default": {"hang": "headers", "seconds": 600}}' &
hanging=$!

#-- where the key is --------------------------------------------------------------------

# Looked for while an engine runs. Prints the places; the engine itself has it in its environment.
places='
    for p in /proc/[0-9]*; do
        [ "$(cat $p/comm 2>/dev/null)" = claude ] || ! grep -qa -- "$1" $p/environ 2>/dev/null || echo "environ of $(tr "\0" " " <$p/cmdline)"
        # Its own search has it in its arguments.
        case $p in /proc/$$ | /proc/$PPID | /proc/self) continue ;; esac
        ! tr "\0" " " <$p/cmdline 2>/dev/null | grep -v "in /proc/" | grep -q -- "$1" || echo "argv: $(tr "\0" " " <$p/cmdline)"
    done
    ! journalctl --no-pager -o export | grep -qa -- "$1" || echo journal
    ! cat /home/alice/.local/state/cicd-toolkit/store.db* | grep -qa -- "$1" || echo store
    ! systemctl --user --machine=alice@ show "*" --all | grep -qa -- "$1" || echo properties
    ! systemctl --user --machine=alice@ show-environment | grep -qa -- "$1" || echo "environment of the manager"
    ! su alice -c "curl -sS --unix-socket /run/user/$(id -u alice)/cicd-runner.sock http://localhost/jobs; for id in \$(curl -sS --unix-socket /run/user/$(id -u alice)/cicd-runner.sock http://localhost/jobs | jq -r .[].id); do curl -sS --unix-socket /run/user/$(id -u alice)/cicd-runner.sock http://localhost/jobs/\$id; done" | grep -qa -- "$1" || echo "JSON of jobs"
    ! grep -raq -- "$1" /home/alice/.config/systemd /home/alice/.config/environment.d /home/alice/.cache /home/alice/.local /home/alice/myapp /tmp 2>/dev/null || echo files'
# search WORD: by way of a file, so that the word is in no argument.
search() {
    "$MACHINE" exec "$name" -- bash -c 'cat >/root/word; '"$(sed 's/grep \(-[a-z]*\) -- "$1"/grep \1 -f \/root\/word/g' <<<"$places")" <<<"$1"
}
check "an engine runs and hangs" wait_for 15 as_root pgrep -x claude
# A canary in each of these places shows that the search finds it there.
alice 'systemd-run --user --quiet --unit=planted --setenv=PLANTED='"$planted"' sh -c "echo '"$planted"'; sleep 120; : '"$planted"'"
    systemctl --user set-environment PLANTED='"$planted"'
    cd ~/myapp && cicdctl review HEAD~1..'"$planted"' --quiet --no-wait; sleep 1'
found=$(search "$planted")
for place in 'environ of' argv journal store properties 'environment of the manager' 'JSON of jobs' files; do
    check "a canary is found: $place" grep -q "^$place" <<<"$found"
done
same "the key is in no argv, no environ but the engine's, nor in journal, store, properties, jobs or files" '' "$(search "$key")"
wait "$hanging"
answers '{"default": {"hang": "headers", "seconds": 600}}'
not_reviewed "an API that hangs" '(failed|deferred)'
run alice 'systemctl --user stop fake_api.service; cd ~/myapp; cicdctl review HEAD~1..HEAD; echo "status $?"'
not_reviewed "nothing listens" '(failed|deferred)'
check "no engine is left" as_root sh -c '! pgrep -x claude'
same "after all of it the key is still nowhere" '' "$(search "$key")"

summary
