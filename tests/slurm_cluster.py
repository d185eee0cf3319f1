"""A real Slurm cluster on this one machine, for tests: three nodes with two GPUs each.

The nodes are daemons on ports of their own and the GPUs are device files that nobody opens: Slurm
hands them out and sets ``CUDA_VISIBLE_DEVICES``. All nodes share the files, the processes and the
clock of the machine, so that a node is known by what its processes carry:
`SlurmCluster.kill_node` selects by that.
"""

import contextlib
import os
import random
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

NODES = ("n1", "n2", "n3")
GPUS = 2
CPUS = 8
PARTITION = "debug"

FINISHED = frozenset(
    {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "GONE"}
)
"""States that a job does not leave."""

COMMANDS = ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "scontrol", "sinfo", "squeue")
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"], "/usr/sbin", "/sbin"])

# A requeued job waits for cred_expire, where less than 5 s counts as 120 s; one that is started
# before, by scontrol update StartTime=now, can fail: its node takes it for the one that was killed.
# A lost node is seen down some 15 s later: a ping is tried again for MessageTimeout.
# CPUs and memory are made up.
SLURM_CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
StateSaveLocation={folder}/state
SlurmdPidFile={folder}/%n.pid
SlurmdLogFile={folder}/%n.log
SlurmdSpoolDir={folder}/%n
SlurmdParameters=config_overrides
SlurmdTimeout=8
MessageTimeout=4
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
ReturnToService=2
JobRequeue=1
KillWait=5
OverTimeLimit=0
MinJobAge=0
DefMemPerCPU=2000
GresTypes=gpu
PartitionName={partition} Nodes=ALL Default=YES MaxTime=UNLIMITED State=UP
"""
NODE_CONF = (
    "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} Boards=1 "
    "SocketsPerBoard=1 CoresPerSocket={cpus} ThreadsPerCore=1 RealMemory=64000 Gres=gpu:{gpus}\n"
)
GRES_CONF = "NodeName={nodes} Name=gpu File={folder}/nvidia[0-{last}]\n"
# Version 2 is fatal on a machine that has both: version 1, mounted nowhere.
CGROUP_CONF = "CgroupPlugin=cgroup/v1\nCgroupAutomount=no\nCgroupMountpoint={folder}/nocgroup\n"


def why_not() -> str | None:
    """Why no cluster can be started here and what would enable it; None if one can."""
    if os.geteuid() != 0:
        return "a Slurm cluster for tests needs root: run the tests as root, say in a container"
    missing = [command for command in COMMANDS if not shutil.which(command, path=PATH)]
    if missing:
        return (
            f"a Slurm cluster for tests needs {', '.join(missing)}: "
            "apt-get install slurmctld slurmd slurm-client munge"
        )
    with tempfile.TemporaryDirectory() as folder:
        try:
            _make_gpu(Path(folder) / "nvidia0")
        except OSError as error:
            return (
                f"a Slurm cluster for tests needs mknod for its GPUs ({error}): "
                "give the container the capability MKNOD"
            )
    return None


class SlurmCluster:
    """A cluster that lives in a folder of its own, from `start` to `stop`.

    It also ends, with every process of its jobs, when the process that started it is killed.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.conf = folder / "slurm.conf"
        self._guard: subprocess.Popen[bytes] | None = None
        self._daemons: list[subprocess.Popen[bytes]] = []
        self._booted = dict.fromkeys(NODES, 0)  # how often they were revived

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def env(self) -> dict[str, str]:
        """Environment for the commands of Slurm and of aeroact."""
        # Those who test within a job of their own cluster have its variables.
        own = ("SLURM", "SBATCH", "SRUN", "SALLOC", "SCANCEL", "SQUEUE", "SINFO", "CUDA_VISIBLE")
        outer = {name: value for name, value in os.environ.items() if not name.startswith(own)}
        return {**outer, "SLURM_CONF": str(self.conf), "PATH": PATH}

    def start(self) -> None:
        """Start the cluster; all nodes are idle when this returns."""
        self.folder.chmod(0o755)
        self._configure()
        self._guard = subprocess.Popen(
            [sys.executable, __file__, self.folder],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            self._start_daemons()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End every process of the cluster and of its jobs."""
        if self._guard is None:
            return
        self._guard.communicate()
        for daemon in self._daemons:
            daemon.wait(10)
        assert self._guard.returncode == 0, f"processes of {self.folder} are left"
        self._guard = None
        self._daemons.clear()

    def submit(self, script: Path, *options: str) -> int:
        """Submit a batch script in its own folder; returns the job's number."""
        return int(self.ask("sbatch", "--parsable", *options, str(script), cwd=script.parent))

    def state(self, job: int) -> str:
        """State of a job; of an array, that of an element which runs, else of one which failed."""
        found = self._run("squeue", "-h", "-r", "-t", "all", "-j", str(job), "-o", "%T")
        states = sorted(found.stdout.split(), key=lambda state: (state in FINISHED, state))
        if not states:
            assert found.returncode == 0 or "Invalid job id" in found.stderr, found.stderr
            return "GONE"
        return next((state for state in states if state != "COMPLETED"), "COMPLETED")

    def wait(self, job: int, seconds: float) -> str:
        """Wait until a job has finished; returns its last state."""
        if not _until(lambda: self.state(job) in FINISHED, seconds):
            raise AssertionError(
                f"job {job} is {self.state(job)} after {seconds} s; its output ends\n"
                + self.output(job)[-4000:]
            )
        return self.state(job)

    def output(self, job: int) -> str:
        """What a job has written so far on standard output, of an array all together."""
        lines = map(str.strip, self._run("scontrol", "show", "job", str(job)).stdout.splitlines())
        files = [Path(line[7:]) for line in lines if line.startswith("StdOut=")]
        return "".join(file.read_text(errors="replace") for file in files if file.exists())

    def cancel_all(self, seconds: float = 30) -> None:
        """Cancel all jobs and wait until none is left."""
        queue = ("squeue", "-h", "-o", "%i %T %R")

        def none_left() -> bool:
            # One that is being requeued can outlive the first.
            self._run("scancel", f"--partition={PARTITION}")
            return not self.ask(*queue)

        assert _until(none_left, seconds), f"still there: {self.ask(*queue)}"

    def processes_of(self, job: int, node: str | None = None) -> list[int]:
        """Processes of a job, or of an array, also those of one node only."""
        return [
            pid
            for pid, process in processes(self.folder).items()
            if str(job) in process.jobs and node in (None, process.node)
        ]

    def kill_node(self, name: str) -> None:
        """Cut a node's power: its daemon and all that runs on it are gone at once."""
        while found := [
            (pid, process)
            for pid, process in processes(self.folder).items()
            if process.node == name
        ]:
            for pid, _ in sorted(found, key=_dies_at):
                _kill(pid)
            self._reap()

    def revive_node(self, name: str, seconds: float = 40) -> None:
        """Boot a node that was killed; it takes jobs when this returns.

        No machine boots before Slurm has seen it down, so this first waits for that.
        """
        # sinfo goes on to say "mixed*" where a job that went on without the node is not yet
        # taken off it; what the controller decided is in its log.
        log = self.folder / "slurmctld.log"
        down = re.compile(rf"Nodes .*\b{name}\b.* not responding, setting DOWN")
        seen = _until(lambda: len(down.findall(log.read_text())) > self._booted[name], seconds)
        assert seen, f"node {name} is still {self.node_state(name)}"
        self._booted[name] += 1
        self._start_slurmd(name, "-b")
        self._wait_for_nodes(name, seconds=seconds)

    def node_state(self, name: str) -> str:
        """State of a node, as sinfo has it: idle, allocated, down*, ..."""
        return self.ask("sinfo", "-h", "-n", name, "-o", "%T")

    def ask(self, *command: str, cwd: Path | None = None) -> str:
        """What a command of Slurm says."""
        done = self._run(*command, cwd=cwd)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def _run(self, *command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, env=self.env, cwd=cwd, capture_output=True, text=True, timeout=60
        )

    def _configure(self) -> None:
        host = socket.gethostname()
        ports = _free_ports(1 + len(NODES))
        text = SLURM_CONF.format(folder=self.folder, host=host, ports=ports, partition=PARTITION)
        for name, port in zip(NODES, ports[1:], strict=True):
            text += NODE_CONF.format(name=name, host=host, port=port, cpus=CPUS, gpus=GPUS)
            (self.folder / name).mkdir()
        self.conf.write_text(text)
        (self.folder / "gres.conf").write_text(
            GRES_CONF.format(nodes=",".join(NODES), folder=self.folder, last=GPUS - 1)
        )
        (self.folder / "cgroup.conf").write_text(CGROUP_CONF.format(folder=self.folder))
        (self.folder / "state").mkdir()
        for gpu in range(GPUS):
            _make_gpu(self.folder / f"nvidia{gpu}")
        key = self.folder / "munge.key"
        key.touch(0o600)
        key.write_bytes(os.urandom(1024))

    def _start_daemons(self) -> None:
        munge = {
            "key-file": "munge.key",
            "socket": "munge.socket",
            "pid-file": "munge.pid",
            "log-file": "munge.log",
            "seed-file": "munge.seed",
        }
        files = [f"--{option}={self.folder / name}" for option, name in munge.items()]
        # By force, as pytest's folders are closed to others.
        self._start("munged", "--foreground", "--force", *files)
        if not _until((self.folder / "munge.socket").exists, 10):
            raise AssertionError(f"munged does not start: {self._log('munge')}")
        self._start("slurmctld", "-D")
        for name in NODES:
            self._start_slurmd(name)
        self._wait_for_nodes(*NODES, seconds=30)

    def _start_slurmd(self, name: str, *options: str) -> None:
        self._start("slurmd", "-D", "-N", name, *options)

    def _start(self, *command: str) -> None:
        self._daemons.append(
            subprocess.Popen(
                command,
                env=self.env,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        )

    def _wait_for_nodes(self, *names: str, seconds: float) -> None:
        def ready() -> bool:
            said = self._run("sinfo", "-h", "-N", "-n", ",".join(names), "-o", "%T").stdout
            states = said.split()
            return len(states) == len(names) and {"idle", "mixed", "allocated"}.issuperset(states)

        if not _until(ready, seconds):
            logs = "\n".join(self._log(name) for name in ("slurmctld", *names))
            raise AssertionError(f"{self._run('sinfo', '-N').stdout}\n{logs}")

    def _log(self, name: str) -> str:
        file = self.folder / f"{name}.log"
        return file.read_text(errors="replace")[-2000:] if file.exists() else f"no {file}"

    def _reap(self) -> None:
        self._daemons = [daemon for daemon in self._daemons if daemon.poll() is None]


def _make_gpu(file: Path) -> None:
    os.mknod(file, 0o666 | stat.S_IFCHR, os.makedev(1, 3))


def _free_ports(number: int) -> list[int]:
    """Ports out of the range that the system gives away, where a killed node's would be lost."""
    ports: list[int] = []
    for port in random.sample(range(10_000, 30_000), 1000):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("", port))
            ports.append(port)
        if len(ports) == number:
            break
    return ports


def _until(reached: Callable[[], bool], seconds: float) -> bool:
    """Wait until something is reached; False if it is not in time."""
    end = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


@dataclass(frozen=True)
class _Process:
    """A process of a cluster: a daemon of a node, or part of a job, or neither."""

    daemon: bool
    node: str | None
    jobs: frozenset[str]


def processes(folder: Path) -> dict[int, _Process]:
    """Processes of the cluster in a folder and of its jobs."""
    conf = str(folder / "slurm.conf")
    logs = {str(folder / f"{name}.log"): name for name in NODES}
    parents = {
        int(entry.name): parent
        for entry in Path("/proc").glob("[0-9]*")
        if (parent := _parent(entry)) is not None
    }
    children = defaultdict(list)
    for pid, parent in parents.items():
        children[parent].append(pid)
    found: dict[int, _Process] = {}

    def visit(pid: int, process: _Process | None) -> None:
        variables = _variables(pid)
        # slurmstepd writes its title over its environment, but has the log of its node open.
        log = next((logs[file] for file in _open_files(pid) if file in logs), None)
        if log:
            process = _Process(True, log, frozenset())
        elif variables.get("SLURM_CONF") == conf:
            jobs = {variables.get("SLURM_JOB_ID"), variables.get("SLURM_ARRAY_JOB_ID")}
            process = _Process(
                False, variables.get("SLURMD_NODENAME"), frozenset(job for job in jobs if job)
            )
        # Else one that cleared its environment belongs where its parent does.
        if process:
            found[pid] = process
        for child in children[pid]:
            visit(child, process)

    for pid, parent in parents.items():
        if parent not in parents:
            visit(pid, None)
    return found


def _parent(process: Path) -> int | None:
    """Parent of a process; None if it has ended, also if nobody has asked yet how."""
    with contextlib.suppress(OSError):
        state, parent = (process / "stat").read_text().rpartition(")")[2].split()[:2]
        return int(parent) if state != "Z" else None
    return None


def _variables(pid: int) -> dict[str, str]:
    """Environment with which a process was started; empty if it has ended."""
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
        return dict(entry.split("=", 1) for entry in text.split("\0") if "=" in entry)
    return {}


def _open_files(pid: int) -> list[str]:
    files = []
    with contextlib.suppress(OSError):
        for file in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                files.append(str(file.readlink()))
    return files


def _dies_at(item: tuple[int, _Process]) -> tuple[bool, bool, int]:
    """Sort the processes of a node so that none can tell elsewhere of the others' death.

    The child of srun ends its step on all nodes when srun is gone; srun does when a daemon is;
    a daemon reports how the others ended.
    """
    pid, process = item
    name = ""
    with contextlib.suppress(OSError):
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    return name != "srun", not process.daemon, -pid


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _end(folder: Path) -> bool:
    """End all processes of the cluster in a folder; False if some withstand."""

    def none_left() -> bool:
        found = processes(folder)
        for pid in found:
            _kill(pid)
        return not found

    return _until(none_left, 10)


if __name__ == "__main__":
    # Nothing is ever written there: it ends when the process that started the cluster does.
    sys.stdin.read()
    sys.exit(not _end(Path(sys.argv[1])))
