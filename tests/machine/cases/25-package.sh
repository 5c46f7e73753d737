#!/bin/bash
# The Debian package: installed, two users work with it, upgraded under their feet, purged without a trace.
# machine: nspawn bookworm trixie
. "${BASH_SOURCE[0]%/*}/../lib.sh"

package
as_root rm /usr/local/bin/cicdctl
for user in alice bob; do sample_repo "$user" myapp >/dev/null; done
check "the tarball has program, pages and completions" as_root sh -c 'mkdir /root/unpacked && tar -C /root/unpacked --strip-components 1 -xzf /root/cicdctl.tar.gz &&
    cd /root/unpacked && test -s man/cicdctl.1 && test -s completions/_cicdctl && test -s LICENSE && install -m 755 cicdctl /usr/local/bin/'
check "alice sets up what is in it" alice 'cicdctl init --yes --quiet && cicdctl agent add myapp --path ~/myapp --yes --quiet'
check "and reviews" expect_output '^reviewed: 11 findings' alice 'cd myapp && cicdctl review HEAD~1..HEAD'
check "and takes it back" alice 'cicdctl uninstall --purge --yes --quiet'
as_root rm -r /usr/local/bin/cicdctl /root/unpacked
before=$(as_root sh -c "$EVERYWHERE")

check "dpkg installs it" as_root dpkg -i /root/cicdctl.deb
check "nothing of it has been changed" expect_output '^$' as_root dpkg -V cicdctl
check "it starts nothing, and asks for nothing" as_root sh -c '
    ! grep -rl cicd /etc/systemd /usr/lib/systemd 2>/dev/null && ! pgrep cicd'
check "pages are where man looks" as_root sh -c '
    test -s /usr/share/man/man1/cicdctl-review.1.gz && zcat /usr/share/man/man5/cicd-toolkit.toml.5.gz | grep -q "^.TH CICD"'
check "and completions where shells look" as_root sh -c '
    cd /usr/share && bash -n bash-completion/completions/cicdctl && test -s zsh/vendor-completions/_cicdctl -a -s fish/vendor_completions.d/cicdctl.fish'

for user in alice bob; do
    check "$user sets up a runner" as_user "$user" cicdctl init --yes --quiet
    check "$user: the units start what the package has" as_user "$user" grep -q '^ExecStart=.*/usr/bin/cicdctl' .config/systemd/user/cicd-runner.service
    check "$user adds an agent" as_user "$user" bash -c 'cicdctl agent add myapp --path ~/myapp --yes --quiet'
    check "$user reviews" expect_output '^reviewed: 11 findings' as_user "$user" bash -c 'cd myapp && cicdctl review HEAD~1..HEAD'
done
check "neither sees the other's" as_user alice bash -c '
    other=$(id -u bob); ! ls "/run/user/$other" 2>/dev/null && ! ls ~bob/.config/cicd-toolkit 2>/dev/null &&
    ! curl -s --max-time 3 --unix-socket "/run/user/$other/cicd-runner.sock" http://localhost/healthz &&
    ! cicdctl job list | grep -q bob && [ "$(cicdctl job list --json | jq length)" = 1 ]'

check "the same again, while they run" as_root dpkg -i /root/cicdctl.deb
check "alice reviews as before" expect_output '^reviewed: 11 findings' alice 'cd myapp && cicdctl review HEAD~1..HEAD'
check "doctor finds the one program that there is" expect_output '^ok +upgrade .*/usr/bin/cicdctl' alice 'cicdctl doctor; true'

for user in alice bob; do
    check "$user takes all of it back" as_user "$user" cicdctl uninstall --purge --yes --quiet
done
check "dpkg purges it" as_root dpkg -P cicdctl
same "no trace is left" "$before" "$(as_root sh -c "$EVERYWHERE")"
summary
