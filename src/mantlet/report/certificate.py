"""Certificates in plain words, for the prosecutor: as a command prints them and as a report holds them."""

from __future__ import annotations

from typing import Any, Final

SUFFICES: Final = "Whether this suffices is for the prosecutor and the court to say."


def named(told: dict[str, Any]) -> str:
    """Which certificate it is: when its population was frozen, and by whom."""
    about = told["population"]
    return f"Frozen {about['at'][:16].replace('T', ' ')} by {about['actor']}, ledger entry {about['entry']}:"


def drawn(told: dict[str, Any]) -> str:
    """By what anybody can compute it again."""
    about, entry = told["population"], told["stated"]
    stated = f"stated in ledger entry {entry}, {told['ledger']}" if entry else "not stated in the ledger"
    return f"Population {about['digest']}, seed {about['seed']}; {stated}."


def sentences(told: dict[str, Any]) -> list[str]:
    """A certificate in plain words, for the prosecutor."""
    if told["void"]:
        return ["    This certificate is void and states nothing.", *(f"    {why}" for why in told["void"])]
    size, looked = told["population"]["size"], told["looked"]
    *more, last = told["targets"]
    graded = " or ".join(filter(None, (", ".join(more), last)))
    lines = _counted(told) if told["counts"] else _missed(told, graded)
    lines.append(
        f"Of {size:,} that were not settled before, {looked:,} were looked at in an order drawn by chance, and "
        f"{told['found']:,} of them graded {graded}. At {told['unseen']:,} nobody had a look that counts."
    )
    kinds = told["looked_at"]
    lines.append("Looks: " + ", ".join(f"{name} {kinds[name]:,}" for name in kinds) + ".")
    both = told["disagreement"]
    if both["seen_by_two"]:
        lines.append(
            f"Of {both['seen_by_two']:,} in the case that two officers graded, they differ on {both['differ']:,}."
        )
    lines += ["It rests on this:", *(f"    {each}" for each in told["assumptions"])]
    return [f"    {each}" for each in lines]


def _missed(told: dict[str, Any], graded: str) -> list[str]:
    lines = [
        f"With {told['confidence'] * 100:g} % confidence at most {told['missed_at_most']:,} pictures and clips that "
        f"officers would grade {graded} were missed."
    ]
    return [*lines, f"So {_share(told)} were found." if told["recall_at_least"] is not None else str(told["absent"])]


def _counted(told: dict[str, Any]) -> list[str]:
    words = {"still": "pictures", "moving": "clips"}
    lines = [f"With {told['confidence'] * 100:g} % confidence, all together, officers would grade:"]
    lines += [
        f"    {category}: at least {of['at_least']:,} and at most {of['at_most']:,} {words[kind]}"
        for category, kinds in told["counts"].items()
        for kind, of in kinds.items()
    ]
    if told["recall_at_least"] is not None:
        lines.append(f"So {_share(told)} lie where one is claimed, or were seen.")
    return lines


def _share(told: dict[str, Any]) -> str:
    return f"at least {int(told['recall_at_least'] * 1000) / 10:g} % of all such"
