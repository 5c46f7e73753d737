#!/usr/bin/python3
"""Engines that misbehave, one at a time:  hog KIND"""

import json
import os
import signal
import sys
import time

DONE = json.dumps({"findings": [], "summary": "done"})
MEGABYTE = b"x" * (1 << 20)


def memory():
    kept = []
    while True:
        kept.append(bytearray(1 << 20))


def bomb():
    """Each child does the same, in a session of its own half of the time."""
    while True:
        try:
            if os.fork() == 0 and os.getpid() % 2:
                os.setsid()
        except OSError:
            pass


def spinner():
    for _ in range(3):
        if os.fork() == 0:
            break
    while True:
        pass


def leave():
    """A daemon by the book: two forks, a session of its own, none of our files open."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() != 0:
            os._exit(0)
        for descriptor in range(3):
            os.close(descriptor)
        time.sleep(600)
        os._exit(0)


def daemon():
    for _ in range(5):
        leave()
    print(DONE)


def holder():
    """Like `daemon`, but its child holds standard output open."""
    print(DONE, flush=True)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(600)
        os._exit(0)


def stubborn():
    """Ignores whatever asks it to go, and so do its children, each in a session of its own."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    for _ in range(5):
        leave()
    time.sleep(600)


def flood(to=1):
    """A gigabyte, without a newline."""
    for _ in range(1024):
        os.write(to, MEGABYTE)


def lines():
    """The same as lines."""
    for _ in range(1024):
        os.write(1, b"y" * 63 + b"\n" + (b"x" * 127 + b"\n") * 8191)


def errors():
    flood(2)
    os.write(2, b"\nthe last words\n")
    sys.exit(3)


def stall():
    time.sleep(600)


def mute():
    """Says something, then nothing more."""
    os.write(1, b"{")
    time.sleep(600)


def scratch():
    """Files of 16 MB until something stops it; 2 GB are enough."""
    try:
        for number in range(128):
            with open(os.path.join(os.environ["TMPDIR"], f"hog-{number}"), "wb") as file:
                for _ in range(16):
                    file.write(MEGABYTE)
                os.fsync(file.fileno())
    except OSError as error:
        print(f"stopped after {number * 16} MB: {error.strerror}", file=sys.stderr)
        sys.exit(1)
    print(DONE)


def main():
    kind = sys.argv[1]
    sys.stdin.buffer.read()
    globals()[kind]()


if __name__ == "__main__":
    main()
