"""`nnfast info`: what is used on this machine, and why.

In: the configuration of the running process. Out: text or JSON.
"""

from __future__ import annotations

import json
import platform
import sys

from nnfast import config, environment


def run(as_json: bool) -> int:
    """Print it; returns 0."""
    facts = config.config() | {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "environment": environment.settings(),
    }
    if as_json:
        json.dump(facts, sys.stdout, indent=2)
        print()
        return 0
    config.show_config()
    print(f"  Python {facts['python']} on {facts['platform']}")
    print("  Environment variables:")
    for name, meaning in environment.VARIABLES.items():
        print(f"    {name}={facts['environment'].get(name, '')}  ({meaning})")
    return 0
