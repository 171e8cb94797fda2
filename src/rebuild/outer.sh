# The outer half of the runner: root of new namespaces (an ordinary user's own, or real root's), still with
# this machine's files in view. Lays the overlay, starts the build inside, watches what it uses, collects what
# it left. All mounts live in this namespace and go when it ends. Settings come as ASSAY_… variables.
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

# Everything in KiB.
free() { stat --file-system --format='%a %S' . | { read -r blocks size; echo $((blocks * (size / 512) / 2)); }; }
used() {
    on_disk=$(du --summarize --block-size=1K --one-file-system "$counted" 2>/dev/null | cut -f1)
    in_memory=0
    if [ "$ASSAY_FILE_ORDER" = memory ]; then
        in_memory=$(stat --file-system --format='%b %f %S %d' root/build | {
            read -r all left size files
            [ "$files" -gt 0 ] || left=0
            echo $(((all - left) * (size / 512) / 2))
        })
        # A full one is at the limit, whatever rounding makes of it.
        [ "$((in_memory + 64))" -lt "$ASSAY_DISK" ] || in_memory=$((ASSAY_DISK + 64))
    fi
    echo $((on_disk + in_memory - at_start))
}
# A file without bytes takes room as well: as many as there would be of 4 KiB each.
files() { du --inodes --summarize --one-file-system "$counted" 2>/dev/null | cut -f1; }
inodes() { stat --file-system --format=%d .; }
# Memory that no process has alone: files in memory that are held open (memfd) or lie in /dev/shm, and System V
# segments, whether or not somebody maps them.
held() {
    {
        find processes/[0-9]*/fd -lname '/memfd:*' -exec stat --dereference --format='memfd %d:%i %b' {} + 2>/dev/null
        stat --file-system --format='shm %b %f %S' root/dev/shm
        sed 's/^/segment /' processes/sysvipc/shm 2>/dev/null
    } | awk '
        $1 == "memfd" && !seen[$2]++ { kib += $3 / 2 }
        $1 == "shm" { kib += ($2 - $3) * $4 / 1024 }
        $1 == "segment" && $2 != "key" { kib += ($(NF - 1) + $NF) / 1024 }
        END { print int(kib) }'
}
# What processes map of such memory, each part once.
mapped() { cat processes/[0-9]*/smaps_rollup 2>/dev/null | awk '/^Pss_Shmem:/ { kib += $2 } END { print kib + 0 }'; }
killed_for_memory() { sed -n 's/^oom_kill //p' /proc/vmstat; }

# Stops the build when it uses too much. Counting a large tree takes long: done when the file system lost half
# of what the build may still use, and every half minute.
watch() {
    room=$((ASSAY_DISK / 2)) before=$(free) tick=0 shared=0 inodes_before=$(inodes)
    while sleep 0.25; do
        tick=$((tick + 1)) failed=
        [ ! -e root/run/assay-failed ] || failed=yes
        # Whoever started this was killed: nobody would keep to the time, or take what comes out.
        [ -e "/proc/$ASSAY_PID" ] || { kill -KILL "$1"; return; }
        cat processes/[0-9]*/stat processes/[0-9]*/statm 2>/dev/null > usage || true
        [ $((tick % 4)) != 0 ] || shared=$(held)
        # Only those that map much can have much in common with others.
        awk -v memory="$ASSAY_MEMORY" '!/\(/ { pages += $2 } END { exit !(pages * 4 > memory) }' usage &&
            [ $((tick % 4)) = 0 ] && also=$(mapped) && [ "$also" -gt "$shared" ] && shared=$also
        found=$(awk -v most="$ASSAY_PROCESSES" -v memory="$ASSAY_MEMORY" -v shared="$shared" '
            /\(/ { sub(/^.*\) /, ""); threads += $18; next }
            { pages += $2 - $3 }
            END { if (threads > most) print "processes"; else if (pages * 4 + shared > memory) print "memory" }' usage)
        now=$(free)
        if [ -z "$found" ] && { [ $((inodes_before - $(inodes))) -gt $((ASSAY_DISK / 8)) ] || [ $((tick % 120)) = 0 ]; }; then
            inodes_before=$(inodes)
            [ $((($(files) - files_at_start) * 4)) -le "$ASSAY_DISK" ] || found=disk
        fi
        if [ -z "$found" ] && { [ $((before - now)) -gt "$room" ] || [ $((tick % 120)) = 0 ] || [ "$ASSAY_FILE_ORDER" = memory ]; }; then
            spent=$(used)
            [ "$spent" -le "$ASSAY_DISK" ] || found=disk
            room=$(((ASSAY_DISK - spent) / 2)) before=$now
        fi
        if [ -n "$found" ]; then
            echo "$found" > limit
        fi
        if [ -n "$found$failed" ]; then
            kill -KILL "$1"
            return
        fi
    done
}

at_start=0
at_start=$(used) files_at_start=$(files)
oom=$(killed_for_memory)
# Process ids of its own once more: when the build's first process ends, whatever it left running is killed
# before anything is collected. The log goes through a pipe: the build holds no descriptor of a file outside.
{
    unshare --mount --pid --fork --kill-child=KILL --mount-proc="$ASSAY_SCRATCH/root/proc" -- \
        chroot root /bin/sh -c "$ASSAY_INNER" </dev/null &
    build=$!
    watch "$build" >/dev/null 2>&1 &
    watcher=$!
    status=0
    wait "$build" || status=$?
    kill "$watcher" 2>/dev/null || true
    # It was ended after the last look: what counts is how the build had failed.
    [ ! -e root/run/assay-failed ] || status=$(cat root/run/assay-failed)
    if [ "$status" != 0 ] && [ ! -e limit ]; then
        if [ "$(used)" -gt "$ASSAY_DISK" ] || [ "$(free)" -lt 1024 ]; then echo disk > limit
        elif [ "$(killed_for_memory)" != "$oom" ]; then echo memory > limit
        fi
    fi
    # Without the mark the build never began: then it is the runner that failed.
    if [ -e root/run/assay-started ]; then echo "$status" > status; fi
} 2>&1 | head --bytes="$ASSAY_LOG"

# Regular files only: a link in their place could name any file of this machine.
[ -e limit ] || find "root/build/$ASSAY_PLACE" -mindepth 1 -maxdepth 1 -type f \
    \( -name '*.deb' -o -name '*.udeb' -o -name '*.ddeb' -o -name '*.buildinfo' -o -name '*.changes' \) \
    -exec cp --no-dereference --target-directory=out -- {} +
