"""Run commands in forks of one process per build that has imported what they need: imports take longer than most runs.

Each command of a build, `noisy-digits run …`, asks that process for a fork, which becomes the command; before it starts
a thread it forks once more, for the kernel of its notebook. Whatever fails, the command runs as it would without.
"""

import contextlib
import gc
import importlib
import json
import os
import secrets
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from noisy_digits._environment import announce_warm_process, find_warm_process, kernel_variables

PATIENCE_S = 10
"""How long the warm process waits for a command to say what it is."""
START_PATIENCE_S = 120
"""How long a command waits for its fork, the first one for the imports, before it starts cold."""
ACCEPTED = b"accepted"
MAX_MESSAGE = 2**20
CREDENTIALS = struct.Struct("3i")


@dataclass
class ForkedKernel:
    """A fork that waits to become a notebook's kernel; it ends if this process does. Offers what ``Popen`` offers."""

    pid: int
    pipe: int
    returncode: int | None = None
    stdin = stdout = stderr = None

    def start(self, arguments: Sequence[str], env: Mapping[str, str]) -> None:
        """Let it become the kernel, with ipykernel's ``arguments``, in this process's folder."""
        with os.fdopen(self.pipe, "w") as pipe:
            json.dump(_describe_command(arguments, env), pipe)

    def poll(self) -> int | None:
        """Return its exit status, or None while it runs."""
        return self.wait(os.WNOHANG)

    def wait(self, options: int = 0) -> int | None:
        """Wait for its end and return its exit status."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, options)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


_connection: socket.socket | None = None
"""In a fork: the connection to the command that it executes."""
_kernels: list[ForkedKernel] = []


def take_kernel() -> ForkedKernel | None:
    """Return the fork that waits to become a kernel; None if there is none left, or never was one."""
    return _kernels.pop() if _kernels else None


def end_with_starter() -> None:
    """Terminate this process, and with it its kernel, as soon as the process that started it has ended."""
    parent = os.getppid()

    def watch() -> None:
        if _connection:
            with contextlib.suppress(OSError):
                _connection.recv(1)
        else:
            while os.getppid() == parent:
                time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def start_server(imports: Iterable[str]) -> None:
    """Start the warm process of a build, which imports nothing until it is asked for a fork; it ends with this process.

    ``imports`` are statements such as "from noisy_digits import training". There is none on systems other than Linux.
    """
    if not hasattr(os, "pidfd_open"):  # of Linux
        return
    address = f"noisy-digits-{os.getpid()}-{secrets.token_hex(16)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(f"\0{address}")  # without a file, so that nothing is left of it
        listener.listen(socket.SOMAXCONN)  # all wait while the first one's modules are imported
        server = subprocess.Popen(
            [sys.executable, "-m", __name__, str(os.getpid()), str(listener.fileno()), *sorted(imports)],
            pass_fds=[listener.fileno()],
            env={**os.environ, **kernel_variables(), "MPLBACKEND": "module://matplotlib_inline.backend_inline"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # a command brings its own streams
        )
    announce_warm_process(f"{address}-{server.pid}")


def run_warm(arguments: Sequence[str]) -> int | None:
    """Execute a command in a fork of the build's warm process and return its exit status.

    Returns None where there is no warm process, or none that answers, which it says.
    """
    if not (announced := find_warm_process()):
        return None
    address, _, server = announced.rpartition("-")
    request = json.dumps(_describe_command(arguments, os.environ)).encode()
    try:
        build = os.pidfd_open(int(address.split("-")[2]))
    except ProcessLookupError:
        return 1  # the build has ended
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.settimeout(START_PATIENCE_S)
        try:
            connection.connect(f"\0{address}")
            if _peer_uid(connection) != os.getuid():
                raise PermissionError("it belongs to somebody else")
            socket.send_fds(connection, [request], [1, 2])
            if (answer := connection.recv(MAX_MESSAGE)) != ACCEPTED:
                raise ConnectionError(answer.decode() or "it does not answer")
        except OSError as error:
            if build in select.select([build], [], [], 0)[0]:
                return 1  # the build has ended, and with it the warm process
            if isinstance(error, TimeoutError):  # it is stopped, or hangs: no other run shall wait for it
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(server), signal.SIGKILL)
            print(f"noisy-digits: the build's warm process is gone ({error}); this run starts cold", file=sys.stderr)
            return None
        connection.settimeout(None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the fork, too, which ends in good order
        if connection not in select.select([connection, build], [], [])[0]:
            return 1  # the build has ended, and with this process the fork will
        if status := connection.recv(1):
            return status[0]
        print(f"noisy-digits: {' '.join(arguments)}: was killed, or memory ran out", file=sys.stderr)
        return 1


def serve(build_pid: int, listener: socket.socket, imports: Sequence[str]) -> None:
    """Answer commands until the build, the process ``build_pid``, ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    build = os.pidfd_open(build_pid)
    imported_at: float | None = None
    while build not in select.select([listener, build], [], [])[0]:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError, ValueError), contextlib.ExitStack() as streams:
            if _peer_uid(connection) != os.getuid():
                continue
            connection.settimeout(PATIENCE_S)
            message, received, _, _ = socket.recv_fds(connection, MAX_MESSAGE, 2)
            connection.settimeout(None)
            for stream in received:
                streams.callback(os.close, stream)
            request = json.loads(message)
            if imported_at is None:
                imported_at = _find_last_change()
                _import(imports)
            if reason := _find_obstacle(imported_at):
                connection.sendall(reason)
            elif os.fork() == 0:
                listener.close()
                os.close(build)
                _become_command(connection, request, received)


