"""The tests. The lessons' exercises lie beside the notebooks; here they get on the path of whatever imports them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "notebooks"))
