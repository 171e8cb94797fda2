# The middle of the runner: runs the build inside the chroot, watches what it uses, and ends it when that is too much. In Perl,
# which every Debian has, since a look must not start programs: they would take time from the build, and a build that fills the
# process table would leave none to look with. Settings come as ASSAY_… variables; the current folder is the scratch folder,
# and the argument the folder in it whose files count. Leaves `status`, when the build began, and `limit`, when it met one.
use strict;
use warnings;

# How ps calls it.
$0 = 'assay-watch';
my ($counted) = @ARGV;
# Memory and disk in KiB, as all amounts here.
my ($memory, $disk, $processes) = @ENV{qw(ASSAY_MEMORY ASSAY_DISK ASSAY_PROCESSES)};
my $in_memory = $ENV{ASSAY_FILE_ORDER} eq 'memory';
my $page;
# How often to look, in seconds; each so many looks, what takes longer.
my ($pause, $second, $half_minute) = (0.25, 4, 120);

# A small file; nothing when it is gone.
sub text {
    my ($path) = @_;
    open(my $file, '<', $path) or return '';
    my $text = '';
    while (sysread($file, $text, 65536, length $text)) { }
    return $text;
}

sub write_line {
    my ($path, $line) = @_;
    open(my $file, '>', $path) or die "$path: $!\n";
    print $file "$line\n";
    close($file) or die "$path: $!\n";
}

# What a program says, in lines; none when it cannot be started.
sub said {
    my $pid = open(my $pipe, '-|', @_) or return;
    my @lines = <$pipe>;
    close($pipe);
    return @lines;
}

# The file system of each path: its size, what is free of it, what is free for us, and how many more files it takes.
sub file_systems {
    my @lines = said(qw(stat --file-system), '--format=%b %f %a %S %d', '--', @_);
    return map { my ($all, $left, $ours, $size, $files) = split; [map({ $_ * $size / 1024 } $all, $left, $ours), $files] } @lines;
}

# The one number that du says of what counts.
sub du {
    my ($line) = said('sh', '-c', 'exec du "$@" 2>/dev/null', 'du', '--summarize', '--one-file-system', @_, '--', $counted);
    return ($line // '0') =~ /^(\d+)/ ? $1 : 0;
}

# What the build has written on disk.
sub on_disk { return du('--block-size=1K'); }

# What lies in the build folder, when that is in memory.
sub in_memory {
    my ($build_folder) = @_;
    return 0 unless $build_folder;
    my ($all, $left, undef, $files) = @$build_folder;
    my $there = $all - ($files > 0 ? $left : 0);
    # A full one is at the limit, whatever rounding makes of it.
    return $there + 64 < $disk ? $there : $disk + 64;
}

# A file without bytes takes room as well: as many as there would be of 4 KiB each.
sub files { return du('--inodes'); }

# Of these namespaces only: the build's processes, and the few of the runner.
sub pids {
    opendir(my $folder, 'processes') or return;
    return grep { /^[0-9]+$/ } readdir($folder);
}

# All threads of this machine, whose ever they are: one number in one small file, however many there are.
sub crowd { return text('/proc/loadavg') =~ m{^\S+ \S+ \S+ \d+/(\d+) } ? $1 : 0; }

# How many threads there are, how much memory each has alone, and how much all map, in sum.
sub look {
    my ($threads, $alone, $mapped) = (0, 0, 0);
    for my $pid (@_) {
        # The name, in parentheses, may be anything.
        my (undef, $rest) = text("processes/$pid/stat") =~ /^(.*)\) (.*)/s or next;
        $threads += (split ' ', $rest)[17] // 0;
        my (undef, $pages, $shared) = split ' ', text("processes/$pid/statm");
        next unless defined $shared;
        $alone += ($pages - $shared) * $page;
        $mapped += $pages * $page;
    }
    return ($threads, $alone, $mapped);
}

