#!/bin/sh
# Applies a kong.yml with decK, as a step of a pipeline. Each check comes before the next may change anything.
#   kong/deck/apply.sh kong/kong.yml
#   DECK_KONG_ADDR   the Admin API, http://localhost:8001 unless set
#   DECK_TAG         restricts decK to the entities with this tag; without it decK deletes all that is not in the file
#   DRY_RUN          if set, ends after the differences
set -eu
state=${1:?the kong.yml to apply}

# decK does not know the plugin's fields. This names every fault of every entry at once.
otlp-tracing check "$state"
# decK 1.28 and newer have the commands in groups. Debian 12 has an older one.
if deck gateway --help >/dev/null 2>&1; then
    deck file validate "$state"
    apply() { deck gateway "$@" ${DECK_TAG:+--select-tag "$DECK_TAG"} "$state"; }
else
    deck validate --state "$state"
    apply() { deck "$@" ${DECK_TAG:+--select-tag "$DECK_TAG"} --state "$state"; }
fi
apply diff
[ -n "${DRY_RUN:-}" ] || apply sync
