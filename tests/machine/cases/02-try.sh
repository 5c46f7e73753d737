#!/bin/bash
# The README's first command on a host with systemd, for an ordinary user; a stand-in for the
# binary shows what it is called with, and what becomes of its failures.
# machine: nspawn bookworm trixie
. "${BASH_SOURCE[0]%/*}/../lib.sh"

with_stdin alice tee fake-cicdctl >/dev/null <<'FAKE'
#!/bin/sh
case "$*" in
    --version) echo 'cicdctl 0.0.0' ;;
    'agent show myapp') exit 1 ;;
    "$FAIL") exit 4 ;;
    *) echo "called in $PWD: $*" ;;
esac
FAKE
as_user alice chmod +x fake-cicdctl
as_user alice mkdir -p checkout/tests/machine
for f in try sample-repo apt-install; do
    "$MACHINE" put "$name" -u alice "$here/$f" /home/alice/checkout/tests/machine/
done
try() { as_user "$1" env CICDCTL_BINARY=fake-cicdctl FAIL="${2:-}" /home/alice/checkout/tests/machine/try; }

output=$(try alice 2>&1)
check "it ends well" test $? -eq 0
for line in \
    'called in /home/alice/cicdctl-demo: init --yes' \
    'called in /home/alice/cicdctl-demo: agent add myapp --path /home/alice/cicdctl-demo' \
    'called in /home/alice/cicdctl-demo: review HEAD~1..HEAD' \
    'called in /home/alice/cicdctl-demo: status' \
    'called in /home/alice/cicdctl-demo: logs myapp' \
    '$ cicdctl review HEAD~1..HEAD'; do
    check "it printed: $line" grep -qxF -e "$line" <<<"$output"
done
check "the binary is installed" as_user alice cmp fake-cicdctl .local/bin/cicdctl
check "a second time it ends well too" try alice
for step in 'init --yes' 'review HEAD~1..HEAD' 'logs myapp'; do
    refute "a failure of cicdctl $step is its own" try alice "$step"
    check "and is told" expect_status 1 expect_output "ended with status 4: cicdctl $step" try alice "$step"
done

summary
