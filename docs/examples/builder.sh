#!/bin/sh
# One job of a plan on a machine that cannot write to the gate's store: a CI runner, a Kubernetes pod, a server of
# somebody else. It needs a clone of the site's Git repository with this builder's secret key in `keys/`, read access
# to the store, and the job: one line of `assay rebuild NAME… --plan --issue --json`.
# What it leaves in OUTPUT goes back to the gate, which takes it with `assay rebuild NAME --take OUTPUT`.
set -eu
assay=${ASSAY:-assay}
: "${SITE:?the folder of the site}" "${SOURCE:?}" "${ARCHIVE:?}" "${BUILDER:?}" "${NONCE:?}" "${RUN:?}" "${OUTPUT:?}"
"$assay" --site "$SITE" rebuild "$SOURCE" --archive "$ARCHIVE" --builder "$BUILDER" \
    --nonce "$NONCE" --run "$RUN" --output "$OUTPUT" || [ $? = 1 ]
# The record is written last: without it there is no answer.
[ -s "$OUTPUT/record.json" ]
