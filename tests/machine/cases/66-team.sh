#!/bin/bash
# Claude Code reviews what an agent watches, as a team would use it: a finding at its line, a maintainer
# who dismisses it, a push of which only the new is read and in the same conversation, a policy of the
# base branch, a cap on money; and what the command line tells of all that.
# machine: nspawn trixie
. "${BASH_SOURCE[0]%/*}/../lib.sh"

[ -n "${CICDCTL_TEST_CLAUDE:-}" ] || skip "CICDCTL_TEST_CLAUDE is not set; tests/claude/install.sh prints it"
check "Claude Code in the machine" "$MACHINE" put "$name" "$CICDCTL_TEST_CLAUDE" /usr/local/bin/claude
program fake_api <"$here/../fixtures/claude/fake_api.py"
program fake_github <"$here/../fixtures/github/fake_github.py"
sample_repo alice shop >/dev/null
with_stdin alice bash -c 'umask 077; cat >token' <<<ghs_team.token
with_stdin alice bash -c 'cat >script.json' <<'FILE'
{"rules": [
    {"match": {"last_user": "a/app/server.py b/app/server.py"}, "reply": {"structured": {"summary": "It serves orders, without checking certificates.", "findings": [
        {"path": "app/server.py", "start_line": 32, "end_line": 32, "severity": "medium", "category": "security",
         "title": "certificates are not checked", "explanation": "`verify=False` lets anyone answer.", "suggestion": null, "confidence": 0.9}]}}}],
 "default": {"structured": {"summary": "It merges orders.", "findings": [
        {"path": "app/merge.py", "start_line": null, "end_line": null, "severity": "low", "category": "correctness",
         "title": "numbers are read from the keyboard", "explanation": "`input()` waits for somebody.", "suggestion": null, "confidence": 0.8}]}}}
FILE
check "a GitHub and a model on loopback" alice '
    git config --global user.name Ada && git config --global user.email ada@example.com &&
    git clone -q --bare shop github/acme/shop.git && git -C github/acme/shop.git tag two main &&
    git -C github/acme/shop.git update-ref refs/heads/main main~1 &&
    systemd-run --user --quiet --unit=fake_github fake_github --port 8098 --root ~/github --token-file ~/token &&
    systemd-run --user --quiet --unit=fake_api fake_api --port 8099 --script ~/script.json --log ~/requests.jsonl --log-bodies full &&
    for i in $(seq 50); do curl -s http://127.0.0.1:8098/control/state >state && curl -s -o /dev/null http://127.0.0.1:8099/ && break; sleep 0.1; done'
check "an agent that watches" alice '
    cicdctl init --yes --quiet && cicdctl secret set github-token --quiet <token && echo sk-ant-team | cicdctl secret set anthropic-api-key --quiet &&
    cicdctl agent add shop --repo acme/shop --engine claude --watch 10s --quiet &&
    printf "debounce = \"1s\"\n[forge.github]\napi_url = \"http://127.0.0.1:8098/api/v3\"\nwrite_pause = \"0s\"\n[engine.claude]\nbase_url = \"http://127.0.0.1:8099\"\nmodel = \"claude-sonnet-5-5\"\n" >>~/.config/cicd-toolkit/agents/shop.toml &&
    systemctl --user reload cicd-agent@shop.service'

state() { alice 'curl -sS http://127.0.0.1:8098/control/state | jq -r "$1"' "$1"; }
is() { [ "$(state "$1")" = "$2" ] || { state "$1"; return 1; }; }
# push REF FILE LINE PULL: a commit on REF with another line in FILE becomes the head of the pull request.
push() { alice 'cd shop && git checkout -q "$1" && echo "$3" >>"$2" && git commit -qam "$2" && git push -q ~/github/acme/shop.git "+HEAD:$4" && git rev-parse HEAD' "$1" "$2" "$3" "$4"; }
# ends SHA STATES: what was said at the commit, in order.
ends() { wait_for 90 is '[.statuses[] | select(.sha == "'"$1"'") | .state] | join(" ")' "$2"; }
last_job() { alice 'cicdctl job show "$(cicdctl job list --json | jq -r ".[0].id")" --json | jq -c "$1"' "$1"; }
requests() { alice 'grep -c "/v1/messages" requests.jsonl'; }

check "it looks" wait_for 30 is '[.log[] | select(. == "GET /repos/acme/shop/pulls")] | length > 0' true
[ "$failures" -eq 0 ] || { alice 'cicdctl status; cicdctl logs shop -n 40'; exit 1; }

#-- the first head ----------------------------------------------------------------------

