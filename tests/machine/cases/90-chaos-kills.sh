#!/bin/bash
# The short form of `tests/chaos/run kills`: a dozen kills and a reboot.
# machine: nspawn bookworm trixie
CHAOS_KILLS=12 CHAOS_SEED=${CHAOS_SEED:-4} CHAOS_CUTS=reboot CHAOS_FINISH=180 exec "${BASH_SOURCE[0]%/*}/../../chaos/kills.sh" "$@"
