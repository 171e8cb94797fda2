#!/usr/bin/env python3
"""report.py HISTORY RUN: a table for each tree: medians, and the ratio to the bare work in the same run."""
import json, statistics, sys
from collections import OrderedDict

rows = [json.loads(line) for line in open(sys.argv[1])]
steps = OrderedDict()
for row in rows:
    if str(row.get("run")) == sys.argv[2] and row["rc"] == 0:
        steps.setdefault((row["tree"], row["step"]), OrderedDict()).setdefault(row["tool"], []).append(row)

def median(rows, what):
    return statistics.median(row[what] for row in rows)

for (tree, step), tools in steps.items():
    print(f"\n{tree} {step}")
    floor = tools.get("floor")
    for tool, runs in tools.items():
        wall, cpu = median(runs, "wall"), median(runs, "cpu")
        ratio = f"{wall / median(floor, 'wall'):6.2f} x wall {cpu / max(median(floor, 'cpu'), 0.001):6.2f} x cpu" if floor else ""
        noise = median(runs, "load_other")
        print(f"  {tool:14} wall {wall:8.3f} s  cpu {cpu:8.3f} s  {median(runs, 'rss_mb'):6.0f} MB  {ratio}"
              + (f"  (the machine was busy: {noise:.2f})" if noise > 0.15 else ""))
