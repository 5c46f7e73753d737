#!/bin/bash
# Another cicdctl takes the place of the installed one, and goes back where it does not work: no job is lost. And an
# engine that is pinned is not started once it is another.
# machine: nspawn bookworm trixie
. "${BASH_SOURCE[0]%/*}/../lib.sh"

set_up --yes || exit

# made VERSION [SED]: ~/VERSION is another version of the program: the same, but for some bytes.
made() {
    alice 'sed "s/0\.1\.0/$1/g${2:+;}${2:-}" /usr/local/bin/cicdctl.first >~/"$1" && chmod +x ~/"$1"' "$@"
}
as_root cp /usr/local/bin/cicdctl /usr/local/bin/cicdctl.first
own=/home/alice/.local/bin/cicdctl
installed() { as_root sha256sum "$own" | cut -d' ' -f1; }
version() { alice "$own --version"; }

#-- what root has installed -------------------------------------------------------------

check "another version of the program" made 0.1.9
run alice 'cicdctl upgrade --from ~/0.1.9 --yes'
ended "alice may not replace what is root's" 1
shows "she reads why" 'you may not write to `/usr/local/bin`'
shows "and the command for root, and then for her" 'as root: `/usr/local/bin/cicdctl upgrade --yes --from /home/alice/0.1.9`, then as `alice`: `cicdctl upgrade`'
run as_root /usr/local/bin/cicdctl upgrade --yes --from /home/alice/0.1.9
ended "root does as it says" 0
run alice 'cicdctl --version; cicdctl doctor; cicdctl upgrade --yes; cicdctl upgrade --yes'
shows "the program is another" '^cicdctl 0\.1\.9'
shows "doctor sees that the runner is not" 'the runner is version 0\.1\.0, this is 0\.1\.9'
shows "runner and agent follow" '^Done: the runner and 1 agent answer as cicdctl 0\.1\.9'
shows "a second time there is nothing to do" 'Nothing to do: what runs is cicdctl 0\.1\.9'

#-- what is alice's own -----------------------------------------------------------------

alice "mkdir -p ~/.local/bin && cp /usr/local/bin/cicdctl.first $own && $own apply --yes --quiet"
before=$(installed)
made 0.1.9
run alice "$own upgrade --from ~/0.1.9 --yes --sha256 $(printf %064d 0)"
ended "a wrong SHA-256 is refused" 1
shows "with the one that was found" 'its SHA-256 is [0-9a-f]{64}'
run alice "$own upgrade --from /bin/false --yes"
ended "a program that does not work is refused" 1
shows "by what it did" '/bin/false --version` ended with exit status 1'
run alice "echo exit >~/script; chmod +x ~/script; $own upgrade --from ~/script --yes"
ended "so is what is no program" 1
run alice "$own upgrade --from ~/0.1.9 --dry-run; $own upgrade --from ~/0.1.9"
shows "--dry-run says what would be done" "keep +the present one as $own\.old"
shows "without --yes there is a question" 'pass `--yes` to go on'
same "nothing of this has changed the program" "$before" "$(installed)"
check "nor left anything beside it" alice 'test "$(ls -A ~/.local/bin | xargs)" = "cicd-runner cicdctl"'

# jobs: four of them, the first of which runs. The engine notes each start of it.
program slow <<'FILE'
#!/bin/sh
cat >/dev/null
sleep 2
echo '{"findings": []}'
FILE
configure <<<$'[engine.command]\nargv = ["/usr/local/bin/slow"]'
jobs_in() {
    alice 'cd ~/myapp && for i in 1 2 3 4; do '$own' review HEAD~1..HEAD --engine command --no-wait -q; done >~/jobs; test "$(sort -u ~/jobs | wc -l)" = 4' &&
        wait_for 20 alice 'for id in $(cat ~/jobs); do '$own' job show $id --json; done | jq -es "any(.[]; .state == \"running\") and any(.[]; .state == \"queued\")"'
}
all_reviewed() {
    wait_for 60 alice 'for id in $(cat ~/jobs); do '$own' job show $id --json; done | jq -es "length == 4 and all(.[]; .outcome == \"reviewed\")"'
}

check "jobs run and wait" jobs_in
sum=$(as_root sha256sum /home/alice/0.1.9 | cut -d' ' -f1)
run alice "$own upgrade --from ~/0.1.9 --yes --sha256 $sum"
ended "a good one takes its place" 0
shows "runner and agent answer as it" '^Done: cicdctl 0\.1\.9 is installed; the runner and 1 agent answer as 0\.1\.9'
same "it is that file" "$sum" "$(installed)"
check "the one before is beside it" alice "test \"\$($own.old --version)\" = 'cicdctl 0.1.0'"
check "no job is lost: 4 of 4 are reviewed" all_reviewed

check "one whose runner is never ready" made 0.1.8 s/READY=1/REXDY=1/g
check "jobs run and wait" jobs_in
run alice "$own upgrade --from ~/0.1.8 --yes --wait 4s"
ended "the upgrade fails" 1
shows "by what" 'was not ready within 4 s'
shows "and is taken back" 'the upgrade to 0\.1\.8 failed and was taken back: 0\.1\.9 is in its place and answers'
same "the program is the one before" "$sum" "$(installed)"
check "no job is lost: 4 of 4 are reviewed" all_reviewed
check "doctor has nothing against units, socket and upgrade" alice "$own"' doctor --json |
    jq -e "map(select(.code | IN(\"units\", \"socket\", \"drift\"))) | length == 3 and all(.verdict == \"ok\")"'

