r"""Unpacks a 64-bit Arm Debian and runs commands in it on the processor of a Raspberry Pi, in an emulator.

    python benchmarks/arm64_system.py bookworm cortex-a72 python3-numpy -- python3 -c "import numpy"

Raspberry Pi OS takes its packages from Debian. They are downloaded by apt, from the mirror that this machine
uses, and unpacked into a folder of the cache ($GARMENT_PI); their scripts are not run. Inside a user
namespace the kernel then runs Arm programs with QEMU. So neither root nor containers are needed, but Linux
6.7 or newer is, and the Debian package qemu-user-static. On a 64-bit Arm machine QEMU is not needed, and the
processor is its own.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

QEMU = "qemu-aarch64-static"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# Fields of /proc/cpuinfo by QEMU's name of the processor. XNNPACK chooses its kernels by them.
CORES = {
    "cortex-a53": ("fp asimd evtstrm crc32 cpuid", "0x0", "0xd03", "4"),  # Raspberry Pi 3
    "cortex-a72": ("fp asimd evtstrm crc32 cpuid", "0x0", "0xd08", "3"),  # Raspberry Pi 4
    "cortex-a76": (
        "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
        "0x4", "0xd0b", "1",
    ),  # Raspberry Pi 5
}  # fmt: skip
NATIVE = "native"  # stands for the processor of a 64-bit Arm machine
# Files of this machine that programs in the system need to reach the network.
SHARED_FILES = (
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/pip.conf",
    "/etc/ssl/certs/ca-certificates.crt",
)
# Links that the scripts of the packages libblas3 and liblapack3 would make (update-alternatives).
ALTERNATIVES = ("blas", "lapack")
# sudo and apt do nothing in the system: its packages are unpacked, and their scripts cannot run.
SUDO = "#!/bin/sh\nexit 0\n"

# Run in a user namespace by sh, with the arguments ROOT QEMU CPUINFO BOUND FOLDER COMMAND...; QEMU is empty
# on an Arm machine, and BOUND are names on separate lines.
INSIDE = r"""
set -eu
root=$1 qemu=$2 cpuinfo=$3 bound=$4 folder=$5
shift 5
if [ -n "$qemu" ]; then
    mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
    magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
    mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
    printf '%s' ":arm64:M::$magic:$mask:$qemu:PF" > /proc/sys/fs/binfmt_misc/register
fi
for name in proc dev sys; do mount --rbind "/$name" "$root/$name"; done
[ -z "$cpuinfo" ] || mount --bind "$cpuinfo" "$root/proc/cpuinfo"
printf '%s\n' "$bound" | while read -r name; do
    target="$root$name"
    if [ -d "$name" ]; then mkdir -p "$target"; else mkdir -p "${target%/*}"; : >> "$target"; fi
    mount --rbind "$name" "$target"
