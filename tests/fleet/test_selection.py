"""The selection of channels by their variance, for which a sample must hold all images."""

import npad
import numpy as np
import pytest
from conftest import part
from npad import distributed
from npad.distributed import _selection, _work


def planes(image):
    return [image[:, ::8, ::8]]


def test_selection_by_variance_is_for_as_many_images_as_the_sample_holds(here):
    extractor = npad.Extractor("planes", [8], [3], planes)
    options = npad.Options(size="32x32", threads=1, extractor=extractor, **{"npad.selection": "variance", "npad.channels": 2})
    missing = [f"/none/{number}.png" for number in range(4097)]
    with pytest.raises(ValueError, match="there are 4097 images, but .* npad.selection=variance takes .* here 4096: set"):
        distributed.fit(missing, options=options)
    # The last one is the first of which the sample holds no map.
    random, trainer = np.random.default_rng(0), npad.Trainer(options)
    for _ in range(4096):
        trainer.add(random.integers(0, 256, (32, 32), np.uint8))
    _selection.check_state(trainer, options)
    state = _work.packed(trainer.to_bytes()), []
    other = npad.Trainer(options)
    other.add(part(0))
    others = _work.packed(other.to_bytes()), []
    with pytest.raises(npad.Error, match="more images than the sample of a fit holds") as refused:
        _work.merge(state, others, options)
    assert refused.value.status == npad.Status.INVALID_ARGUMENT
    free = npad.Options(threads=1, extractor=extractor)
    assert len(npad.Trainer.from_bytes(_work.merge(state, others, free)[0], free)) == 4097


def test_selection_by_variance_is_found_in_presets_and_methods():
    mask = np.ones((90, 120), bool)
    for values in ({"npad.preset": "poster"}, {"method": "padim", "padim.selection": "variance"}):
        options = npad.Options(size="96x96", threads=1, mask=mask, **values)
        _selection.check_count(1000, options)
        with pytest.raises(ValueError, match="there are 5000 images, but .*selection=variance"):
            _selection.check_count(5000, options)
        assert np.array_equal(options._values["mask"], mask)
    for values in ({}, {"method": "spade"}, {"method": "patchcore", "npad.selection": "variance"}):
        _selection.check_count(5000, npad.Options(**values))
