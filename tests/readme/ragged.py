import numpy as np

from clcrkit import CLCR, CLCRConfig
from clcrkit.datasets import check, from_arrays
from clcrkit.training import TrainConfig, evaluate, fit

rng = np.random.default_rng(0)
score = rng.normal(size=300)  # floats: a regression
sound = [rng.normal(size=(rng.integers(5, 20), 8)) + y for y in score]  # samples of different lengths
words = [rng.integers(0, 50, rng.integers(3, 9)) for _ in score]  # token ids
sound[3] = words[5] = None  # a modality that is missing in a sample
split = from_arrays({"sound": sound, "words": words}, score)
print(check(split))
model = CLCR(CLCRConfig.of(split, width=32))
fit(model, split, config=TrainConfig(epochs=5))
print(f"minus the mean absolute error on test {evaluate(model, split)['score']:.2f}")
