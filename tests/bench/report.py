#!/usr/bin/env python3
"""report.py HISTORY RUN: a table for each tree and step, with the ratio to the bare work in the same run; then the aims.

Of several turns the quickest counts, in wall and in CPU seconds each; `busy` is what the rest of the machine took meanwhile, as a
share of all cores, in the turn that counts. A tool that was stopped shows `>` and the seconds that it had."""
import json, sys
from collections import OrderedDict

ORDER = ["first-sync", "unchanged", "snapshot-make", "snapshot-publish", "snapshot", "changed-1pct", "verify",
         "take-in", "take-10", "first-publish", "taken-and-published", "publish-unchanged", "publish-1", "check"]
PEERS = ["aptly", "debmirror", "reprepro-gz", "reprepro", "apt-ftparchive", "apt-ftparchive-db"]
WRITE_XZ = ["reprepro", "apt-ftparchive", "apt-ftparchive-db"]

rows = [json.loads(line) for line in open(sys.argv[1])]
rows = [row for row in rows if str(row.get("run")) == sys.argv[2]]
# (tree, step) -> tool -> what counts
best = OrderedDict()
stopped = {}
for row in rows:
    at = (row["tree"], row["step"])
    if row["rc"] != 0:
        stopped[at + (row["tool"],)] = row["wall"]
        continue
    known = best.setdefault(at, OrderedDict()).setdefault(row["tool"], dict(row, turns=0, worst=0.0))
    quickest = min((known, row), key=lambda r: r["wall"])
    known.update({k: quickest[k] for k in ("wall", "load_other")}, cpu=min(known["cpu"], row["cpu"]),
                 rss_mb=max(known["rss_mb"], row["rss_mb"]), turns=known["turns"] + 1, worst=max(known["worst"], row["wall"]))

def join(tree, first, second, name):
    """Two steps as one: for a tool that does both in the first, that alone."""
    made, published = best.get((tree, first), {}), best.get((tree, second), {})
    for tool, one in made.items():
        both = dict(one)
        if tool in published:
            other = published[tool]
            both.update(wall=one["wall"] + other["wall"], cpu=one["cpu"] + other["cpu"], rss_mb=max(one["rss_mb"], other["rss_mb"]))
        elif (tree, second, tool) in stopped:
            continue
        best.setdefault((tree, name), OrderedDict())[tool] = both

for tree in OrderedDict.fromkeys(tree for tree, _ in best):
    # A snapshot that is served: what makes it, and what publishes it where that is another step.
    join(tree, "snapshot-make", "snapshot-publish", "snapshot")
    join(tree, "take-in", "first-publish", "taken-and-published")

def line(tool, one, floor):
    ratio = ""
    if floor and floor is not one:
        ratio = f"{one['wall'] / floor['wall']:7.2f} x wall {one['cpu'] / max(floor['cpu'], 0.001):7.2f} x cpu"
    turns = f"best of {one['turns']} (worst {one['worst']:.3f})" if one["turns"] > 1 else ""
    busy = f"busy {one['load_other']:.2f}" if one["load_other"] > 0.1 else ""
    return f"  {tool:12} wall {one['wall']:8.3f} s  cpu {one['cpu']:8.3f} s  {one['rss_mb']:5.0f} MB  {ratio:32} {turns:26} {busy}".rstrip()

trees = list(OrderedDict.fromkeys(row["tree"] for row in rows))
for tree in trees:
    for step in ORDER:
        tools = best.get((tree, step), {})
        late = {tool: wall for (t, s, tool), wall in stopped.items() if (t, s) == (tree, step)}
        if not tools and not late or step in ("snapshot-make", "snapshot-publish"):
            continue
        print(f"\n{tree} {step}")
        for tool, one in tools.items():
            print(line(tool, one, tools.get("floor")))
        for tool, wall in late.items():
            print(f"  {tool:12} wall > {wall:6.0f} s  (stopped, or failed: see steps.log)")

def ours(tree, step, against="floor"):
    tools = best.get((tree, step), {})
    return tools.get("assay"), tools.get(against)