done
exec chroot "$root" /bin/sh -c 'cd "$0" && exec "$@"' "$folder" "$@"
"""


class CannotEmulateError(Exception):
    """This machine lacks what running Arm programs takes; the message says what."""


class MirrorError(Exception):
    """The mirror of the packages does not answer; the message says how apt put it."""


@dataclass(frozen=True)
class Arm64System:
    """An unpacked system.

    Attributes:
        root: The folder that is its "/".
        bound: Files and folders of this machine that it sees under the same names.
    """

    root: Path
    bound: tuple[Path, ...] = ()

    def run(
        self, core: str, *command: str, folder: str = "/root", check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command in the system.

        Args:
            core: One of `CORES`, or `NATIVE`.
            command: The program, looked up in the system, and its arguments.
            folder: The folder of the system in which it runs.
            check: Whether another exit status than 0 raises an error, with all that was printed.

        Returns:
            The ended process, with its standard output and standard error.

        Raises:
            RuntimeError: If the exit status is not 0 and `check` is True.
        """
        is_native = core == NATIVE
        cpuinfo = "" if is_native else str(write_cpuinfo(self.root.parent, core))
        shared = [name for name in SHARED_FILES if os.path.exists(name)]
        bound = "\n".join([*shared, *map(str, self.bound)])
        qemu = "" if is_native else _qemu()
        passed_on = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        done = subprocess.run(
            ["unshare", "--user", "--map-root-user", "--mount", "--fork", "--kill-child",
             "sh", "-c", INSIDE, "sh", str(self.root), qemu, cpuinfo, bound, folder, *command],
            env=passed_on | {
                "PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root",
                "LANG": "C.UTF-8", "QEMU_CPU": core, "PIP_CACHE_DIR": "/var/cache/pip",
                "PIP_ROOT_USER_ACTION": "ignore",
                "PIP_NO_COMPILE": "1",  # Python compiles what it imports, which is much less
                # The checkout belongs to a user whom the namespace does not know.
                "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory",
                "GIT_CONFIG_VALUE_0": "*",
            },
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if check and done.returncode:
            raise RuntimeError(
                f"{' '.join(command)} ended with status {done.returncode}:\n{done.stdout}{done.stderr}"
            )
        return done


def is_arm64() -> bool:
    """Tells whether this machine runs 64-bit Arm programs itself."""
    return platform.machine() == "aarch64"


def require_emulation() -> None:
    """Tries whether this machine can run Arm programs.

    Raises:
        CannotEmulateError: If it cannot.
    """
    for program in ("apt-get", "dpkg", "unshare"):
        if shutil.which(program) is None:
            raise CannotEmulateError(f"{program} is missing; this needs Debian or a system like it")
    command = "true" if is_arm64() else "mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc"
    if not is_arm64():
        _qemu()
    trial = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", command],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if trial.returncode:
        raise CannotEmulateError(
            "user namespaces with binfmt_misc are not available here, which need Linux 6.7 or newer: "
            + trial.stderr.strip()
        )


def unpacked_system(
    suite: str, packages: Sequence[str], cache: Path, bound: Sequence[Path] = ()
) -> Arm64System:
    """Gives a system with some packages and all that they depend on; the cache keeps it.

    Args:
        suite: Debian's name of the release, such as "bookworm".
        packages: Names of Debian packages.
        cache: The folder of the cache; the system takes 0.9 to 1.2 GB of it with OpenCV.
        bound: Files and folders of this machine that it sees under the same names.

    Raises:
        MirrorError: If packages are missing and the mirror does not answer.
        CannotEmulateError: If apt's sources on this machine name no mirror of Debian.
    """
    folder = (cache / suite).resolve()
    system = Arm64System(folder / "root", tuple(path.resolve() for path in bound))
    finished, wanted = folder / "packages.txt", "\n".join(packages)
    if finished.is_file() and finished.read_text(encoding="utf-8") == wanted:
        return system
    shutil.rmtree(folder, ignore_errors=True)
    archives = _download(suite, packages, folder)
    for name in ("usr/bin", "usr/sbin", "usr/lib"):  # the links of Debian's merged /usr
        (system.root / name).mkdir(parents=True)
        (system.root / Path(name).name).symlink_to(name)
    for archive in archives:
        _unpack(archive, system.root)
    libraries = system.root / "usr/lib/aarch64-linux-gnu"
    for name in ALTERNATIVES:
        if (libraries / name).is_dir():
            (libraries / f"lib{name}.so.3").symlink_to(f"{name}/lib{name}.so.3")
    for name in ("root", "proc", "dev", "sys", "tmp", "var/cache/pip", "usr/local/bin"):
        (system.root / name).mkdir(parents=True, exist_ok=True)
    sudo = system.root / "usr/local/bin/sudo"
    sudo.write_text(SUDO, encoding="utf-8")
    sudo.chmod(0o755)
    shutil.rmtree(folder / "apt")
    finished.write_text(wanted, encoding="utf-8")
    return system


def _qemu() -> str:
    found = shutil.which(QEMU)
    if found is None:
        raise CannotEmulateError(f"{QEMU} is missing; run 'sudo apt install qemu-user-static'")
    return found


def _mirror() -> str:
    """The mirror of Debian in this machine's apt sources."""
    told = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(ORIGIN) $(COMPONENT) $(SITE)", "Created-By: Packages"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    for line in told.stdout.splitlines():
        origin, component, site = line.split(" ", 2)
        if (origin, component) == ("Debian", "main") and not site.endswith("-security"):
            return site
    raise CannotEmulateError(
        "apt knows no mirror of Debian on this machine; run 'apt-get update' if it has one"
    )


def _download(suite: str, packages: Sequence[str], folder: Path) -> list[Path]:
    """Downloads packages with all that they depend on, with apt and a state of its own."""
    apt = folder / "apt"
    for name in ("lists/partial", "cache/archives/partial"):
        (apt / name).mkdir(parents=True)
    (apt / "status").touch()
    signed = f" [signed-by={KEYRING}]" if KEYRING.is_file() else ""
    (apt / "sources.list").write_text(f"deb{signed} {_mirror()} {suite} main\n", encoding="utf-8")
    settings = {
        "APT::Architecture": "arm64", "APT::Architectures": "arm64",
        "APT::Install-Recommends": "false", "APT::Sandbox::User": "",
        "APT::Keep-Downloaded-Packages": "true", "Acquire::Languages": "none",
        "Debug::NoLocking": "true", "Dir::State": apt, "Dir::State::Lists": apt / "lists",
        "Dir::State::status": apt / "status", "Dir::Cache": apt / "cache",
        "Dir::Etc::SourceList": apt / "sources.list", "Dir::Etc::SourceParts": "/dev/null",
    }  # fmt: skip
    options = [f"-o{name}={value}" for name, value in settings.items()]
    for words in (
        ["update", "-oAPT::Update::Error-Mode=any"],
        ["install", "--yes", "--download-only", *packages],
    ):
        done = subprocess.run(
            ["apt-get", "--quiet", *options, *words], capture_output=True, text=True, check=False
        )
        if "Failed to fetch" in done.stderr:
            raise MirrorError(f"apt-get {words[0]}: {done.stderr.strip()}")
        if done.returncode:
            raise RuntimeError(f"apt-get {words[0]} failed:\n{done.stderr}")
    return sorted((apt / "cache/archives").glob("*.deb"))


def _unpack(archive: Path, root: Path) -> None:
    left_out = [f"--exclude=./usr/share/{name}" for name in ("doc", "man", "locale")]
    with subprocess.Popen(["dpkg", "--fsys-tarfile", archive], stdout=subprocess.PIPE) as content:
        subprocess.run(
            ["tar", "--extract", "--directory", root, "--keep-directory-symlink", *left_out],
            stdin=content.stdout, check=True,
        )  # fmt: skip


def write_cpuinfo(folder: Path, core: str) -> Path:
    """Writes what a Raspberry Pi with this processor tells in /proc/cpuinfo, for its four cores."""
    features, variant, part, revision = CORES[core]
    path = folder / f"cpuinfo-{core}"
    path.write_text(
        "\n".join(
            f"processor\t: {number}\nBogoMIPS\t: 108.00\nFeatures\t: {features}\n"
            f"CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: {variant}\n"
            f"CPU part\t: {part}\nCPU revision\t: {revision}\n"
            for number in range(4)
        ),
        encoding="utf-8",
    )
    return path


def main() -> None:
    if "--" not in sys.argv[3:]:
        sys.exit(__doc__)
    suite, core, *rest = sys.argv[1:]
    split = rest.index("--")
    require_emulation()
    cache = Path(os.environ.get("GARMENT_PI") or Path.home() / ".cache" / "garmentlite" / "arm64")
    system = unpacked_system(suite, rest[:split], cache / "by-hand")
    done = system.run(core, *rest[split + 1 :], check=False)
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
