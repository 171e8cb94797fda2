# The outer half of the runner: root of new namespaces (an ordinary user's own, or real root's), still with
# this machine's files in view. Lays the overlay, has the build run and watched (watch.pl), collects what it left.
# All mounts live in this namespace and go when it ends. Settings come as ASSAY_… variables.
set -eu
umask 022
cd "$ASSAY_SCRATCH"
mkdir lower upper overlay root out processes

# Relative names: what the build can read in its mount table says nothing about this machine.
mount --bind "$ASSAY_BASE" lower
counted=upper
mount -t overlay -o nosuid,nodev,lowerdir=lower,upperdir=upper,workdir=overlay,userxattr overlay root 2>mount.err || {
    # No overlay on this file system (that of many containers): a copy does the same, slower.
    cp --archive --reflink=auto lower/. root/
    mount --bind -o nosuid,nodev root root
    cd "$ASSAY_SCRATCH"
    counted=root
}
umount lower

mount -t tmpfs -o nosuid,mode=0755,size=64k tmpfs root/dev
for device in null zero full random urandom tty; do
    : > "root/dev/$device"
    mount --bind "/dev/$device" "root/dev/$device"
done
mkdir root/dev/pts root/dev/shm
mount -t devpts -o nosuid,noexec,newinstance,ptmxmode=0666,mode=0620 devpts root/dev/pts
mount -t tmpfs -o "nosuid,nodev,mode=1777,size=$((ASSAY_MEMORY / 4))k,nr_inodes=$((ASSAY_MEMORY / 16 + 64))" tmpfs root/dev/shm
ln -s pts/ptmx root/dev/ptmx
ln -s /proc/self/fd root/dev/fd
ln -s /proc/self/fd/0 root/dev/stdin
ln -s /proc/self/fd/1 root/dev/stdout
ln -s /proc/self/fd/2 root/dev/stderr
printf '127.0.0.1 localhost\n127.0.1.1 %s\n::1 localhost\n' "$ASSAY_HOSTNAME" > root/etc/hosts
mkdir root/build
if [ "$ASSAY_FILE_ORDER" = memory ]; then
    # A file system in memory lists a folder newest first, one on disk by a hash of the names.
    mount -t tmpfs -o "nosuid,nodev,mode=0755,size=${ASSAY_DISK}k,nr_inodes=$((ASSAY_DISK / 4 + 64))" tmpfs root/build
fi
mkdir "root/build/$ASSAY_PLACE"
cp sources/* "root/build/$ASSAY_PLACE/"
# Of these namespaces only: the build's processes, and the few of this script.
mount -t proc -o nosuid,nodev,noexec proc processes

# The log goes through a pipe: the build holds no descriptor of a file outside.
perl -e "$ASSAY_WATCH" "$counted" 2>&1 | head --bytes="$ASSAY_LOG"

# Regular files only: a link in their place could name any file of this machine.
[ -e limit ] || find "root/build/$ASSAY_PLACE" -mindepth 1 -maxdepth 1 -type f \
    \( -name '*.deb' -o -name '*.udeb' -o -name '*.ddeb' -o -name '*.buildinfo' -o -name '*.changes' \) \
    -exec cp --no-dereference --target-directory=out -- {} +
