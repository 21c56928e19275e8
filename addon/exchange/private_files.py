"""Opens files that may hold prompts, so that only their owner can read them."""

import errno
import os
import stat
from contextlib import suppress
from io import FileIO
from pathlib import Path

_FLAGS = os.O_WRONLY | os.O_APPEND | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)


def append_to(path: Path, *, is_new: bool = False) -> FileIO:
    """Open a file to append bytes without a buffer; create it with mode 0600 if it is missing.

    Follows a symbolic link only to a device or pipe, such as `/dev/stderr`: a link to a file could
    lead to any file of the user. `is_new` refuses existing files. Raises OSError.
    """
    created = os.O_CREAT | (os.O_EXCL if is_new else 0)
    try:
        descriptor = os.open(path, _FLAGS | created | _NO_LINKS, 0o600)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EMLINK) or is_new:  # EMLINK: FreeBSD
            raise
        descriptor = os.open(path, _FLAGS)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise
    return FileIO(descriptor, "ab")


def write_whole(file: FileIO, data: bytes | memoryview) -> None:
    """Append all of `data` or, on a full disk, nothing. Raises OSError."""
    end = os.fstat(file.fileno()).st_size
    try:
        while data:
            data = data[file.write(data) :]
    except OSError:
        with suppress(OSError):  # not a file
            file.truncate(end)
        raise


def make_folder(path: Path) -> None:
    """Create a folder and its missing parents, each with mode 0700. Raises OSError."""
    for folder in reversed((path, *path.parents)):
        if not folder.is_dir():
            folder.mkdir(mode=0o700, exist_ok=True)
