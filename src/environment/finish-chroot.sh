#!/bin/sh
# The last step inside mmdebstrap (its customize hook): what tells this machine or this run apart from
# another goes. $1 is the chroot. The same lock must give the same bytes anywhere.
set -eu
cd "$1"
rm -rf etc/hostname etc/machine-id etc/apt/sources.list etc/apt/sources.list.d/*
rm -f etc/apt/apt.conf.d/99mmdebstrap etc/dpkg/dpkg.cfg.d/99mmdebstrap
# mmdebstrap copies the machine's own; a build has no network to resolve names for.
rm -f etc/resolv.conf
: > etc/resolv.conf
chmod 0644 etc/resolv.conf
# Backups of what changed last, in the order of installation.
rm -f etc/passwd- etc/group- etc/shadow- etc/gshadow- etc/subuid- etc/subgid-
rm -f var/lib/dpkg/status-old var/lib/dpkg/diversions-old var/lib/dpkg/statoverride-old var/cache/debconf/*-old
# Indexes and logs; apt's sandbox user owns its folders or not, depending on who runs mmdebstrap.
rm -rf var/lib/apt/lists var/cache/apt var/cache/man var/cache/ldconfig/aux-cache var/lib/dbus/machine-id
mkdir -p -m 0755 var/lib/apt/lists var/cache/apt/archives
find var/log -type f -delete