head=$(alice 'git -C github/acme/shop.git update-ref refs/pull/2/head two && git -C github/acme/shop.git rev-parse two')
check "a pull request is reviewed by Claude Code" ends "$head" 'pending success'
check "the finding stands at its line" is '.comments["2"] | map("\(.path):\(.line)") | join(" ")' 'app/server.py:32'
check "the summary has the receipt" is '.summaries["2"][0].body | test("engine \\| claude 2\\.")' true
same "the job kept its conversation, and says what it cost" '[true,0,true]' \
    "$(last_job '.review.receipt.engine | [(.session.id | test("^[0-9a-f-]{36}$")), .session.resumes, .cost_usd > 0]')"
[ "$failures" -eq 0 ] || { alice 'cicdctl job list; cicdctl logs shop -n 40'; exit 1; }

#-- a maintainer answers, and another push ----------------------------------------------

alice 'curl -sS http://127.0.0.1:8098/control/comment -d "$(curl -sS http://127.0.0.1:8098/control/state |
    jq "{pr: 2, user: \"bob\", body: \"This is meant so: it talks to itself.\", reply_to: .comments[\"2\"][0].id}")"' >/dev/null
before=$(requests)
head=$(push "$head" app/merge.py 'count = int(input())' refs/pull/2/head)
check "the next head is reviewed" ends "$head" 'pending success'
same "what did not change was not read again, what bob dismissed is gone" '["app/server.py",1]' \
    "$(last_job '[(.review.receipt.files[] | select(.coverage == "known" and .path == "app/server.py") | .path), .review.receipt.dismissed]')"
check "the conversation went on" expect_output '^1$' last_job '.review.receipt.engine.session.resumes'
check "the model was not shown the file again" alice 'tail -n +$(($1 + 1)) <(grep /v1/messages requests.jsonl) |
    jq -e "[.body.messages[] | select(.role == \"user\")] | last | tostring | (contains(\"app/merge.py\")) and (contains(\"b/app/server.py\") | not)"' "$before"
check "nothing is said twice at a line" is '[.comments["2"][] | select(.path == "app/server.py" and .user.login == "review-bot")] | length' 1
run alice 'cicdctl finding list --repo acme/shop --state all; cicdctl cost; cicdctl status'
shows "finding list: dismissed, by whom" 'dismissed.*certificates are not checked'
shows "finding list: open" 'open.*numbers are read from the keyboard'
shows "cost: of this day" '\$0\.[0-9]+'

#-- the policy of the base branch -------------------------------------------------------

alice 'cd shop && git checkout -q -B base "$(git -C ~/github/acme/shop.git rev-parse main)" && printf "[trigger]\non = [\"comment\"]\n" >.cicd-toolkit.toml &&
    git add -A && git commit -qm policy && git push -q ~/github/acme/shop.git HEAD:main'
before=$(requests)
head=$(push "$head" app/merge.py 'count = count + 1' refs/pull/2/head)
check "a push is skipped where the base branch wants comments" ends "$head" success
check "and the status says so" is '[.statuses[] | select(.sha == "'"$head"'") | .description] | last | test("skipped.*/review")' true
same "without a call" "$before" "$(requests)"
run alice 'cicdctl job list --why 2 --repo acme/shop'
shows "job list --why tells it" 'a comment says `/review`'
alice 'curl -sS http://127.0.0.1:8098/control/comment -d "{\"pr\": 2, \"user\": \"bob\", \"body\": \"/review\"}"' >/dev/null
check "a writer's comment has it reviewed" ends "$head" 'success pending success'

#-- money -------------------------------------------------------------------------------

alice 'printf "[budget]\npull = 0.01\n" >>~/.config/cicd-toolkit/agents/shop.toml'
before=$(requests)
head=$(push "$head" app/merge.py 'count = count + 2' refs/pull/2/head)
alice 'curl -sS http://127.0.0.1:8098/control/comment -d "{\"pr\": 2, \"user\": \"bob\", \"body\": \"/review\"}"' >/dev/null
check "a spent cap is no pass" wait_for 90 is '[.statuses[] | select(.sha == "'"$head"'")] | last | "\(.state) \(.description | test("cap of \\$0.01"))"' 'pending true'
same "and no call" "$before" "$(requests)"
check "a reader of the pull request sees it, above what was found" is '.summaries["2"] | map(select(.user.login == "review-bot")) | .[0].body | test("cap of .{1,2}0\\.01(.|\n)*numbers are read")' true
check "cost says which cap" expect_output 'pull' alice 'cicdctl cost --by pull'

summary
