#!/bin/sh
# A backend for rebuilderd's worker: rebuilds a package of a custom archive in its locked environment.
#
#   # /etc/rebuilderd-worker.conf
#   [backend."debian"]
#   path = "/usr/share/assay/rebuilderd/rebuilder-assay.sh"
#
# rebuilderd hands over the .buildinfo of a package (a by-product of its rebuilds) as the first argument, and takes what lies in
# $REBUILDERD_OUTDIR afterwards. ASSAY_SITE is a clone of the site; no key is needed: rebuilderd signs for itself.
set -eu
: "${REBUILDERD_OUTDIR:?is set by rebuilderd}" "${ASSAY_SITE:?the folder of the site}"
field() { sed -n "s/^$1: //p" "$input" | head -n 1; }
input=$1
# `Source: name (version)` when the version of the source is not that of the packages.
source=$(field Source)
version=$(field Version)
case $source in *'('*) version=${source#*(}; version=${version%)}; esac
source=${source%% *}
case $source in '' | *[!a-z0-9+.-]*) echo "rebuilder-assay: $input names no source package" >&2; exit 2 ;; esac
# The site says what is built, and from which commit; the .buildinfo only which package is asked about.
built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT
"${ASSAY:-assay}" --site "$ASSAY_SITE" rebuild "$source" --output "$built/out"
for file in "$built"/out/*_"${version#*:}"_*.deb "$built"/out/*_"${version#*:}"_*.udeb; do
    [ ! -f "$file" ] || cp --no-dereference "$file" "$REBUILDERD_OUTDIR/"
done
