"""What fits in this machine's memory, asked before it is full."""

import os


def check_room_in_memory(wanted: int, what: str, remedy: str) -> None:
    """Raise ValueError if so many bytes are more than this machine's memory.

    Parameters
    ----------
    wanted : int
    what : str
        What takes them, as the beginning of a sentence.
    remedy : str
    """
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if wanted > there:
        raise ValueError(
            f"{what} take {wanted / 1e9:,.0f} GB, more than the {there / 1e9:,.0f} GB of memory here: "
            f"{remedy}"
        )
