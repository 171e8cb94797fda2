# Two commands are the whole set-up: `make demo` and `make test`. The rest wraps cargo.

CARGO ?= cargo
FUZZ_SECONDS ?= 4
SEED ?= 1
SITE ?= demo-site

RUNS ?= 3
SHOW ?= show-site

.PHONY: demo test setup build check fuzz bench bench-publish bench-queries test-faults show-mirrors show-snapshots show-packages show-dependencies show-image backends overhead clean show-kills show-writers test-s3

# The main job on real Debian input; leaves the site in $(SITE) to look around in.
demo: build
	tests/demo/run "$(SITE)"

# Unit, property and end-to-end tests with real apt, dpkg, gpgv, git and mmdebstrap; then the fuzz targets.
# Properties are tried on the same cases each time; `cargo test` alone, or another SEED, tries others.
test: build
	$(CARGO) clippy --locked --quiet --all-targets -- -D warnings
	PROPTEST_RNG_SEED=$(SEED) $(CARGO) test --locked --lib --test it
	tests/fuzz/run $(FUZZ_SECONDS)

# All that the two need, from Debian's packages.
setup:
	tests/setup

build: setup
	$(CARGO) build --locked

check:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings

# Each operation on the store goes wrong in each way, in every scenario: some minutes, where `make test` tries one of three.
test-faults: setup
	ASSAY_FAULTS=all $(CARGO) test --locked --test it -- --nocapture anywhere at_any_step

# Real runs of the program, killed by strace at each system call that writes; then full disks and broken ones. EACH=40 for a few.
show-kills: build
	tests/show/kills "$(SHOW)"

# Two to sixteen writers at once, on a folder and on a bucket that loses answers, while real apts update and install.
show-writers: setup
	ASSAY_WRITERS=2,4,8,16 $(CARGO) test --locked --test it -- --nocapture --test-threads=1 cli::together

# The store's promises, and a site in a bucket, on a real S3 server: radosgw of Debian's packages, for this run. Some 300 MB of packages.
test-s3: setup
	CARGO="$(CARGO)" tests/s3/run

# Mirrors and snapshots side by side with aptly, debmirror and reprepro on the same upstream; 6 GB below target/bench.
bench: setup
	$(CARGO) build --release --locked
	tests/bench/run $(RUNS)

# Archives of one's own side by side with apt-ftparchive, reprepro and aptly on the same .debs; 3 GB below target/bench.
bench-publish: setup
	$(CARGO) build --release --locked
	tests/bench/publish $(RUNS)

# Real Debian read from every form of URL by the next release's apt; some hundred megabytes, as root.
show-mirrors: build
	tests/show/mirrors "$(SHOW)"

# Real Debian tagged by what a chroot has and made again, let go by age, and built from a closure; some hundred megabytes, as root.
show-snapshots: build
	tests/show/snapshots "$(SHOW)"

# Real Debian source packages of many kinds, from Git through the gate into a chroot; an hour or less.
show-packages: build
	tests/show/packages "$(SHOW)"

# A package of ours that is built with another of ours, on real Debian input.
show-dependencies: build
	tests/show/dependencies "$(SHOW)"

# One image from one commit on two sites that share Git and the public store, then from its tag: bit for bit the same.
show-image: build
	tests/show/image "$(SHOW)"

# Every query on a custom archive of 60,000 packages with real signed documents; 3 GB below target/.
bench-queries: setup
	$(CARGO) build --release --locked --bin assay --example queries
	tests/query/bench target/bench-queries

# One source by root and an ordinary user, by our runner, sbuild and rebuilderd's backend; as root, installs sbuild.
backends: build
	tests/show/backends "$(SITE)"

# What a rebuild costs beyond dpkg-buildpackage; as root.
overhead: setup
	$(CARGO) build --release --locked
	tests/bench/overhead "$(SITE)"

fuzz: setup
	tests/fuzz/run $(FUZZ_SECONDS)

clean:
	$(CARGO) clean
