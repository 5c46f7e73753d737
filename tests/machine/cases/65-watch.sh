#!/bin/bash
# An agent that watches a repository at a GitHub on loopback: a push is reviewed and published by the
# agent's own unit, another push supersedes, a restart changes nothing, a writer's comment is obeyed
# and a stranger's is not, and the token is nowhere but where it must be.
# machine: nspawn bookworm trixie
. "${BASH_SOURCE[0]%/*}/../lib.sh"

token=ghs_canary.4711-token
program fake_github <"$here/../fixtures/github/fake_github.py"
sample_repo alice shop >/dev/null
with_stdin alice bash -c 'umask 077; cat >token' <<<"$token"
check "a GitHub with a repository" alice '
    git config --global user.name Ada && git config --global user.email ada@example.com &&
    git clone -q --bare shop github/acme/shop.git && cd github/acme/shop.git && git tag one main~1 && git tag two main &&
    git update-ref refs/heads/main main~2 && cd &&
    systemd-run --user --quiet --unit=fake_github fake_github --port 8098 --root ~/github --token-file ~/token &&
    for i in $(seq 50); do curl -s http://127.0.0.1:8098/control/state >state && break; sleep 0.1; done; jq -e ".log == []" state'

# state FILTER: what jq makes of what stands at the fake.
state() { alice 'curl -sS http://127.0.0.1:8098/control/state | jq -r "$1"' "$1"; }
is() { [ "$(state "$1")" = "$2" ] || { state "$1"; state .log[]; return 1; }; }
# push N REVISION: the head of pull request N.
push() { alice 'git -C github/acme/shop.git update-ref "refs/pull/$1/head" "$2" && git -C github/acme/shop.git rev-parse "$2"' "$1" "$2"; }
comment() { alice 'curl -sS http://127.0.0.1:8098/control/comment -d "$(jq -n --arg user "$1" --arg body "$2" "{pr: 1, user: \$user, body: \$body}")" | jq .id' "$1" "$2"; }
jobs_of() { alice 'cicdctl job list --json | jq "[.[] | select(.agent == \"shop\" and (.outcome // .state) == \"$1\")] | length"' "$1"; }

#-- set up ------------------------------------------------------------------------------

run alice '
    cicdctl init --yes --quiet && sed -i "s|^#api_url.*|api_url = \"http://127.0.0.1:8098/api/v3\"|" ~/.config/cicd-toolkit/config.toml
    cicdctl agent add shop --watch 10s; echo "without a repository: $?"
    cicdctl agent add shop --repo acme/shop --watch 5s; echo "too often: $?"
    cicdctl agent add shop --repo acme/shop --watch 10s; echo "added: $?"'
shows "--watch needs a repository" '^without a repository: 2'
shows "and is not too eager" '^too often: 2'
shows "added" '^added: 0'
[ "$failures" -eq 0 ] || exit
shows "and says what is missing" 'Next: `cicdctl secret set github-token`'
same "what is watched is published, and the file says so" '[review]
post = true

[watch]
interval = "10s"' "$(alice 'sed -n "/^\[/,\$p" ~/.config/cicd-toolkit/agents/shop.toml')"
check "status says that it sees nothing" wait_for 10 expect_output 'shop cannot watch acme/shop: there is no token' alice 'cicdctl status'
push 1 one >/dev/null
with_stdin alice bash -c 'cicdctl secret set github-token --quiet && systemctl --user reload cicd-agent@shop.service' <<<"$token"
check "with a token it looks" wait_for 30 is '[.log[] | select(. == "GET /repos/acme/shop/pulls")] | length > 0' true
check "status says when" wait_for 10 expect_output 'watches acme/shop every 10s, asked [0-9.]+ ?m?s ago' alice 'cicdctl status'
check "systemd, too" wait_for 10 expect_output 'watching acme/shop' alice 'systemctl --user show -p StatusText cicd-agent@shop.service'
check "what was open before is left alone" is '[.log[] | select(startswith("POST"))] | length' 0

#-- a push ------------------------------------------------------------------------------

with_stdin alice bash -c 'printf "debounce = \"4s\"\n" >>~/.config/cicd-toolkit/agents/shop.toml' </dev/null
head=$(push 2 two)
pushed=$SECONDS
check "a push is reviewed and published" wait_for 60 is '[.statuses[] | select(.sha == "'"$head"'") | .state] | join(" ")' 'pending success'
printf '# %s s from the push to the final status\n' "$((SECONDS - pushed))"
check "one summary, which names the head" is '[.summaries["2"][] | .body | test("'"$head"'")] | tostring' '[true]'
check "one batch of comments at lines" is '(.reviews["2"] | length), (.comments["2"] | length), (.comments["2"] | all(.line > 0))' $'1\n5\ntrue'
check "of the head" is '.reviews["2"][0].commit_id' "$head"
[ "$failures" -eq 0 ] || { alice 'cicdctl job list; cicdctl logs shop -n 40'; exit 1; }
check "it was the agent's own unit" alice '
    id=$(cicdctl job list --json | jq -r ".[0].id") && journalctl --user -u cicd-agent@shop.service -o cat | grep -q "job $id reviewed"'

