"""Measures tokentape, the C floor and its peers, and writes results.json, README.md and plots/.

    make bench [ARGS='--quick --only a,b --systems tokentape-sse,nchan-sse --rounds 1']

The whole run takes about twenty minutes and replaces what is in benchmarks/. A run of less than everything (--quick,
--only, --systems, --rounds) is written to .bench/partial, unless --out says otherwise.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from harness import readme, results
from harness.runner import UsageError, Wanted, run
from systems.registry import SYSTEMS

ROOT = Path(__file__).resolve().parent.parent
BENCHMARKS = ROOT / "benchmarks"


def names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is less than one")
    return value


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="run.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", type=names, default=(), metavar="A,B", help="workloads: a–h, and l; default: all")
    parser.add_argument("--systems", type=names, default=(), metavar="X,Y", help="besides the floors; default: all")
    parser.add_argument("--rounds", type=count, metavar="N", help="of everything; default: 1 to 3, as it is needed")
    parser.add_argument("--quick", action="store_true", help="a few systems for three minutes, to see that all works")
    parser.add_argument("--no-plots", action="store_true", help="leave out the plots")
    parser.add_argument("--report", action="store_true", help="measure nothing: tables and plots from the results")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where to; see above")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    wanted = Wanted(quick=options.quick, only=options.only, systems=options.systems, rounds=options.rounds)
    partial: Path = ROOT / ".bench" / "partial"
    try:
        if options.report:
            out = options.out or BENCHMARKS
            found = results.load(out / "results.json")
        else:
            # A run of everything takes the place of the last one only when it has come to its end.
            found = run(ROOT, SYSTEMS, wanted, partial / "results.json")
            out = options.out or (BENCHMARKS if wanted.mode == "full" and not found.interrupted else partial)
            results.save(found, out / "results.json")
    except UsageError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except FileNotFoundError as error:
        print(f"bench: no results in {out.name}/: {error.strerror}", file=sys.stderr)
        return 2
    readme.write(found, out / "README.md", template=BENCHMARKS / "README.md")
    print(readme.verdict(found))
    if not options.no_plots:
        print(readme.draw(out, ROOT / ".bench" / "venv" / "bin" / "python"))
    print(f"written: {out.resolve().relative_to(ROOT) if out.resolve().is_relative_to(ROOT) else out}/")
    return 130 if found.interrupted else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
