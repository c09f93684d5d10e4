import numpy as np
import pandas as pd

from clcrkit import CLCR, CLCRConfig
from clcrkit.datasets import from_arrays
from clcrkit.training import TrainConfig, evaluate, fit

rng = np.random.default_rng(0)
mood = rng.choice(["calm", "glad", "sad"], 300)
table = pd.DataFrame({"mood": mood, "speaker": rng.integers(0, 30, 300), "age": rng.normal(size=300)})
table["loudness"] = 1.0 * (mood == "sad") - (mood == "glad") + rng.normal(size=300) / 4
table["sound"] = [rng.normal(size=(rng.integers(5, 20), 8)) + x for x in table["loudness"]]  # (token, feature) a cell
tokens = {"sound": table["sound"], "survey": table[["age", "loudness"]]}
split = from_arrays(tokens, table["mood"], groups=table["speaker"], axes={"survey": "feature"})
model = CLCR(CLCRConfig.of(split, width=32))
fit(model, split, config=TrainConfig(epochs=5))
print(f"test accuracy {evaluate(model, split)['score']:.2f}, classes {', '.join(model.config.label_names)}")