print("\naims, by wall seconds (in brackets by CPU seconds), and the best peer in the same run")
def aim(tree, step, what, value, cpu, limit, better):
    holds = value <= limit if better == "<" else value >= limit
    one = best.get((tree, step), {}).get("assay")
    peers = {t: r["wall"] for t, r in best.get((tree, step), {}).items() if t in PEERS}
    peer = min(peers, key=peers.get) if peers else None
    beside = f"  {peer} takes {peers[peer] / one['wall']:.1f} x ours" if peer and one else ""
    print(f"  {'holds' if holds else 'FAILS'}  {tree:8} {what:44} {value:8.3f} ({cpu:.3f}), aim {better} {limit}{beside}")

for tree in trees:
    for step, limit in (("first-sync", 1.5), ("unchanged", 1.5), ("changed-1pct", 2.0)):
        one, floor = ours(tree, step)
        if one and floor:
            aim(tree, step, f"{step}, times the bare work", one["wall"] / floor["wall"], one["cpu"] / max(floor["cpu"], 0.001), limit, "<")
    one, _ = ours(tree, "snapshot")
    if one:
        aim(tree, "snapshot", "a snapshot made and served, s", one["wall"], one["cpu"], 0.3, "<")
    for against, name in (("floor", "openssl on all cores"), ("raw", "bare open, read, hash on all cores")):
        one, bare = ours(tree, "verify", against)
        if one and bare:
            aim(tree, "verify", f"verify, part of the speed of {name}", bare["wall"] / one["wall"], bare["cpu"] / one["cpu"], 0.9, ">")
    own = (tree, "take-in") in best
    peaks = [(r["rss_mb"], step) for (t, step), tools in best.items() if t == tree for tool, r in tools.items() if tool == "assay"]
    if peaks:
        rss, step = max(peaks)
        aim(tree, step, f"peak memory, MB ({step})", rss, rss, 400 if own else 150, "<")

# Archives of one's own: by CPU seconds.
def times(tree, step, tool, limit, better, what=None):
    """What `tool` takes, in times of ours; or for `<` ours in times of it."""
    ours, theirs = best.get((tree, step), {}).get("assay"), best.get((tree, step), {}).get(tool)
    said = f"{step}: {tool} takes, times ours" if better == ">" else f"{step}: ours, times {what or tool}"
    if (tree, step, tool) in stopped and not theirs:
        # It waited for the disk, or computed: nobody knows.
        print(f"  open   {tree:10} {said:52} it was stopped after {stopped[tree, step, tool]:.0f} s of wall")
    if not ours or not theirs:
        return
    mine, other = max(ours["cpu"], 0.001), max(theirs["cpu"], 0.001)
    ratio = other / mine if better == ">" else mine / other
    holds = ratio >= limit if better == ">" else ratio <= limit
    print(f"  {'holds' if holds else 'FAILS'}  {tree:10} {said:52} {ratio:8.2f}, aim {better} {limit}")

def below(tree, step, limit):
    one = best.get((tree, step), {}).get("assay")
    if one:
        print(f"  {'holds' if one['cpu'] < limit else 'FAILS'}  {tree:10} {step + ', CPU s (wall ' + format(one['wall'], '.3f') + ')':52}  {one['cpu']:8.3f}, aim < {limit}")

published = [tree for tree in trees if (tree, "take-in") in best]
if published:
    print("\naims for archives of one's own, by CPU seconds")
for tree in published:
    big = tree == "meta63k"
    if tree == "real1k":
        times(tree, "take-in", "floor", 1.3, "<", what="hashing on all cores")
    elif not big:
        times(tree, "take-in", "apt-ftparchive", 3, ">")
        for tool in ("aptly", "reprepro", "reprepro-gz"):
            times(tree, "take-in", tool, 10, ">")
    if big:
        times(tree, "taken-and-published", "floor", 1, "<", what="hashing and xz -6")
    below(tree, "take-10", 0.05)
    below(tree, "publish-unchanged", 0.05)
    below(tree, "publish-1", 0.5 if big else 0.1)
    for tool in WRITE_XZ if big else ():
        times(tree, "publish-1", tool, 20, ">")
    times(tree, "check", "floor", 0.9, ">", what="openssl")
