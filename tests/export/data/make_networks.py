"""Save one network with the backend of Keras that KERAS_BACKEND names.

    KERAS_BACKEND=torch python tests/export/data/make_networks.py
    KERAS_BACKEND=jax python tests/export/data/make_networks.py

An export of what another backend saved must be byte for byte that of TensorFlow's, and a test
machine need not have these backends: hence the two files beside this one.
"""

from pathlib import Path

import keras

from tests.export.networks import WIDTHS, keras_network

backend = keras.backend.backend()
keras_network(WIDTHS).save(Path(__file__).with_name(f"{backend}.keras"))
print(f"{backend}, Keras {keras.__version__}")
