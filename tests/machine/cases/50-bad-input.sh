#!/bin/bash
# What is wrong is refused: with the cause, the right status, and nothing changed.
# machine: nspawn trixie
. "${BASH_SOURCE[0]%/*}/../lib.sh"

sample_repo alice myapp >/dev/null

# refused DESCRIPTION STATUS PATTERN SCRIPT: says why, with that status, and leaves no file behind.
refused() {
    local before after
    before=$(alice "$files")
    run alice "$4"
    after=$(alice "$files")
    if [ "$status" -eq "$2" ] && grep -qE -e "$3" <<<"$output" && [ "$before" = "$after" ]; then
        ok "$1"
    else
        not_ok "$1" "$(printf '%s\nended with %s; expected %s and a line with: %s\n' "$output" "$status" "$2" "$3"
            diff <(printf '%s\n' "$before") <(printf '%s\n' "$after"))"
    fi
}
files='find ~/.config ~/.local ~/.cache -name "store.db*" -prune -o -path "*/mirrors" -prune -o -printf "%p %M %s\n" 2>/dev/null | sort'

#-- before init -------------------------------------------------------------------------

refused "agent add before init" 1 'hint: run `cicdctl init`' 'cicdctl agent add x'
refused "apply before init" 1 'hint: run `cicdctl init`' 'cicdctl apply --yes'
refused "init without a terminal and without --yes" 2 'hint: .*--yes' 'cicdctl init'
refused "uninstall has nothing to do" 0 'Nothing to remove' 'cicdctl uninstall --yes'
check "init" alice 'cicdctl init --yes --quiet && cd ~/myapp && cicdctl review HEAD~1..HEAD --quiet'

#-- names and paths ---------------------------------------------------------------------

refused "a name with ../" 2 '`/` may not stand in it' 'cicdctl agent add ../x'
refused "an empty name" 2 'it is empty' 'cicdctl agent add ""'
refused "a name of 300 characters" 2 'it has 300 characters' 'cicdctl agent add "$(printf "x%.0s" $(seq 300))"'
refused "a name with @" 2 '`@` may not stand in it' 'cicdctl agent add a@b'
refused "a name with a newline" 2 'may not stand in it' 'cicdctl agent add "a
b"'
refused "a working copy that is not there" 1 'there is no directory' 'cicdctl agent add myapp --path ~/nothing'
refused "a directory without a repository" 1 '`/etc` is not in a git repository' 'cicdctl agent add myapp --path /etc'
refused "a repository that is none" 2 'owner/name' 'cicdctl agent add myapp --repo nonsense'
refused "an agent that is not there" 1 'there is no agent `nope`' 'cicdctl agent show nope'
refused "an unknown command" 2 'unrecognized subcommand' 'cicdctl frob'
refused "an unknown option" 2 'unexpected argument' 'cicdctl status --frob'

#-- configuration -----------------------------------------------------------------------

config='$HOME/.config/cicd-toolkit/config.toml'
alice "sed 's/^#idle_timeout = .*/idle_timout = \"5m\"/' $config >wrong.toml"
refused "an unknown key: file, line and the right name" 1 'wrong\.toml:7:[0-9]+: unknown key `idle_timout`' \
    'cicdctl --config ~/wrong.toml status'
shows "did you mean" 'did you mean `idle_timeout`\?'
check "wrong configuration in the place of the right one" alice "cp $config right.toml; cp wrong.toml $config"
refused "status names it" 1 'config\.toml:7:' 'cicdctl status'
refused "apply names it" 1 'config\.toml:7:' 'cicdctl apply --yes'
refused "agent add names it" 1 'config\.toml:7:' 'cicdctl agent add myapp --path ~/myapp'
refused "a review names it" 1 'config\.toml:7:' 'cd ~/myapp && cicdctl review HEAD~1..HEAD'
check "a restarted runner ends with 78 and is not started again" alice '
    systemctl --user restart cicd-runner.service; sleep 1
    test "$(systemctl --user show -P ExecMainStatus cicd-runner.service)" = 78 && test "$(systemctl --user show -P NRestarts cicd-runner.service)" = 0'
check "status is still wrong, doctor still works" expect_output 'idle_timout' alice 'cicdctl doctor || :'
check "put right, it works again" alice "cp right.toml $config; cicdctl init --yes && cicdctl status"
for line in 'jobs = 0' 'jobs = "two"' 'stop_timeout = "soon"'; do
    alice "sed 's/^#jobs = .*/$line/' $config >wrong.toml"
    refused "$line" 1 'wrong\.toml:[0-9]+:' 'cicdctl --config ~/wrong.toml status'
done

#-- the socket --------------------------------------------------------------------------

post='curl -sS --max-time 60 --unix-socket $XDG_RUNTIME_DIR/cicd-runner.sock -o answer -w "%{http_code} %{content_type}\n"'
problem='application/problem.json'
alice 'truncate -s 100M zeros; cicdctl job list --json | jq length >jobs'
while IFS='|' read -r what code detail request; do
    refused "$what is $code" 0 "^$code $problem" "$post $request"
    check "and says why" expect_output "$detail" alice 'jq -r .detail answer'
