"""The AWS CLI without its start: one process has it loaded and is forked for each call.

A start of the CLI takes longer than the rest of a call; a plan makes hundreds of calls. The code that runs, what it
reads of the environment, and what it sends and prints are the CLI's own.
"""

import array
import ast
import functools
import os
import signal
import socket
import sys
from contextlib import contextmanager

_CLIENT = """#!{python} -SE
import array, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({path!r})
    told = repr((sys.argv[1:], os.getcwd(), dict(os.environ))).encode()
    server.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))])
    server.sendall(told)
    server.shutdown(socket.SHUT_WR)
    sys.exit(int(server.recv(4) or 255))
"""


@contextmanager
def warm(folder):
    """Give a folder for the PATH whose `aws` is the CLI, loaded; while the context lasts."""
    folder.mkdir(parents=True)
    path = str(folder / "socket")
    (folder / "aws").write_text(_CLIENT.format(python=sys.executable, path=path))
    (folder / "aws").chmod(0o755)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        server.set_inheritable(True)
        process = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, __file__, str(server.fileno())])
    try:
        yield folder
    finally:
        os.kill(process, signal.SIGTERM)
        os.waitpid(process, 0)


def _load():
    """Import the CLI and read what it needs of the services of most calls; return its entry point."""
    import awscli.clidriver
    import botocore.loaders
    import botocore.session

    read = functools.cache(botocore.loaders.JSONFileLoader().load_file)
    botocore.loaders.JSONFileLoader.load_file = lambda _, path: read(path)
    session = botocore.session.Session()
    for service in ("cloudtrail", "ec2", "iam", "organizations", "sts"):
        session.create_client(service, "us-east-1", aws_access_key_id="none", aws_secret_access_key="none")
    return awscli.clidriver.main


def _answer(connection, main):
    """Be the CLI of one call: with the caller's arguments, folder, environment and files."""
    _, handed, _, _ = connection.recvmsg(1, socket.CMSG_LEN(3 * array.array("i").itemsize))
    for place, opened in enumerate(array.array("i", handed[0][2])):
        os.dup2(opened, place)
    with connection.makefile("rb") as told:
        arguments, folder, environment = ast.literal_eval(told.read().decode())
    os.chdir(folder)
    own = {"AWS_DATA_PATH": os.environ["AWS_DATA_PATH"]}  # set when the CLI is imported
    os.environ.clear()
    os.environ.update(own | environment)
    sys.argv[1:] = arguments
    try:
        code = main()
    except SystemExit as left:
        code = left.code
    sys.stdout.flush()
    sys.stderr.flush()
    connection.sendall(str(code or 0).encode())


if __name__ == "__main__":
    run = _load()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(fileno=int(sys.argv[1])) as listening:
        while True:
            asked, _ = listening.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                listening.close()
                try:
                    _answer(asked, run)
                finally:
                    os._exit(0)
            asked.close()
