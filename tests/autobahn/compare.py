"""Holds what the Autobahn testsuite found against what is expected. Usage: compare.py EXPECTED MODE PATTERN... -- INDEX...

MODE is `check`, or `bless` to write the findings into EXPECTED, a JSON object from the number of a case to its verdict, the
verdict on its end, and the close code that the server sent. PATTERN says which cases were to be run (`12.*`); one of them
that did not run is a difference too. INDEX are the files index.json of the suite's reports.
"""

import json
import sys
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path

GOOD = {"OK", "INFORMATIONAL"}


def order(case: str) -> list[int]:
    return [int(part) for part in case.split(".")]


def main() -> int:
    expected_file, mode, *rest = sys.argv[1:]
    at = rest.index("--")
    patterns, indexes = rest[:at], rest[at + 1 :]
    found = {}
    for index in indexes:
        for cases in json.loads(Path(index).read_text()).values():
            for case, result in cases.items():
                found[case] = f"{result['behavior']} {result['behaviorClose']} {result['remoteCloseCode']}"
    path = Path(expected_file)
    expected = json.loads(path.read_text()) if path.exists() else {}
    if mode == "bless":
        expected = {case: verdict for case, verdict in expected.items() if case not in found} | found
        lines = ",\n".join(f'  "{case}": "{expected[case]}"' for case in sorted(expected, key=order))
        path.write_text(f"{{\n{lines}\n}}\n")
    wanted = {case for case in expected if any(fnmatch(case, pattern) for pattern in patterns)}
    differences = 0
    for case in sorted(wanted | found.keys(), key=order):
        here, there = found.get(case, "did not run"), expected.get(case, "nothing")
        if here != there:
            differences += 1
            print(f"{case}: expected {there}, found {here}")
    verdicts = Counter(verdict.split()[0] for verdict in found.values())
    shown = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
    bad = sum(count for verdict, count in verdicts.items() if verdict not in GOOD)
    print(f"{len(found)} cases: {shown}; {bad} neither OK nor INFORMATIONAL; {differences} different from what is expected")
    return 1 if differences or not found else 0


if __name__ == "__main__":
    sys.exit(main())
