#!/bin/bash
# A computer gives what a container on an old host cannot: limits in force, reboots, power cuts.
# machine: computer trixie
. "${BASH_SOURCE[0]%/*}/../lib.sh"

check "the binary runs" expect_output '^cicdctl ' as_user alice cicdctl --version
check "alice's user manager stays" "$MACHINE" linger "$name" alice
for controller in cpu memory pids; do
    check "her manager has the controller $controller" expect_output "\\b$controller\\b" \
        as_root cat /sys/fs/cgroup/user.slice/user-1001.slice/user@1001.service/cgroup.controllers
done
check "a memory limit of a user unit is in force" expect_output '^67108864$' \
    as_user alice systemd-run --user --quiet --pipe --wait -p MemoryMax=64M \
    sh -c 'cat "/sys/fs/cgroup$(sed -n s/^0:://p /proc/self/cgroup)/memory.max"'
as_root sh -c 'echo kept >/root/kept; sync'
check "it reboots" "$MACHINE" reboot "$name"
check "alice's user manager is back, with nobody logged in" wait_for 60 as_root systemctl is-active --quiet user@1001.service
check "the power is cut" "$MACHINE" crash "$name"
check "it boots again" "$MACHINE" boot "$name"
check "what was synced is there" expect_output '^kept$' as_root cat /root/kept

summary
