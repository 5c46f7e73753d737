#!/usr/bin/env python3
"""Lines of JSON of inside.py -> a table, and last how many budgets were met."""

import json
import sys

budgets = met = 0


def figure(value, unit):
    return "" if value is None else f"{value:,.1f} {unit}" if value < 1000 else f"{value:,.0f} {unit}"


form = "{:52} {:>14}  {:>14} {:24} {:>6}  {}"
print(form.format("what", "ours", "peer", "", "ratio", "budget"))
for line in sys.stdin:
    row = json.loads(line)
    ours, theirs, budget = row["ours"], row["theirs"], row["budget"]
    ratio = None if not theirs else ours / theirs
    verdict = ""
    if budget is not None:
        value = ours if theirs is None else ratio
        good = value >= budget if row["higher"] else value <= budget
        budgets, met = budgets + 1, met + good
        sign = ">=" if row["higher"] else "<="
        verdict = f"{sign} {budget:g}{'' if theirs else ' ' + row['unit']}: " + ("met" if good else f"missed, {value / budget:.2f} of it")
    print(form.format(row["what"], figure(ours, row["unit"]), figure(theirs, row["unit"]), row["peer"],
                      "" if ratio is None else f"{ratio:.2f}", verdict).rstrip(), flush=True)
print(f"{met} of {budgets} budgets met")
sys.exit(0 if budgets else "table: nothing was measured")
