# The inner half of the runner: root inside the chroot and its namespaces, for as long as it takes to become
# the build user. Only Essential programs of the chroot are used.
set -eu
umask 022
hostname "$ASSAY_HOSTNAME"
# When this machine runs out of memory, the build goes first.
echo 1000 > /proc/self/oom_score_adj
# The loopback interface up, as on Debian's own builders; there is no other one.
perl -e 'use Socket; socket(my $s, AF_INET, SOCK_DGRAM, 0) or die; my $up = pack("Z16 s x14", "lo", 0x41); ioctl($s, 0x8914, $up) or die "lo: $!";'
if grep -q -e "^$ASSAY_USER:" -e "^[^:]*:[^:]*:$ASSAY_UID:" /etc/passwd; then
    echo "the chroot has a user $ASSAY_USER or $ASSAY_UID already" >&2
    exit 1
fi
echo "$ASSAY_USER:x:$ASSAY_UID:$ASSAY_UID::/nonexistent:/bin/sh" >> /etc/passwd
echo "$ASSAY_USER:x:$ASSAY_UID:" >> /etc/group
chown --recursive "$ASSAY_UID:$ASSAY_UID" "/build/$ASSAY_PLACE"
cd "/build/$ASSAY_PLACE"
: > /run/assay-started
# Some more than may be: the one who watches is to see them, rather than that a fork fails for no clear reason.
status=0
setpriv --reuid="$ASSAY_UID" --regid="$ASSAY_UID" --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all \
    prlimit --nproc="$((ASSAY_PROCESSES + ASSAY_SPARE))" --core=0 \
    env --ignore-environment \
    PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/nonexistent SHELL=/bin/sh USER="$ASSAY_USER" LOGNAME="$ASSAY_USER" \
    LC_ALL="$ASSAY_LOCALE" TZ=UTC DEB_BUILD_OPTIONS="$ASSAY_BUILD_OPTIONS" \
    /bin/sh -euc 'dpkg-source --extract "$1" "$2"; cd "$2"; dpkg-buildpackage --build=binary --unsigned-source --unsigned-changes' \
    build "$ASSAY_DSC" "$ASSAY_FOLDER" || status=$?
[ "$status" != 0 ] || exit 0
# What made it fail may still be running (a fork bomb of which one part gave up): left for one look more.
# Whoever looks ends this; nobody is waited for longer than a while.
echo "$status" > /run/assay-failed
exec sleep 20
