"""A program to which the kernel refuses system calls, as file systems and limits do.

`python -m tests.refusals flock:ENOLCK -- command …` starts the command so, by seccomp.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import sys

_NUMBERS = {
    "x86_64": {"flock": 73, "chmod": 90, "fchmod": 91, "fchmodat": 268, "clone": 56},
    "aarch64": {"flock": 32, "fchmod": 52, "fchmodat": 53, "clone": 220},
}
_EVERYWHERE = {"clone3": 435, "fchmodat2": 452}
_LOAD_NUMBER, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2


class _Instruction(ctypes.Structure):
    _fields_ = [
        ("code", ctypes.c_uint16),
        ("if_true", ctypes.c_uint8),
        ("if_false", ctypes.c_uint8),
        ("value", ctypes.c_uint32),
    ]


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint16), ("instructions", ctypes.POINTER(_Instruction))]


def refuse(answers: dict[str, int]) -> None:
    """Have the kernel answer these calls of this process with an error, from now on."""
    numbers = _NUMBERS[platform.machine()] | _EVERYWHERE
    steps = [(_LOAD_NUMBER, 0, 0, 0)]
    for name, error in answers.items():
        if name in numbers:
            steps += [(_JUMP_IF_EQUAL, 0, 1, numbers[name]), (_RETURN, 0, 0, _ERRNO | error)]
    steps.append((_RETURN, 0, 0, _ALLOW))
    instructions = [_Instruction(*step) for step in steps]
    program = _Program(len(steps), (_Instruction * len(steps))(*instructions))
    libc = ctypes.CDLL(None, use_errno=True)
    for call in ((_NO_NEW_PRIVILEGES, 1, 0), (_SECCOMP, _FILTER, ctypes.byref(program))):
        if libc.prctl(*call, 0, 0):
            raise OSError(ctypes.get_errno(), "seccomp")


if __name__ == "__main__":
    middle = sys.argv.index("--")
    pairs = (said.split(":") for said in sys.argv[1:middle])
    refuse({name: getattr(errno, error) for name, error in pairs})
    os.execv(sys.argv[middle + 1], sys.argv[middle + 1 :])
