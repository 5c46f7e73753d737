#!/usr/bin/env python3
"""history.py - make a git repository with thousands of commits of real code, and print its path.

Usage:  CICDCTL_TEST_HISTORY=$(tests/anchors/history.py) cargo test --test anchors

No registry has histories, but each has many versions of a package. What changed from one version of a package to the
next is committed folder by folder, so a commit is what somebody really changed in a few files: JavaScript, TypeScript,
C++, Python, CSS, JSON, Markdown; minified files with lines of a megabyte; new, deleted and moved files.

Versions are pinned, so the commits are the same everywhere. The repository goes to
${XDG_CACHE_HOME:-~/.cache}/cicdctl-tests/history-N; a second run finds it there. Two runs at once are fine: each works
aside and moves its result into place.

Needs: python3, npm, git, about 150 MB of disk; about a minute, the first time.
"""

import concurrent.futures
import io
import os
import subprocess
import sys
import tarfile
import tempfile

# Raised when anything below changes what comes out.
EDITION = 1

PACKAGES = {
    "eslint": [f"8.{minor}.0" for minor in range(58)],
    "express": "4.0.0 4.2.0 4.4.0 4.6.0 4.8.0 4.9.0 4.10.0 4.11.0 4.12.0 4.13.0 4.14.0 4.15.0 4.16.0 4.17.0 4.18.0"
    " 4.19.0 4.20.0 4.21.0 5.0.0 5.1.0".split(),
    "node-gyp": "5.0.0 6.0.0 7.0.0 7.1.0 8.0.0 8.1.0 8.2.0 8.3.0 8.4.0 9.0.0 9.1.0 9.2.0 9.3.0 9.4.0 10.0.0 10.1.0".split(),
    "nan": "2.0.0 2.2.0 2.4.0 2.6.0 2.8.0 2.10.0 2.12.0 2.14.0 2.15.0 2.17.0 2.18.0 2.20.0".split(),
    "lodash": "4.0.0 4.3.0 4.6.0 4.10.0 4.13.0 4.15.0 4.17.0 4.17.21".split(),
    "webpack": "5.0.0 5.10.0 5.20.0 5.30.0 5.40.0 5.50.0 5.60.0 5.70.0 5.80.0 5.90.0".split(),
    "moment": "2.20.0 2.22.0 2.24.0 2.26.0 2.29.0".split(),
    "bootstrap": "5.0.0 5.1.0 5.2.0 5.3.0".split(),
}

# At most so many files in a commit.
FILES = 6


def download(packages, to):
    """The archives of a package's versions."""
    name, versions = packages
    place = os.path.join(to, name)
    os.mkdir(place)
    for some in range(0, len(versions), 15):
        specs = [f"{name}@{version}" for version in versions[some : some + 15]]
        command = ["npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", place, *specs]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=place)
    return [os.path.join(place, f"{name}-{version}.tgz") for version in versions]


def files(archive):
    """Path → (mode, content) of the regular files in an archive, without its top folder."""
    found = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isfile():
                path = member.name.split("/", 1)[1]
                mode = b"100755" if member.mode & 0o100 else b"100644"
                found[path] = (mode, tar.extractfile(member).read())
    return found


def groups(paths, before, after):
    """Neighbours in the tree, a few at a time; what went from one folder to another stays together."""
    gone = {os.path.basename(path): path for path in paths if path not in after}
    pairs = {path: gone.get(os.path.basename(path)) for path in paths if path not in before}
    moved = {old for old in pairs.values() if old}
    group = []
    for path in sorted(path for path in paths if path not in moved):
        if group and (len(group) >= FILES or os.path.dirname(path) != os.path.dirname(group[0])):
            yield group
            group = []
        group.append(path)
        old = pairs.get(path)
        if old in moved:
            moved.remove(old)
            group.append(old)
    if group:
        yield group


def quoted(path):
    return b'"' + b"".join(b"\\%03o" % byte for byte in path.encode()) + b'"'


def commits(archives):
    """The stream for git fast-import."""
    count = 0
    for name, versions in archives.items():
        before = {}
        for archive in versions:
            after = files(archive)
            changed = [path for path in before.keys() | after.keys() if before.get(path) != after.get(path)]
            # The first version comes whole: thousands of new files in a row would be no fair sample.
            for group in [changed] if not before else groups(changed, before, after):
                count += 1
                message = f"{os.path.basename(archive)[:-4]}: {group[0]}".encode()
                yield b"commit refs/heads/main\n"
                yield b"committer a <a@example.org> %d +0000\n" % (1600000000 + count)
                yield b"data %d\n%s\n" % (len(message), message)
                for path in group:
                    full = quoted(f"{name}/{path}")
                    if path in after:
                        mode, content = after[path]
                        yield b"M %s inline %s\ndata %d\n" % (mode, full, len(content))
                        yield content
                        yield b"\n"
                    else:
                        yield b"D %s\n" % full
                yield b"\n"
            before = after


def main():
    cache = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "cicdctl-tests")
    home = os.path.join(cache, f"history-{EDITION}")
    if not os.path.exists(os.path.join(home, "HEAD")):
        os.makedirs(cache, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix="history-") as aside:
            to = os.path.join(aside, "archives")
            os.mkdir(to)
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                done = pool.map(lambda packages: download(packages, to), PACKAGES.items())
                archives = dict(zip(PACKAGES, done))
            repository = os.path.join(aside, "history.git")
            subprocess.run(["git", "init", "--quiet", "--bare", "-b", "main", repository], check=True)
            command = ["git", "-C", repository, "fast-import", "--quiet", "--done"]
            git = subprocess.Popen(command, stdin=subprocess.PIPE)
            with io.BufferedWriter(git.stdin) as stream:
                for part in commits(archives):
                    stream.write(part)
                stream.write(b"done\n")
            if git.wait() != 0:
                sys.exit("history.py: git fast-import failed")
            try:
                os.rename(repository, home)
            except OSError:
                # Another run was faster; its result is the same.
                if not os.path.exists(os.path.join(home, "HEAD")):
                    raise
    print(home)


main()