done <<'ROWS'
half an object|400|no JSON object|http://localhost/review -d '{"pr":'
a list|400|no JSON object|http://localhost/review -d '[]'
no body|400|body is empty|-X POST http://localhost/review
an unknown key|400|unknown field `rp`|http://localhost/review -d '{"rp":1}'
a number that is none|400|number of a pull request|http://localhost/review -d '{"pr":"x"}'
a relative path|422|absolute|http://localhost/review -d '{"path":"../x"}'
two changes at once|422|exclude each other|http://localhost/review -d '{"pr":1,"staged":true}'
an option for a revision|422|no revision|http://localhost/review -d '{"range":"--output=/tmp/x"}'
an agent that is not there|422|there is no agent|http://localhost/review -d '{"agent":"nope"}'
100 MB with Content-Length|413|larger than|http://localhost/review -H Expect: --data-binary @zeros
100 MB in chunks|413|larger than|http://localhost/review -X POST -H Expect: -H "Transfer-Encoding: chunked" -T zeros
another method|405|takes POST|-X PUT http://localhost/review
another path|404|nothing at|http://localhost/nothing
a job that is not there|404|no job|http://localhost/jobs/01ARZ3NDEKTSV4RRFFQ69G5FAV
ROWS
check "none of it became a job" alice 'test "$(cicdctl job list --json | jq length)" = "$(cat jobs)"'
check "and the runner is the same as before" alice '
    test "$(systemctl --user show -P NRestarts cicd-runner.service)" = 0 && curl -sSf --unix-socket $XDG_RUNTIME_DIR/cicd-runner.sock http://localhost/healthz'

#-- changes that cannot be reviewed -----------------------------------------------------

alice 'git init -q ~/empty && git clone -q --bare ~/myapp ~/origin.git'
refused "a repository without commits" 4 'has no commits yet' 'cd ~/empty && cicdctl review HEAD~1..HEAD'
check "its staged files can be reviewed" expect_output 'reviewed: no findings, 1 file seen' alice '
    cd ~/empty && echo hello >a.txt && git add a.txt && cicdctl review --staged'
refused "outside of a repository" 4 '`/tmp` is not in a git repository' 'cd /tmp && cicdctl review'
refused "a branch that is not there" 4 'there is no revision `nobranch`' 'cd ~/myapp && cicdctl review nobranch..HEAD'
refused "a range that is an option" 2 'no revision|unexpected argument' 'cd ~/myapp && cicdctl review -- --all'
refused "pull request 0" 2 'invalid value' 'cd ~/myapp && cicdctl review --pr 0'
refused "a pull request without a remote" 4 'has no remote `origin`' 'cd ~/myapp && cicdctl review --pr 7777'
alice 'cd ~/myapp && git remote add origin ~/origin.git'
refused "a pull request that is not there" 4 'there is no pull request 7777' 'cd ~/myapp && cicdctl review --pr 7777'
refused "nothing changed is no error, and no review" 0 'not reviewed \(skipped\).*nothing has changed' 'cd ~/myapp && cicdctl review'
alice 'cd ~/myapp && head -c 3000 /dev/urandom >blob.bin && git add blob.bin'
refused "a binary file" 0 'reviewed: no findings, 1 file seen' 'cd ~/myapp && cicdctl review --staged'
check "and the engine of a model is not given it" expect_status 4 expect_output 'not reviewed|partial|binary' alice '
    cd ~/myapp && cicdctl review --staged --engine command'
alice 'cd ~/myapp && git reset -q && rm blob.bin'

#-- peers that are not there ------------------------------------------------------------

refused "an engine that is not installed" 4 'engine `claude` is not installed' 'cd ~/myapp && cicdctl review HEAD~1..HEAD --engine claude'
refused "an engine without a command" 4 'the engine `command` has no command' 'cd ~/myapp && cicdctl review HEAD~1..HEAD --engine command'
alice 'cicdctl agent add myapp --path ~/myapp --quiet'
configure <<<$'[engine.command]\nargv = ["/nonexistent"]'
refused "an engine whose program is not there" 4 'not reviewed \(failed\).*/nonexistent' 'cd ~/myapp && cicdctl review HEAD~1..HEAD --engine command'
alice 'systemctl --user stop cicd-runner.socket cicd-runner.service'
check "without the runner its jobs are read from its store" expect_output 'failed +myapp' alice 'cicdctl job list'
refused "a runner that is not there" 1 'could not reach the runner' 'cicdctl job follow 01'
shows "with what to do" 'hint: .*cicdctl init'
refused "--no-wait without it" 2 'needs the runner' 'cd ~/myapp && cicdctl review HEAD~1..HEAD --no-wait'
alice 'python3 -c "import os, socket; socket.socket(socket.AF_UNIX).bind(os.environ[\"XDG_RUNTIME_DIR\"] + \"/cicd-runner.sock\")"'
refused "a socket on which nobody listens" 1 'nobody listens there' 'cd ~/myapp && cicdctl review HEAD~1..HEAD'
check "init makes it work again" alice 'rm $XDG_RUNTIME_DIR/cicd-runner.sock; cicdctl init --yes && cicdctl job list'

summary
