"""Numbers too small for a processor to hold in full (below 1e-38 in 32 bit), which x86 computes with a hundred times slower.

The filters of PESQ make them from every stretch of digital silence: half of its time goes there.
"""

import ctypes
import platform

FLUSH = 0x8040  # MXCSR: results that small become 0 (bit 15), and so do operands (bit 6)
WORDS, MXCSR = 8, 7  # of glibc's fenv_t on x86-64, in 32-bit words; where the register stands in it


def flush_denormals():
    """Take denormal numbers for 0 from here on in this thread and those that it starts; returns whether that is so.

    On Linux with glibc on x86-64; elsewhere nothing changes. ``torch.set_flush_denormal`` does the same, and costs the
    seconds of importing torch.
    """
    if (
        platform.system() != "Linux"
        or platform.machine() != "x86_64"
        or platform.libc_ver()[0] != "glibc"
    ):
        return False
    libc, environment = ctypes.CDLL(None), (ctypes.c_uint32 * WORDS)()
    if libc.fegetenv(environment):
        return False
    environment[MXCSR] |= FLUSH
    return libc.fesetenv(environment) == 0