def _find_obstacle(imported_at: float) -> bytes | None:
    """Return why this process must not be forked, if it must not."""
    if sum(1 for _ in Path("/proc/self/task").iterdir()) > 1:
        return b"an imported module has started a thread"
    return b"the package has changed since it was imported" if _find_last_change() > imported_at else None


def _find_last_change() -> float:
    """Return when a module of this package was changed last, in seconds since the epoch."""
    return max(path.stat().st_mtime for path in Path(__file__).parents[1].rglob("*.py"))


def _describe_command(arguments: Sequence[str], env: Mapping[str, str]) -> dict[str, Any]:
    return {"arguments": list(arguments), "cwd": str(Path.cwd()), "env": dict(env)}


def _import(imports: Sequence[str]) -> None:
    importlib.import_module("noisy_digits.pipeline.execute")
    importlib.import_module("noisy_digits.reports.page")
    importlib.import_module("noisy_digits._cli")
    importlib.import_module("ipykernel.kernelapp")
    for statement in imports:
        with contextlib.suppress(Exception):  # the notebook that needs it will say so
            exec(statement, {})
    gc.collect()
    gc.freeze()  # what is never looked through stays shared with the forks


def _peer_uid(connection: socket.socket) -> int:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    return CREDENTIALS.unpack(credentials)[1]


def _become_command(connection: socket.socket, request: Mapping[str, Any], streams: Sequence[int]) -> NoReturn:
    """Execute a command in this fork, and tell the process that asked for it its exit status."""
    global _connection
    status = 1
    try:
        for number, stream in enumerate(streams, start=1):
            os.dup2(stream, number)
            os.close(stream)
        _restore_signals()
        try:
            _kernels.append(_fork_kernel(connection))
            connection.sendall(ACCEPTED)
        except OSError:  # there can be no kernel; or the command has ended, or has started cold
            os._exit(status)
        _connection = connection
        _enter(request, "noisy-digits")
        sys.argv = ["noisy-digits", *request["arguments"]]
        importlib.import_module("noisy_digits._cli").main()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
            connection.sendall(bytes([status]))
        os._exit(status)


def _fork_kernel(connection: socket.socket) -> ForkedKernel:
    """Fork a process that waits to become a kernel."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(reading)
        return ForkedKernel(pid, writing)
    try:
        connection.close()
        os.close(writing)
        os.setsid()
        with os.fdopen(reading) as pipe:
            request = json.loads(pipe.read() or "null")
        if request:
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, 2)
            _enter(request, "ipykernel")
            sys.argv = ["ipykernel_launcher", *request["arguments"]]
            kernel = importlib.import_module("ipykernel.kernelapp").IPKernelApp
            kernel.launch_instance([*request["arguments"], f"--IPKernelApp.parent_handle={os.getppid()}"])
    finally:
        os._exit(0)


def _enter(request: Mapping[str, Any], name: str) -> None:
    importlib.import_module("numpy").random.seed()  # or all forks would draw the same numbers
    Path("/proc/self/comm").write_text(name, encoding="utf-8")  # shown by ps -e and top
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])


def _restore_signals() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


if __name__ == "__main__":
    from noisy_digits.pipeline.warm import serve  # this module under its own name, under which others import it

    serve(int(sys.argv[1]), socket.socket(fileno=int(sys.argv[2])), sys.argv[3:])
