"""What the site's benchmark found, as a table and as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

Results = Mapping[str, Any]
NAMES = {"curve": "adapters (published)", "full": "full fine-tuning"}
COLOURS = {"curve": "tab:blue", "full": "tab:orange"}


def print_report(results: Results) -> None:
    """Print everything that was measured."""
    print(f"settings: {results['settings']}")
    never = float(np.mean(results["never"]))
    print(f"J&F on {len(results['never'])} unseen volumes, never trained: {never:.3f}")
    head = f"{'labels':>6}{'J&F':>7}{'gain':>8}{'seconds':>9}{'processor s':>13}{'peak MiB':>10}{'MB':>6}"
    for arm, name in NAMES.items():
        if not results.get(arm):
            continue
        print(f"\n{name}\n{head}")
        for one in results[arm]:
            learned = float(np.mean(one["learned"]))
            cost = f"{one['seconds']:>9.0f}{one['processor_seconds']:>13.0f}{one['peak_mib']:>10.0f}"
            told = f"  {_standing(one)}" if "published" in one else ""
            print(f"{one['labels']:>6}{learned:>7.3f}{learned - never:>+8.3f}{cost}{one['megabytes']:>6.1f}{told}")
    _print_known(results.get("known", {}))
    if "real" in results:
        real = results["real"]
        print(f"\n{real['case']}, second half; {_standing(real)}")
        for label, before in real["never"].items():
            after = real["learned"][label]
            print(f"{label:<28}{before:>7.3f}{after:>7.3f}{after - before:>+8.3f}")
    if "latency" in results:
        idle, beside, stopped = (results["latency"][name] for name in ("idle", "training", "stopped"))
        print(f"\ninference: {idle:.2f} s idle, {beside:.2f} s beside a training ({beside / idle:.2f} times)")
        print(f"DELETE /train/: ended after {stopped:.1f} s")


def differences(known: Mapping[str, Mapping[str, float]], arm: str) -> dict[str, float]:
    """J&F of an arm minus that of the network as it was, by CASE/LABEL."""
    return {name: known[arm][name] - before for name, before in known["never"].items()}


def draw(results: Results, picture: Path) -> None:
    """J&F against accepted labels, and, where it was measured, the change on known looks."""
    known = results.get("known", {})
    figure = Figure(figsize=(9 if known else 5, 3.6), layout="constrained")
    panels = figure.subplots(1, 2 if known else 1, squeeze=False)[0]
    never = float(np.mean(results["never"]))
    panels[0].axhline(never, color="0.5", linestyle="--", label="never trained")
    for arm, name in NAMES.items():
        if results.get(arm):
            labels = [0, *(one["labels"] for one in results[arm])]
            means = [never, *(float(np.mean(one["learned"])) for one in results[arm])]
            panels[0].plot(labels, means, marker="o", color=COLOURS[arm], label=name)
            for one in results[arm]:
                panels[0].plot(
                    [one["labels"]] * len(one["learned"]), one["learned"], ".", color=COLOURS[arm], alpha=0.4
                )
    panels[0].set(xlabel="accepted volumes", ylabel="J&F on unseen volumes", ylim=(0, 1))
    panels[0].legend(loc="upper left")
    if known:
        arms = [("adapters", "curve"), ("full", "full")]
        _draw_known(panels[1], known, [(arm, like) for arm, like in arms if arm in known])
    figure.savefig(picture, dpi=120)


def _draw_known(axes: Any, known: Mapping[str, Mapping[str, float]], arms: Sequence[tuple[str, str]]) -> None:
    for place, (arm, like) in enumerate(arms):
        changes = list(differences(known, arm).values())
        axes.bar(place, np.mean(changes), color=COLOURS[like], width=0.5)
        axes.plot([place] * len(changes), changes, "k.", alpha=0.4)
    axes.axhline(0, color="0.5", linewidth=0.8)
    axes.set_xticks(range(len(arms)), [NAMES[like] for _, like in arms])
    axes.set(ylabel="change of J&F on looks that were known")


def _print_known(known: Mapping[str, Mapping[str, float]]) -> None:
    for arm in known:
        if arm == "never":
            print(f"\nknown looks: J&F {np.mean(list(known[arm].values())):.4f} over {len(known[arm])} labels")
            continue
        changes = differences(known, arm)
        print(f"{arm}: {np.mean(list(changes.values())):+.4f} in the mean")
        for name, change in sorted(changes.items(), key=lambda item: item[1]):
            if abs(change) >= 0.01:
                print(f"  {name:<48}{change:+.3f}")


def _standing(one: Mapping[str, Any]) -> str:
    return ("published" if one["published"] else "a candidate") + (", provisional" if one["provisional"] else "")
