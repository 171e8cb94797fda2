# The outer half of the runner: root of new namespaces (an ordinary user's own, or real root's), still with
# this machine's files in view. Lays the overlay, starts the build inside, collects what it left. All mounts
# live in this namespace and go when it ends. Settings come as ASSAY_… variables.
set -eu
umask 022
cd "$ASSAY_SCRATCH"
mkdir lower upper overlay root out

# Relative names: what the build can read in its mount table says nothing about this machine.
mount --bind "$ASSAY_BASE" lower
mount -t overlay -o nosuid,nodev,lowerdir=lower,upperdir=upper,workdir=overlay,userxattr overlay root 2>mount.err || {
    # No overlay on this file system (that of many containers): a copy does the same, slower.
    cp --archive --reflink=auto lower/. root/
    mount --bind -o nosuid,nodev root root
    cd "$ASSAY_SCRATCH"
}
umount lower

mount -t tmpfs -o nosuid,mode=0755,size=64k tmpfs root/dev
for device in null zero full random urandom tty; do
    : > "root/dev/$device"
    mount --bind "/dev/$device" "root/dev/$device"
done
mkdir root/dev/pts root/dev/shm
mount -t devpts -o nosuid,noexec,newinstance,ptmxmode=0666,mode=0620 devpts root/dev/pts
mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs root/dev/shm
ln -s pts/ptmx root/dev/ptmx
ln -s /proc/self/fd root/dev/fd
ln -s /proc/self/fd/0 root/dev/stdin
ln -s /proc/self/fd/1 root/dev/stdout
ln -s /proc/self/fd/2 root/dev/stderr
mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs root/tmp
printf '127.0.0.1 localhost\n127.0.1.1 %s\n::1 localhost\n' "$ASSAY_HOSTNAME" > root/etc/hosts
mkdir -p root/build/reproducible-path
cp sources/* root/build/reproducible-path/

# Process ids of its own once more: when the build's first process ends, whatever it left running is killed
# before anything is collected. The log goes through a pipe: the build holds no descriptor of a file outside.
{
    status=0
    unshare --mount --pid --fork --kill-child=KILL --mount-proc="$ASSAY_SCRATCH/root/proc" -- \
        chroot root /bin/sh -c "$ASSAY_INNER" </dev/null || status=$?
    # Without the mark the build never began: then it is the runner that failed.
    if [ -e root/run/assay-started ]; then echo "$status" > status; fi
} 2>&1 | head --bytes="$ASSAY_LOG_LIMIT"

# Regular files only: a link in their place could name any file of this machine.
find root/build/reproducible-path -mindepth 1 -maxdepth 1 -type f \
    \( -name '*.deb' -o -name '*.udeb' -o -name '*.ddeb' -o -name '*.buildinfo' -o -name '*.changes' \) \
    -exec cp --no-dereference --target-directory=out -- {} +
