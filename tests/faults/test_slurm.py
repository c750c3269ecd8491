"""A build on a real SLURM of two nodes, one of which is killed: `make test-slurm`."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from noisy_digits._files import read_record
from noisy_digits.pipeline.plan import plan_runs
from tests.conftest import (
    PATIENCE_S,
    REPOSITORY,
    SUMMARY_PARAMETERS,
    contents,
    environment,
    kernels_among,
    write_notebook,
)

pytestmark = pytest.mark.slurm
NODES = ("n1", "n2")
SETTINGS = Path("/etc/slurm")
CONFIGURATION = """\
ClusterName=scratch
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
SlurmdTimeout=10
ReturnToService=0
MinJobAge=3600
GresTypes=gpu
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={n1} CPUs=1 RealMemory=12000 Gres=gpu:1
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={n2} CPUs=1 RealMemory=12000 Gres=gpu:1
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def of_node(node):
    """Return the processes of a node: its daemon and what that started."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            command = process.cmdline()
            if command[-2:] == ["-N", node] or process.environ().get("SLURMD_NODENAME") == node:
                found.append(process)
    return found


@pytest.fixture(scope="module")
def cluster():
    """A controller and two nodes on this machine, in a scratch folder; yields its environment."""
    if missing := [
        program for program in PROGRAMS if not shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin")
    ]:
        pytest.fail(f"{', '.join(missing)} not installed; Debian has them in slurm-wlm and munge")
    if os.geteuid() != 0:
        pytest.fail("only the superuser can start SLURM's daemons")
    if (SETTINGS / "slurm.conf").exists():
        pytest.fail(f"{SETTINGS} holds the configuration of a SLURM that is not this test's")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever ends the test, the daemons end with it
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))  # the path of a socket must be short
    controller, n1, n2 = free_ports(3)
    names = {"folder": folder, "host": socket.gethostname().split(".")[0]}
    (folder / "slurm.conf").write_text(CONFIGURATION.format(**names, controller=controller, n1=n1, n2=n2))
    (folder / "gres.conf").write_text("".join(f"NodeName={node} Name=gpu File=/dev/null\n" for node in NODES))
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o400)
    SETTINGS.mkdir(exist_ok=True)
    for name in ("slurm.conf", "gres.conf"):  # an environment variable would not reach the jobs
        (SETTINGS / name).symlink_to(folder / name)
    variables = environment()
    variables["PATH"] += ":/usr/sbin"
    files = {"socket": "socket", "key-file": "key", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    munge = ["munged", "--force", "--foreground", *(f"--{key}={folder}/munge.{end}" for key, end in files.items())]
    daemons = [munge, ["slurmctld", "-D"], *(["slurmd", "-D", "-N", node] for node in NODES)]
    processes = []
    try:
        for daemon in daemons:
            with (folder / f"{daemon[0]}.out").open("a") as out:
                processes.append(
                    subprocess.Popen(daemon, env=variables, stdout=out, stderr=out, start_new_session=True)
                )
            time.sleep(1)
        deadline = time.monotonic() + PATIENCE_S
        while sinfo(variables) != dict.fromkeys(NODES, "idle"):
            assert time.monotonic() < deadline, (sinfo(variables), *(log.read_text() for log in folder.glob("*.out")))
            time.sleep(1)
        yield variables
    finally:
        for process in [*(each for node in NODES for each in of_node(node)), *processes]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        for process in processes:
            process.wait()
        for name in ("slurm.conf", "gres.conf"):
            (SETTINGS / name).unlink()
        shutil.rmtree(folder, ignore_errors=True)


def sinfo(variables):
    """Return the state of each node, by its name."""
    printed = subprocess.run(["sinfo", "-h", "-N", "-o", "%N %T"], env=variables, capture_output=True, text=True).stdout
    return dict(line.split() for line in printed.splitlines())


def jobs(variables):
    """Return what SLURM knows about every job that it was given."""
    command = ["scontrol", "show", "job", "-o"]
    printed = subprocess.run(command, env=variables, capture_output=True, text=True, check=True).stdout
    return [dict(re.findall(r"(\w+)=(\S+)", line)) for line in printed.splitlines() if line.startswith("JobId=")]


def seconds(duration):
    """Return the seconds of SLURM's 00:01:23."""
    hours, minutes, rest = map(int, duration.split(":"))
    return 3600 * hours + 60 * minutes + rest


