"""Extensions and one build_ext; everything static stands in pyproject.toml.

csrc/isa/<level>.c is compiled for every SIMD level of the target architecture, whatever machine builds it, once per floating type
and with that level's flags only. Without an OpenMP compiler a serial library is built, and a message says so.
"""

import logging
import os
import platform
import tempfile
from concurrent.futures import ThreadPoolExecutor

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext as _build_ext

AVX2 = ["-mavx2", "-mfma", "-mf16c", "-mbmi", "-mbmi2"]
AVX512 = [*AVX2, *[f"-mavx512{part}" for part in ("f", "bw", "cd", "dq", "vl")], "-mprefer-vector-width=512"]
LEVELS = {
    "x86_64": {"scalar": [], "avx2": AVX2, "avx512": AVX512},
    "amd64": {"scalar": [], "avx2": AVX2, "avx512": AVX512},
    "aarch64": {"scalar": [], "neon": []},
    "arm64": {"scalar": [], "neon": []},
}
DEBUG = bool(os.environ.get("NNFAST_BUILD_DEBUG"))  # bounds checks on, symbols kept
# What .ci/sanitize builds with, such as "address,undefined"; a finding ends the process.
SANITIZE = os.environ.get("NNFAST_BUILD_SANITIZE")
SANITIZED = [f"-fsanitize={SANITIZE}", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"] if SANITIZE else []
# The numeric contract rests on -ffp-contract=off; see csrc/README.md.
FLAGS = [
    "-std=gnu11",
    "-O3",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fvisibility=hidden",
    "-Wall",
    "-Wno-unused-function",
    "-g" if DEBUG else "-g1" if SANITIZE else "-g0",
    *(["-O1", *SANITIZED] if SANITIZE else []),
]


def target() -> str:
    """The architecture that is built for; a cross build names it in NNFAST_BUILD_ARCH."""
    return os.environ.get("NNFAST_BUILD_ARCH", platform.machine()).lower()


class build_ext(_build_ext):
    def build_extensions(self):
        openmp = ["-fopenmp"] if self.has_openmp() else []
        kernels = self.compile_levels()
        for extension in self.extensions:
            extension.extra_compile_args = [*FLAGS, *openmp]
            extension.extra_link_args = [*openmp, *SANITIZED]
            if extension.name == "nnfast._core.runtime":
                extension.extra_objects = kernels
        super().build_extensions()

    def compile_levels(self):
        """One object per level and floating type, two at a time; kept where no source has changed since."""
        newest = max(os.path.getmtime(path) for path in [*kernel_headers(), "setup.py"])

        def compile_one(level, flags, real):
            folder = os.path.join(self.build_temp, f"{level}-f{real}")
            source = f"csrc/isa/{level}.c"
            done = self.compiler.object_filenames([source], output_dir=folder)
            if not self.force and all(os.path.exists(path) and os.path.getmtime(path) > newest for path in done):
                return done
            return self.compiler.compile(
                [source], output_dir=folder, macros=[("NNF_REAL", str(real))], extra_postargs=[*FLAGS, *flags]
            )

        jobs = [
            (level, flags, real) for level, flags in LEVELS.get(target(), {"scalar": []}).items() for real in (32, 64)
        ]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return [path for paths in pool.map(lambda job: compile_one(*job), jobs) for path in paths]

    def has_openmp(self):
        with tempfile.TemporaryDirectory() as folder:
            source = os.path.join(folder, "openmp.c")
            with open(source, "w") as file:
                file.write("#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n")
            try:
                objects = self.compiler.compile([source], output_dir=folder, extra_postargs=["-fopenmp"])
                self.compiler.link_executable(objects, os.path.join(folder, "openmp"), extra_postargs=["-fopenmp"])
            except Exception:
                self.announce(
                    "nnfast: this compiler has no OpenMP (-fopenmp failed). Building a SERIAL library: it works and gives the same "
                    "results, on one thread. Install gcc or libgomp and build again for several threads.",
                    level=logging.WARNING,
                )
                return False
        return True


def kernel_headers():
    folders = ("csrc", "csrc/vec", "csrc/math", "csrc/kernels", "csrc/isa")
    return [os.path.join(f, name) for f in folders for name in os.listdir(f) if name.endswith((".h", ".c"))]


extensions = [
    Extension("nnfast._core.runtime", ["nnfast/_core/runtime.pyx", "csrc/cpu.c", "csrc/dispatch.c", "csrc/memory.c"]),
    Extension("nnfast._core.executor", ["nnfast/_core/executor.pyx", "csrc/run.c", "csrc/team.c"]),
    Extension("nnfast._core.calls", ["nnfast/_core/calls.pyx"]),
]
for extension in extensions:
    extension.include_dirs = ["csrc"]
    extension.depends = kernel_headers()

setup(
    ext_modules=cythonize(
        extensions,
        compiler_directives={
            "language_level": "3",
            "freethreading_compatible": True,
            "boundscheck": DEBUG,
            "wraparound": DEBUG,
            "initializedcheck": DEBUG,
        },
    ),
    cmdclass={"build_ext": build_ext},
)
