"""In place of python: has the fork server run a tool of ours or mmdet's, or torchrun; the real Python runs all else.

Usage: forked_python.py SOCKET CALL [what follows `python`]. CALL is a function of the tool to call with the arguments
in place of running it, or empty. Standard input, output and error, working directory, environment, the mounts that
`unshare` made, SIGTERM, SIGINT and exit code are passed on, so that whoever starts it takes it for the tool. It starts
in 0.05 s: it imports nothing large.
"""

import json
import os
import signal
import socket
import sys

REPO = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))  # noqa: PTH120
# The first gives the right to enter the second. Other systems than Linux have none.
NAMESPACES = ('/proc/self/ns/user', '/proc/self/ns/mnt')
SIGNALS = (signal.SIGTERM, signal.SIGINT)


def is_served(words: list[str]) -> bool:
    """Whether these are words after `python` that the server takes."""
    if words[:2] == ['-m', 'torch.distributed.run']:
        return True
    if not words or not words[0].endswith('.py'):
        return False
    return os.path.realpath(words[0]).startswith(REPO + os.sep) or '/mmdet/.mim/tools/' in words[0]


def main() -> None:
    path, call, *words = sys.argv[1:]
    served = words[1:] if words[:1] == ['-u'] else words
    if not is_served(served):
        os.execv(sys.executable, [sys.executable, *words])
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        own = [os.open(path, os.O_RDONLY) for path in NAMESPACES if os.path.exists(path)]  # noqa: PTH110
        socket.send_fds(connection, [b'.'], [0, 1, 2, *own])
        request = dict(arguments=served, cwd=os.getcwd(), variables=dict(os.environ), call=call or None)  # noqa: PTH109
        connection.sendall(json.dumps(request).encode() + b'\n')
        answers = connection.makefile('r')
        child = int(answers.readline())
        for number in SIGNALS:
            signal.signal(number, lambda number, _: os.kill(child, number))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        code = int(answers.readline() or -signal.SIGKILL)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    sys.exit(code)


if __name__ == '__main__':
    main()