def profile(folder, more=""):
    """Write the project's own SLURM profile; here it checks more often on its jobs."""
    folder.mkdir()
    shipped = (REPOSITORY / "workflow/profiles/slurm/profile.yaml").read_text()
    often = "slurm-init-seconds-before-status-checks: 2\nslurm-status-command: squeue\n"
    (folder / "profile.yaml").write_text(f"{shipped}\n{often}{more}")
    return folder


def start(root, variables, profile_dir):
    command = [*(sys.executable, "-m", "noisy_digits", "build", "--dataset", "digits", "--profile", "quick")]
    return subprocess.Popen([*command, "--profile-dir", profile_dir], cwd=root, env=variables, stderr=subprocess.PIPE)


def kill(node):
    """End a node as a power cut does: it cannot report it."""
    processes = of_node(node)
    keepers = {process.parent() for process in processes if process.parent().name() == "slurmstepd"}
    daemons = {process for process in processes if process.name() == "slurmd"}
    for process in [*daemons, *keepers, *processes]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def test_a_build_on_a_cluster_survives_the_loss_of_a_node_and_gives_the_same_bytes(
    cluster, small, uninterrupted, tmp_path
):
    root = shutil.copytree(small, tmp_path / "project")
    building = start(root, cluster, profile(tmp_path / "profile"))
    hit = None
    while hit is None and building.poll() is None:
        time.sleep(0.5)
        training = kernels_among(of_node("n2"))
        on_it = {job["JobState"]: job["JobId"] for job in jobs(cluster) if job.get("NodeList") == "n2"}
        if training and {"COMPLETED", "RUNNING"} <= on_it.keys():
            hit = on_it["RUNNING"]
            kill("n2")
    _, printed = building.communicate(timeout=PATIENCE_S)
    assert building.returncode == 0, printed.decode()
    assert contents(root) == contents(uninterrupted[0])
    done = {job["JobId"]: job for job in jobs(cluster)}
    counts = {node: sum(job["NodeList"] == node for job in done.values()) for node in NODES}
    runs = sum(read_record(path.parent)["seconds"] for path in root.glob("results/**/run.json"))
    beyond = (sum(seconds(job["RunTime"]) for job in done.values()) - runs) / len(done)
    print(f"Jobs by node: {counts}; job {hit} was hit; a job takes {beyond:.1f} s beyond its run.")
    assert {job["JobState"] for job in done.values()} == {"COMPLETED"}
    assert {job["NodeList"] for job in done.values()} == set(NODES)
    assert (done[hit]["NodeList"], done[hit]["Restarts"]) == ("n1", "1")
    assert len(done) == len(plan_runs(root, "quick", dataset="digits"))


def test_a_run_asks_for_the_gpu_that_a_profile_names(cluster, toy, tmp_path):
    before = {job["JobId"] for job in jobs(cluster)}
    building = start(toy, cluster, profile(tmp_path / "profile", 'set-resources:\n  run:\n    gres: "gpu:1"\n'))
    _, printed = building.communicate(timeout=PATIENCE_S)
    assert building.returncode == 0, printed.decode()
    asked = [job for job in jobs(cluster) if job["JobId"] not in before]
    assert len(asked) == len(plan_runs(toy, "quick", dataset="digits"))
    assert all(re.fullmatch("gres.gpu:1", job["TresPerNode"]) for job in asked)


def test_a_run_that_fails_on_a_cluster_names_its_log(cluster, toy, tmp_path):
    write_notebook(toy / "notebooks/toy/2_summary.ipynb", SUMMARY_PARAMETERS, 'raise ValueError("broken")')
    building = start(toy, cluster, profile(tmp_path / "profile", "retries: 0\n"))
    _, printed = building.communicate(timeout=PATIENCE_S)
    assert building.returncode == 1
    (log,) = re.findall(r"toy/2_summary FAILED after .*, see (/.+/\.snakemake/slurm_logs/.+\.log)", printed.decode())
    assert "ValueError: broken" in Path(log).read_text()
