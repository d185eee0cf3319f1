"""Run EAM's module of the guide in a host on two ranks."""

import os
import re
import subprocess
import sys
from pathlib import Path

from check_example import run

POINTS = 2 * 2 * 16 * 36  # two ranks with two chunks each, every other level cloudy


def main(program: str, data: Path) -> None:
    """Try the switch on and off, and a file that is not there.

    Parameters
    ----------
    program : str
        The host.
    data : Path
        The folder that make_e3sm_data.py filled.
    """
    # Open MPI counts cores and minds root; other implementations do not know these variables.
    os.environ |= {
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    }

    def host(settings: str) -> subprocess.CompletedProcess[str]:
        namelist = data / "atm_in"
        namelist.write_text(f"&aeroact_nl {settings} /\n")
        return run(os.environ["MPIEXEC"], "-n", 2, program, namelist)

    done = host(f"aeroact_on = .true. aeroact_file = '{data / 'mam4.onnx'}'")
    assert done.returncode == 0, done.stderr
    answers = dict(re.findall(r"chunk (\d) (.*)", done.stdout))
    assert sorted(answers) == ["1", "2", "3", "4"], done.stdout
    assert len(set(answers.values())) == 1, answers
    assert f"points to be activated: {POINTS}\n" in done.stdout
    (answered,) = re.findall(r"\n  emulator +(\d+) ", done.stdout)
    assert 0 < int(answered) < POINTS

    done = host("aeroact_on = .false.")
    assert done.stdout == "off\noff\n", done

    done = host("aeroact_on = .true. aeroact_file = 'no.onnx'")
    assert done.returncode != 0
    assert "aeroact_eam_init: There is no file 'no.onnx'" in done.stderr, done


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
