"""Prints published advisories on the packages that users install; fails for those not in the list.

`advisories.txt` beside it lists the accepted ones: an id and the reason on each line. Without a
network there is nothing to print, and nothing fails.
"""

import json
import os
import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

INDEX = os.environ.get("ADVISORIES_INDEX", "https://pypi.org/pypi")
TIMEOUT_S = 10
ACCEPTED = Path(__file__).with_suffix(".txt")


def installed(name: str, found: dict[str, str]) -> dict[str, str]:
    """Add a package and all that it requires, without extras, to `found`: versions by name."""
    name = re.sub(r"[-_.]+", "-", name).lower()
    try:
        package = distribution(name)
    except PackageNotFoundError:  # for another system
        return found
    if name not in found:
        found[name] = package.version
        for requirement in package.requires or ():
            if "extra ==" not in requirement and (word := re.match(r"[\w.-]+", requirement)):
                installed(word[0], found)
    return found


def advisories(name: str, version: str) -> Iterator[tuple[set[str], str]]:
    """The ids of each advisory, and a line about it."""
    with urlopen(f"{INDEX}/{name}/{version}/json", timeout=TIMEOUT_S) as response:
        vulnerabilities = json.load(response).get("vulnerabilities") or []
    for each in vulnerabilities:
        ids = {each["id"], *each.get("aliases", ())}
        fixed = ", ".join(each.get("fixed_in") or ()) or "none"
        summary = each.get("summary") or each.get("details", "")[:100]
        yield ids, f"{name} {version}: {' '.join(sorted(ids))}, fixed in {fixed}: {summary}"


def main() -> int:
    lines = (line for line in ACCEPTED.read_text().splitlines() if not line.startswith("#"))
    accepted = dict(line.split(maxsplit=1) for line in lines if line)
    is_fine, unknown = True, []
    for name, version in sorted(installed("llm-interactive-proxy", {}).items()):
        try:
            for ids, line in advisories(name, version):
                reason = next((accepted[each] for each in ids if each in accepted), None)
                print(f"{line}\n  {f'accepted: {reason}' if reason else 'NOT ACCEPTED'}")
                is_fine &= reason is not None
        except HTTPError as error:  # the index does not have it, or is not PyPI
            unknown.append(f"{name} ({error.code})")
        except (URLError, OSError, ValueError) as error:
            print(f"Advisories cannot be looked up: {error}")
            break
    if unknown:
        print(f"The index has no advisories for {len(unknown)} packages: {', '.join(unknown)}")
    return 0 if is_fine else 1


if __name__ == "__main__":
    sys.exit(main())
