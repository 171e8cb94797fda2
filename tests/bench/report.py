#!/usr/bin/env python3
"""report.py HISTORY RUN: a table for each tree and step, with the ratio to the bare work in the same run; then the aims.

Of several turns the quickest counts, in wall and in CPU seconds each; `busy` is what the rest of the machine took meanwhile, as a
share of all cores, in the turn that counts. A tool that was stopped shows `>` and the seconds that it had."""
import json, sys
from collections import OrderedDict

ORDER = ["first-sync", "unchanged", "snapshot-make", "snapshot-publish", "snapshot", "changed-1pct", "verify"]
PEERS = ["aptly", "debmirror", "reprepro-gz", "reprepro"]

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

# A snapshot that is served: what makes it, and what publishes it where that is another step.
for tree in OrderedDict.fromkeys(tree for tree, _ in best):
    made, published = best.get((tree, "snapshot-make"), {}), best.get((tree, "snapshot-publish"), {})
    for tool, one in made.items():
        both = dict(one)
        if tool in published:
            other = published[tool]
            both.update(wall=one["wall"] + other["wall"], cpu=one["cpu"] + other["cpu"], rss_mb=max(one["rss_mb"], other["rss_mb"]))
        best.setdefault((tree, "snapshot"), OrderedDict())[tool] = both

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
    peaks = [(r["rss_mb"], step) for (t, step), tools in best.items() if t == tree for tool, r in tools.items() if tool == "assay"]
    if peaks:
        rss, step = max(peaks)
        aim(tree, step, f"peak memory, MB ({step})", rss, rss, 150, "<")
