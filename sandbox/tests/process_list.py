"""What runs on this machine, as /proc tells it. Linux only."""

from pathlib import Path


def parents() -> dict[int, int]:
    """Parent of every living process. A zombie is not living: it only waits to be counted."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # The name, in brackets, may hold anything, blanks too.
            state, parent, *_ = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if state not in "ZX":
            found[int(folder.name)] = int(parent)
    return found


def descendants(pid: int) -> set[int]:
    """Its children, and theirs."""
    everyone = parents()
    found: set[int] = set()
    generation = {pid}
    while generation:
        generation = {child for child, parent in everyone.items() if parent in generation}
        found |= generation
    return found


def still_alive(pids: set[int]) -> dict[int, str]:
    """Those that live, with their command lines."""
    alive = pids & parents().keys()
    return {pid: command_line(pid) for pid in alive}


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
    except OSError:
        return ""
