"""npad on a cluster of Dask or Ray: fits, scores and evaluations of more images than one machine should read.

    client = dask.distributed.Client(...)
    model = npad.distributed.fit("s3://parts/good/*.png")
    npad.distributed.score(model, "s3://parts/line-3/*.png", output="s3://parts/scores")

Install it with `pip install npad[dask]` or `npad[ray]`. Workers need npad, and what fsspec needs to open the images.
"""

from ._evaluate import evaluate
from ._fit import fit
from ._jobs import OnError
from ._score import SCHEMA, score
from ._sources import EXTENSIONS, Unreadable

__all__ = ["EXTENSIONS", "SCHEMA", "OnError", "Unreadable", "evaluate", "fit", "score"]
