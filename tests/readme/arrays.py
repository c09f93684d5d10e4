import numpy as np

from clcrkit import CLCR, CLCRConfig
from clcrkit.datasets import from_arrays
from clcrkit.training import TrainConfig, evaluate, fit
from clcrkit.viz import Explorer

rng = np.random.default_rng(0)
label = rng.integers(0, 3, 300)
sound = rng.normal(size=(300, 20, 16)) + label[:, None, None]  # (sample, token, feature)
words = rng.integers(0, 50, (300, 12))  # (sample, token): ids
split = from_arrays({"sound": sound, "words": words}, label)  # masks={...} for padding, groups=... for speakers
model = CLCR(CLCRConfig.of(split, width=32))
fit(model, split, config=TrainConfig(epochs=5))
print(f"test accuracy {evaluate(model, split)['score']:.2f}")
Explorer(model.trace(split), model=model, split=split).export("page.html")
