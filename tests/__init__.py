"""The tests. The lessons' exercises lie beside the notebooks; here they get on the path of whatever imports them.

A developer's own progress in the lessons is neither read nor written: no prediction is answered here.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "notebooks"))
os.environ["CLCRKIT_PROGRESS"] = ""
