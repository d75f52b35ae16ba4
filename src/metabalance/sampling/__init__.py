"""Which rows form the next batch: the sampling strategies and the streams that draw from them."""

from metabalance.sampling.loading import MetaDataLoader
from metabalance.sampling.remembered import Remembered, chooses_rows
from metabalance.sampling.resampling import resample
from metabalance.sampling.strategies import STRATEGIES, SamplerLike, Strategy, resolve_strategy
from metabalance.sampling.streams import BatchStream, MetaBatchStream

__all__ = [
    "STRATEGIES",
    "BatchStream",
    "MetaBatchStream",
    "MetaDataLoader",
    "Remembered",
    "SamplerLike",
    "Strategy",
    "chooses_rows",
    "resample",
    "resolve_strategy",
]
