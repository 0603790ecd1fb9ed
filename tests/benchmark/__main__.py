"""All measurements in one run, as ratios: `make bench`. results.md keeps them with a description of the machine."""

import argparse
from pathlib import Path

import pandas as pd
from rich.console import Console

from tests.benchmark import attributions, blank_out, flow, prefix, rank_correlation, tables
from tests.benchmark.machine import machine

RESULTS = Path(__file__).with_name("results.md")


def main() -> None:
    """Measure, print each table as soon as it is ready, and save them all."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmark", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", nargs="+", type=int, default=flow.SIZES, help="tokens of the flow's graphs")
    parser.add_argument("--layers", nargs="+", type=int, default=(6, 12), help="layers of the flow's graphs")
    chosen = parser.parse_args()
    screen = Console(width=220)
    measurements = {
        "Tables 1 and 2, seconds by phase, 2,000 examples, the model trained": tables.table,
        "Blank-out: Captum's FeatureAblation's seconds over ours": blank_out.table,
        "Blank-out of SmolLM2-135M on the cached prefix: its seconds as a share of whole re-runs'": prefix.table,
        "Attributions, DistilBERT, 384 wide, 30 tokens, one thread": attributions.table,
        "Rank correlation: a scipy loop's seconds over ours": rank_correlation.table,
        "Maximum flow: largest error over random graphs, by kind": flow.error_table,
        "Maximum flow, one source: others' seconds over ours; beyond 6 layers texts are stacked": lambda: (
            flow.flow_table(chosen.sizes, chosen.layers, seconds=0.2)
        ),
    }
    text = [
        "# Benchmark\n",
        machine() + "\n",
        f"Written by `make bench`; flow with n = {chosen.sizes}, L = {chosen.layers}.\n",
    ]
    for title, measure in measurements.items():
        frame = measure()
        screen.print(flow.printed(frame, title))
        text += [f"## {title}\n", markdown(frame)]
        RESULTS.write_text("\n".join(text))
    screen.print(f"kept in {RESULTS.relative_to(Path.cwd()) if RESULTS.is_relative_to(Path.cwd()) else RESULTS}")


def markdown(frame: pd.DataFrame) -> str:
    """A frame as a Markdown table with three significant digits."""

    def shown(cell: object) -> str:
        if cell != cell:
            return ""
        return f"{cell:.3g}" if isinstance(cell, float) else str(cell)

    lines = [list(map(str, frame.columns)), ["---"] * len(frame.columns)]
    lines += [[shown(cell) for cell in line] for line in frame.itertuples(index=False)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


if __name__ == "__main__":
    main()
