"""What the lessons use to teach: recorded predictions, and exercises that check themselves."""

from exercises.exercise import Exercise, ExerciseError, expect, expect_close
from exercises.prediction import predict, score, scorecard

__all__ = ["Exercise", "ExerciseError", "expect", "expect_close", "predict", "score", "scorecard"]
