import pytest

import npad
from parts import QUICK, part


@pytest.fixture(scope="session")
def model():
    return npad.fit([part(seed) for seed in range(15)], **QUICK)
