#!/bin/bash
# The short form of `tests/chaos/run hogs`: those that need no limit of the kernel; 70-limits.sh has the others.
# machine: nspawn bookworm trixie
CHAOS_HOGS="daemon holder stubborn flood errors stall mute" exec "${BASH_SOURCE[0]%/*}/../../chaos/hogs.sh" "$@"
