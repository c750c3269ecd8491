"""Start the kernel of a run: a process of its own that speaks through sockets that no other kernel can take."""

import os
import subprocess
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from noisy_digits._environment import RunContext, kernel_variables
from noisy_digits.pipeline import warm

STARTUP = """\
import gc

# Importing TensorFlow creates so many objects that searching them for garbage takes half a second.
gc.set_threshold(200_000, 50, 50)
"""
"""Code that IPython executes in a kernel before the first cell."""


class ForkedProvisioner(LocalProvisioner):
    """Starts a kernel by letting a fork of the build's warm process become it."""

    def __init__(self, forked: warm.ForkedKernel, **settings: Any) -> None:
        super().__init__(**settings)
        self.process = self.forked = forked

    async def launch_kernel(self, cmd: list[str], **settings: Any) -> KernelConnectionInfo:
        """Let the fork become the kernel that ``cmd`` would start."""
        self.forked.start(cmd[cmd.index("-f") :], settings["env"])
        self.pid = self.pgid = self.forked.pid
        return self.connection_info


def make_kernel_manager(private: Path, context: RunContext) -> type[AsyncKernelManager]:
    """Return the class that starts a run's kernel.

    IPython's folder and the kernel's Unix sockets are in ``private``; unlike a port, no other kernel can take them.
    """
    startup = private / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "startup.py").write_text(STARTUP, encoding="utf-8")
    variables = {**os.environ, **kernel_variables(), **context.to_environment(), "IPYTHONDIR": str(private)}

    class PrivateKernelManager(AsyncKernelManager):
        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self.transport = "ipc"
            self.connection_file = str(private / "kernel.json")

        async def start_kernel(self, **settings: Any) -> None:
            if self.provisioner is None and (forked := warm.take_kernel()) and forked.poll() is None:
                spec = self.kernel_spec
                self.provisioner = ForkedProvisioner(forked, kernel_id="", kernel_spec=spec, parent=self)
            # What the notebook prints to standard error is captured in its outputs; the rest is noise.
            await super().start_kernel(env=variables, stderr=subprocess.DEVNULL, **settings)

    return PrivateKernelManager