#-- killed in between -------------------------------------------------------------------

alice "systemd-run --user --quiet --unit=upgrade --slice=app.slice $own upgrade --from ~/0.1.8 --yes --wait 60s"
check "the program is replaced" wait_for 30 expect_output '0\.1\.8' version
alice 'systemctl --user kill -s KILL --kill-whom=all upgrade.service'
run alice "$own doctor; $own init --dry-run"
shows "doctor says that an upgrade was killed" 'from 0\.1\.9 to 0\.1\.8 was begun at .* and did not come to its end'
shows "init, too" '^warning: an upgrade of .*`cicdctl upgrade` goes on'
run alice "$own upgrade --yes --wait 4s"
ended "upgrade goes on: the new one is not ready" 1
shows "and is taken back" 'was taken back: 0\.1\.9 is in its place and answers'
same "the program is the one before" "$sum" "$(installed)"
run alice "$own upgrade --from /usr/local/bin/cicdctl.first --yes && $own upgrade --from $own.old --yes"
ended "back to the first, and by the second name to the one before" 0
same "the program is that one" "$sum" "$(installed)"

#-- an engine that is pinned ------------------------------------------------------------

# It leaves a mark where an engine may write and where the host can look.
ran=/home/alice/.local/state/cicd-toolkit/agents/myapp/engine-home/ran
alice 'mkdir -p ~/bin && cat >~/bin/lint && chmod 755 ~/bin/lint' 2>/dev/null
with_stdin alice bash -c 'cat >~/bin/lint; chmod 755 ~/bin/lint' <<FILE
#!/bin/sh
[ "\$1" != --version ] || { echo 'lint 3.2'; exit; }
cat >/dev/null
echo ran >>$ran
echo '{"findings": []}'
FILE
configure <<<$'[review]\nengine = "command"\n[engine.command]\nargv = ["/home/alice/bin/lint"]'
sleep 2.2
review="cd ~/myapp && $own review HEAD~1..HEAD --full"
runs() { alice "cat $ran 2>/dev/null | wc -l"; }

run alice "$own engine list; $own engine pin --dry-run; $own engine list"
shows "an engine that is not pinned" '^command +unpinned +/home/alice/bin/lint'
shows "--dry-run says what would be" 'version +lint 3\.2'
hides "and does nothing" '^command +pinned'
run alice "$own engine pin; $own engine check; $own engine list"
ended "it is pinned" 0
shows "with its version" '^pinned `command`: /home/alice/bin/lint lint 3\.2, sha256:[0-9a-f]{12}, 2 files'
shows "check agrees" '^ok +command +/home/alice/bin/lint'
run alice "$review && $review --json -q | jq -e '.receipt.engine | .version == \"lint 3.2\" and (.digest | test(\"^sha256:[0-9a-f]{12}\$\"))'"
ended "it reviews, and the receipt names version and digest" 0
same "it ran twice" 2 "$(runs)"
check "its hash is kept" alice 'grep -q /home/alice/bin/lint ~/.cache/cicd-toolkit/engine-digests.json'

# One byte, the size the same and the mtime set back.
alice 'touch -r ~/bin/lint ~/mtime; printf X | dd of=$HOME/bin/lint bs=1 seek=$(grep -abo "lint 3.2" ~/bin/lint | cut -d: -f1) conv=notrunc status=none; touch -r ~/mtime ~/bin/lint'
run alice "$review; echo \"status \$?\""
shows "one byte is another: the job fails" '^not reviewed \(failed\): the engine `command` is not what was pinned, and was not started: `/home/alice/bin/lint` has changed'
shows "with what to do" 'cicdctl engine pin command'
shows "status 4" '^status 4$'
same "it was not started" 2 "$(runs)"
run alice "$own engine check"
ended "check: status 1" 1
shows "check says which file" '`/home/alice/bin/lint` has changed \(sha256 [0-9a-f]{12}…, pinned [0-9a-f]{12}…\)'
check "doctor says it" expect_status 1 expect_output '^FAILED +engine +command is not what was pinned' alice "$own doctor"
run alice "$own engine pin --yes && $review"
ended "pinned as it is now it reviews again" 0
same "it ran" 3 "$(runs)"

program other <<<$'#!/bin/sh\nexit 0'
configure <<<$'[review]\nengine = "command"\n[engine.command]\nargv = ["/usr/local/bin/other"]'
run alice "$review"
shows "another program is not started either" 'the program is `/usr/local/bin/other`, and pinned is `/home/alice/bin/lint`'

# One that changes while it runs.
configure <<<$'[review]\nengine = "command"\n[engine.command]\nargv = ["/home/alice/bin/lint"]'
with_stdin alice bash -c 'cat >~/bin/lint' <<<$'#!/bin/sh\ncat >/dev/null\nsleep 3\necho \'{"findings": []}\''
alice "$own engine pin --yes -q" 2>/dev/null
alice "$review >~/said 2>&1 & for i in \$(seq 100); do pgrep -fx 'sleep 3' >/dev/null && break; sleep 0.1; done; echo '#' >>~/bin/lint; wait"
check "what it said is not used where it was changed while it ran" expect_output 'changed while it ran, and what it said is not used' alice 'cat ~/said'
run alice "$own engine unpin --yes && $review"
ended "without a pin any program may be in its place" 0

check "uninstall takes the second name away" alice "$own uninstall --purge --yes -q && test ! -e $own.old && test -x $own"
summary
