#!/usr/bin/env python3
"""Makes corpus/npy: arrays as numpy saves them, for the fuzz target and tests/unit/test_npy.c. Run in this folder."""
import numpy as np

x = ((7 * np.arange(15) % 13 - 6) / 8).reshape(3, 5)
for kind in ("f2", "f4", "f8"):
    np.save(f"corpus/npy/{kind}.npy", x.astype("<" + kind))
np.save("corpus/npy/vector.npy", x[0].astype("<f4"))
np.save("corpus/npy/fortran.npy", np.asfortranarray(x.astype("<f4")))
np.save("corpus/npy/cube.npy", np.zeros((2, 2, 2), "<f4"))
np.save("corpus/npy/ints.npy", np.arange(6, dtype="<i4").reshape(2, 3))
np.save("corpus/npy/big_endian.npy", x.astype(">f4"))
np.save("corpus/npy/objects.npy", np.array([[{}]], dtype=object), allow_pickle=True)
np.save("corpus/npy/empty.npy", np.zeros((0, 5), "<f4"))
with open("corpus/npy/version2.npy", "wb") as f:
    np.lib.format.write_array(f, x.astype("<f4"), version=(2, 0))
