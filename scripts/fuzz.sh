#!/bin/sh
# Property tests of what comes from outside, over and over with new cases until
# so many minutes have passed. Overflows are checked: these are debug builds.
#
# usage: fuzz.sh MINUTES
set -eu

minutes=${1:?usage: fuzz.sh MINUTES}
end=$(($(date +%s) + minutes * 60))
export PROPTEST_CASES="${PROPTEST_CASES:-5000}"
rounds=0
while [ "$(date +%s)" -lt "$end" ]; do
    rounds=$((rounds + 1))
    "${CARGO:-cargo}" test --quiet --package tally-domain --package tally-exchange \
        --package tally-catalog --package tally-tests --test fuzz
    "${CARGO:-cargo}" test --quiet --package tally-domain --package tally-exchange --lib
done
echo "$rounds rounds of $PROPTEST_CASES cases, nothing found"
