#!/bin/bash
# The short form of `tests/chaos/run hogs`: what 70-limits.sh does not have.
# machine: computer trixie
CHAOS_HOGS="bomb daemon flood" exec "${BASH_SOURCE[0]%/*}/../../chaos/hogs.sh" "$@"
