#!/bin/bash
# Where user namespaces are forbidden there is no sandbox: the review is refused and says so, goes
# on when it is told to, and then the receipt says that.
# machine: computer trixie
. "${BASH_SOURCE[0]%/*}/../lib.sh"

set_up --yes || exit
check "with user namespaces it reviews" alice '
    cd ~/myapp && cicdctl review HEAD~1..HEAD --json | jq -e ".receipt.cage.uncaged_because == null and (.findings | length) == 11"'
# The units of the runner need one, too; what runs already goes on.
as_root sysctl -q -w user.max_user_namespaces=0
check "they are forbidden now" alice '! unshare --user true'

run alice 'cd ~/myapp && cicdctl review HEAD~1..HEAD; echo "status $?"'
shows "the review is refused: status 4" '^status 4$'
shows "as the sandbox cannot be had" 'not reviewed \(failed\).*the sandbox of the engine cannot be had'
shows "with both ways on" 'cicdctl doctor.*--unsandboxed'
hides "and no finding" 'deploy/id_deploy'

run alice 'cd ~/myapp && cicdctl review HEAD~1..HEAD --unsandboxed; echo "status $?"'
shows "--unsandboxed reviews" '^reviewed: 11 findings'
shows "status 0" '^status 0$'
shows "and says that it was not caged" 'no sandbox|not caged|not sandboxed'
check "so does the receipt" alice '
    cd ~/myapp && cicdctl review HEAD~1..HEAD --unsandboxed --json | jq -e ".receipt.cage.uncaged_because | test(\"no sandbox\")"'
check "limits hold even so: it is still a unit" alice '
    cicdctl job list --json | jq -r ".[0].id" | xargs cicdctl job show --json | jq -e ".review.receipt.cage.unit | startswith(\"cicd-job-\")"'
run alice 'cicdctl doctor'
ended "doctor fails" 1
shows "names the sandbox" '^FAILED +sandbox +a cage does not start: .*217'
shows "and the services' hardening" '^FAILED +hardening +cicd-runner.service does not start: .*217'
shows "and the one command" '^ +-> as root: `printf .user.max_user_namespaces=15000.*sysctl --system`'
run alice 'cicdctl agent add second --repo example/second'
ended "an agent is not added without its sandbox" 1
shows "as it does not start" 'user namespaces are forbidden'
as_root sysctl -q -w user.max_user_namespaces=15000
run alice 'cicdctl agent add second --repo example/second --quiet && cicdctl doctor'
ended "with user namespaces it is, and doctor has nothing against anything" 0
shows "nor against the sandbox" '^ok +sandbox +of a cage: enforced'

summary
