"""What machine.c measures, for Python."""

import ctypes

PEAK_ROUNDS = 30000  # of 12 vectors each: a tenth of a millisecond


class Machine:
    def __init__(self, library):
        self.library = ctypes.CDLL(library)
        self.library.peak_flops.restype = ctypes.c_double
        self.library.peak_flops.argtypes = [ctypes.c_int, ctypes.c_long]
        self.library.core_round_trip.restype = ctypes.c_double

    def peak(self, threads):
        """Floating-point operations per second, of all threads together."""
        return self.library.peak_flops(threads, PEAK_ROUNDS)

    def round_trip(self):
        """Seconds that a line of memory takes between two cores and back."""
        return self.library.core_round_trip()