#-- superseded --------------------------------------------------------------------------

with_stdin alice bash -c 'sed -i "s/^debounce.*/debounce = \"15s\"/" ~/.config/cicd-toolkit/agents/shop.toml' </dev/null
first=$(alice 'cd shop && git checkout -q -b topic && echo "eval(input())" >>app/merge.py && git commit -qam one && git push -q ~/github/acme/shop.git +topic:refs/pull/2/head && git rev-parse HEAD')
check "another push waits for its debounce" wait_for 30 expect_output '^1$' jobs_of queued
second=$(alice 'cd shop && echo "exec(input())" >>app/merge.py && git commit -qam two && git push -q ~/github/acme/shop.git +topic:refs/pull/2/head && git rev-parse HEAD')
check "a third takes its place at once" wait_for 30 expect_output '^1$' jobs_of superseded
check "and is reviewed" wait_for 60 is '[.statuses[] | select(.sha == "'"$second"'") | .state] | join(" ")' 'pending success'
check "nothing was said at the one between" is '([.statuses[] | select(.sha == "'"$first"'")] | length), ([.reviews["2"][] | select(.commit_id == "'"$first"'")] | length)' $'0\n0'
check "there is one summary still, of the last head" is '[.summaries["2"][] | .body | test("'"$second"'")] | tostring' '[true]'

#-- a restart ---------------------------------------------------------------------------

standing='{reviews, comments, summaries, statuses}'
before=$(state "$standing")
check "a restart" alice 'cicdctl agent restart shop --quiet'
asked=$(state '[.log[] | select(. == "GET /repos/acme/shop/pulls")] | length')
check "it looks again" wait_for 30 is '[.log[] | select(. == "GET /repos/acme/shop/pulls")] | length > '"$asked" true
sleep 3
same "and finds nothing to be done" "$before" "$(state "$standing")"

#-- comments ----------------------------------------------------------------------------

stranger=$(comment mallory '/review full')
check "a stranger's comment is marked" wait_for 30 is '.reactions | tostring' '[{"comment":'"$stranger"',"content":"confused"}]'
same "and nothing else" "$before" "$(state "$standing | del(.summaries[\"1\"][]? | select(.user.login == \"mallory\")) | if .summaries[\"1\"] == [] then del(.summaries[\"1\"]) else . end")"
writer=$(comment bob '/review full')
check "a writer's is marked and obeyed" wait_for 60 is '[.statuses[] | select(.sha == "'"$(alice 'git -C github/acme/shop.git rev-parse one')"'") | .state] | join(" ")' 'pending success'
check "with the eyes" is '.reactions[1] | tostring' '{"comment":'"$writer"',"content":"eyes"}'
check "the job says by what" alice 'cicdctl job list --json | jq -e ".[0].request | .trigger == \"comment\" and .full"'
alice 'cicdctl agent restart shop --quiet'
sleep 13
check "once" is '.reactions | length' 2

#-- the token ---------------------------------------------------------------------------

# Looked for while the agent runs; by way of a file, so that the word is in no argument.
search() {
    "$MACHINE" exec "$name" -- bash -c 'cat >/root/word
        for p in /proc/[0-9]*; do
            ! grep -qaf /root/word $p/environ 2>/dev/null || echo "environ of $(tr "\0" " " <$p/cmdline)"
            ! tr "\0" " " <$p/cmdline 2>/dev/null | grep -qf /root/word || echo "argv: $(tr "\0" " " <$p/cmdline)"
        done
        ! journalctl --no-pager -o export | grep -qaf /root/word || echo journal
        ! cat /home/alice/.local/state/cicd-toolkit/store.db* | grep -qaf /root/word || echo store
        ! grep -raqf /root/word /home/alice/.cache /home/alice/.local /home/alice/shop || echo files' <<<"$1"
}
alice 'systemd-run --user --quiet --unit=planted --setenv=PLANTED=planted-5511 sh -c "echo planted-5511; sleep 60; : planted-5511"; cicdctl review HEAD~1..planted-5511 --quiet --no-wait; sleep 1' >/dev/null
found=$(search planted-5511)
for place in environ argv journal store; do check "a canary is found: $place" grep -q "^$place" <<<"$found"; done
same "the token is in no environ, argv, journal, store or file of the cache" '' "$(search "$token")"

#-- and away ----------------------------------------------------------------------------

check "the agent does not leave while it watches" alice 'systemctl --user --quiet is-active cicd-agent@shop.service'
check "a stop in the middle of its pause is quick" timeout 20 "$MACHINE" exec "$name" -u alice -n -- cicdctl agent stop shop --quiet
check "it can be removed" alice 'cicdctl agent remove shop --yes --quiet && cicdctl status'

summary