# Memory that no process has alone: files in memory that are held open (memfd) or lie in /dev/shm, and System V
# segments, whether or not somebody maps them.
sub held {
    my ($shm, @pids) = @_;
    my ($held, %seen) = ($shm ? $shm->[0] - $shm->[1] : 0);
    for my $pid (@pids) {
        opendir(my $folder, "processes/$pid/fd") or next;
        for my $descriptor (readdir($folder)) {
            my $path = "processes/$pid/fd/$descriptor";
            next unless (readlink($path) // '') =~ m{^/memfd:};
            my ($device, $inode, $blocks) = (stat $path)[0, 1, 12];
            $held += $blocks / 2 if defined $blocks and !$seen{"$device:$inode"}++;
        }
    }
    my (undef, @segments) = split /\n/, text('processes/sysvipc/shm');
    for my $segment (@segments) {
        my @fields = split ' ', $segment;
        $held += ($fields[-2] + $fields[-1]) / 1024;
    }
    return $held;
}

# What processes map of such memory, each part once.
sub mapped_once {
    my $sum = 0;
    for my $pid (@_) { $sum += $1 if text("processes/$pid/smaps_rollup") =~ /^Pss_Shmem:\s+(\d+)/m; }
    return $sum;
}

# A page, in KiB.
sub page { return text('/proc/self/smaps') =~ /^KernelPageSize:\s+(\d+) kB/m ? $1 : 4; }

sub killed_for_memory { return text('/proc/vmstat') =~ /^oom_kill (\d+)/m ? $1 : 0; }

$page = page();
my @watched = ('.', 'root/dev/shm', $in_memory ? 'root/build' : ());
my $oom = killed_for_memory();
# How many of this machine's threads were not the build's, at the last look.
my $others = crowd();
my ($here, undef, $build_folder) = file_systems(@watched);
my ($disk_at_start, $files_at_start) = (on_disk(), files());
my $at_start = $disk_at_start + in_memory($build_folder);
# A build that fills the file system is to leave room for the word for it.
write_line('reserve', ' ' x 65536);

pipe(my $ended, my $tell) or die "pipe: $!\n";
my $build = fork // die "fork: $!\n";
if (!$build) {
    close($ended);
    close($tell);
    open(STDIN, '<', '/dev/null') or die "/dev/null: $!\n";
    # Process ids of its own once more: when the build's first process ends, whatever it left running is killed before
    # anything is collected.
    exec('unshare', qw(--mount --pid --fork --kill-child=KILL), "--mount-proc=$ENV{ASSAY_SCRATCH}/root/proc", '--',
        qw(chroot root /bin/sh -c), $ENV{ASSAY_INNER}) or die "unshare: $!\n";
}

# Counting a large tree takes long: done when the file system lost half of what the build may still use, and every half minute.
my ($tick, $shared) = (0, 0);
my ($room, $free, $free_files) = ($disk / 2, $here->[2], $here->[3]);
my $counted_last = $disk_at_start;
# What it uses too much of, if anything.
sub too_much {
    my @pids = pids();
    my ($threads, $alone, $mapped) = look(@pids);
    $others = crowd() - $threads;
    # Before any program is started, which would wait for its turn behind all of them.
    return 'processes' if $threads > $processes;
    my ($now, $shm, $build_folder) = file_systems(@watched);
    if ($tick % $second == 0) {
        $shared = held($shm, @pids);
        # Only those that map much can have much in common with others.
        if ($mapped > $memory) {
            my $also = mapped_once(@pids);
            $shared = $also if $also > $shared;
        }
    }
    return 'memory' if $alone + $shared > $memory;
    # It could not be started: what is full will be seen in a moment.
    return unless $now;
    my $long = $tick % $half_minute == 0;
    if ($long or $free_files - $now->[3] > $disk / 8) {
        $free_files = $now->[3];
        return 'disk' if (files() - $files_at_start) * 4 > $disk;
    }
    my $again = ($long or $free - $now->[2] > $room);
    ($counted_last, $free) = (on_disk(), $now->[2]) if $again;
    my $spent = $counted_last + in_memory($build_folder) - $at_start;
    $room = ($disk - $spent) / 2 if $again;
    return $spent > $disk ? 'disk' : undef;
}

my ($status, $limit);
# Takes the build's end, if it came. Nothing is waited for.
sub has_ended {
    $status = $? if !defined $status and waitpid($build, 1) == $build;
    return defined $status;
}
until (has_ended()) {
    # The pipe wakes from the pause when the build ends; between two looks it is the only child.
    local $SIG{CHLD} = sub { syswrite($tell, '.') };
    my $wake = '';
    vec($wake, fileno($ended), 1) = 1;
    last if has_ended();
    sysread($ended, my $signs, 64) if select($wake, undef, undef, $pause) > 0;
    last if has_ended();
    $SIG{CHLD} = 'DEFAULT';
    $tick++;
    my $failed = -e 'root/run/assay-failed';
    # With thousands that want to run, a look at each would take minutes, since whoever looks waits for its turn again and again.
    # So all are stopped first, in one call: it reaches all of these namespaces, in whatever session they are.
    my $stopped = crowd() - $others > $processes;
    kill('STOP', -1) if $stopped;
    $limit = too_much();
    # Whoever started this was killed: nobody would keep to the time, or take what comes out.
    if ($limit or $failed or !-e "/proc/$ENV{ASSAY_PID}") {
        kill('KILL', $build);
        waitpid($build, 0);
        $status = $?;
    }
    # They were somebody else's; or it is the runner's own that go on.
    kill('CONT', -1) if $stopped;
}
unlink('reserve');
$status = $status & 127 ? 128 + ($status & 127) : $status >> 8;
# It was ended after the last look: what counts is how the build had failed.
($status) = text('root/run/assay-failed') =~ /^(\d+)/ if -e 'root/run/assay-failed';
if ($status and !$limit) {
    my ($now, undef, $build_folder) = file_systems(@watched);
    if (on_disk() + in_memory($build_folder) - $at_start > $disk or ($now and $now->[2] < 1024)) {
        $limit = 'disk';
    } elsif (killed_for_memory() != $oom) {
        $limit = 'memory';
    }
}
write_line('limit', $limit) if $limit;
# Without the mark the build never began: then it is the runner that failed.
write_line('status', $status) if -e 'root/run/assay-started';
