"""An agent's loop: answer, score, fall back to a better model, and pause for a person where none is good enough.

The models are a stand-in of a few lines; ask a real one in `ask`.
"""

from __future__ import annotations

import sys
from typing import Literal

from flowtell import RunInput, flow, get_run_logger, measure, pause_flow_run, task

MODELS = ("small", "large")
KNOWN = {
    "small": {"how many days has a week": "seven"},
    "large": {"how many days has a week": "A week has seven days.", "when was the last leap year": "In 2024."},
}


class Review(RunInput):
    """No model's answer was good enough: say how it goes on."""

    verdict: Literal["send", "rewrite", "drop"]
    text: str = ""


@task(retries=2, retry_delay_seconds=0.5)
def ask(model: str, question: str) -> str:
    return KNOWN[model].get(question.lower().rstrip("?"), "I do not know.")


@task
def score(answer: str) -> float:
    """Whole sentences that claim to know are good."""
    knows = 0.0 if "not know" in answer else 0.6
    return knows + (0.4 if answer[0].isupper() and answer.endswith(".") else 0.0)


@flow
def answer(question: str, enough: float = 0.9) -> str | None:
    """From the cheapest model up; a person decides about what is left."""
    log, best, found = get_run_logger(), "", -1.0
    for model in MODELS:
        said = ask(model, question)
        points = score(said)
        log.info("%s scores %.1f: %s", model, points, said)
        best, found = max((best, found), (said, points), key=lambda one: one[1])
        if found >= enough:
            break
    measure("score", found)
    return best if found >= enough else decided(best)


def decided(best: str) -> str | None:
    asked = Review.with_initial_data(description=f"The best answer so far: **{best}**", text=best)
    review = pause_flow_run(wait_for_input=asked, timeout="3d")
    return {"send": best, "rewrite": review.text, "drop": None}[review.verdict]


if __name__ == "__main__":
    print(answer(" ".join(sys.argv[1:]) or "When was the last leap year?"))
