import assert from "node:assert/strict";

/** Fails where a number of the first list is not, nearly, the one in the second. */
export function near(numbers, expected, tolerance = 1e-6) {
  numbers.forEach((v, i) => {
    assert.ok(Math.abs(v - expected[i]) <= tolerance, `${numbers} is not ${expected}`);
  });
}
