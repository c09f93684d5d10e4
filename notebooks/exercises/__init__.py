"""What the lessons use to teach: predictions, exercises that check themselves, and the learner's own progress."""

import plotly.io

from exercises import progress
from exercises.certificate import certificate
from exercises.exercise import Exercise
from exercises.expecting import ExerciseError, expect, expect_close
from exercises.prediction import predict, score, scorecard

plotly.io.templates.default = "plotly_white"  # one theme for all pictures of a course

__all__ = [
    "Exercise",
    "ExerciseError",
    "certificate",
    "expect",
    "expect_close",
    "predict",
    "progress",
    "score",
    "scorecard",
]
