#!/bin/bash
# The short form of `tests/chaos/run surroundings`.
# machine: nspawn trixie
CHAOS_PARTS="bus manager body deaf garbage" exec "${BASH_SOURCE[0]%/*}/../../chaos/surroundings.sh" "$@"
