"""Wrong answers to the exercises of lessons 10 to 11; test_wrong_answers.py says what a row means."""

WRONG = {
    "lesson_10.along_the_line": [
        ("(step + 0.5) / steps", "step / steps", "~_MIDDLE"),
        ("(step + 0.5) / steps", "(step + 0.5)", "~_PATH"),
        ("return (x - blank) * total / steps", "return x * total / steps", "~_START"),
        ("return (x - blank) * total / steps", "return total / steps", "_FACTOR"),
        ("(x - blank) * total / steps", "((x - blank) * total / steps).sum()", "your result has shape ()"),
        ("(x - blank) * total / steps", "(blank - x) * total / steps", "~_FACTOR"),
    ],
    "lesson_10.fair_share": [
        ("share / len(orders)", "share / players", "~_ORDERS"),
        ("share / len(orders)", "share", "_ORDERS"),
        ("frozenset(order[:place])", "frozenset(order[: place + 1])", "~_GAIN"),
        ("worth(before | {player}) - worth(before)", "worth(frozenset({player}))", "_GAIN"),
        ("list(permutations(range(players)))", "[tuple(range(players))]", "~_FIRST"),
        ("frozenset(order[:place])", "order[:place]", "your code raised TypeError"),
    ],
    "lesson_10.keep_after": [
        ("descending=True", "descending=False", "_SMALLEST"),
        ("remaining = mask.clone()", "remaining = mask", "IN_PLACE"),
        ("int(mask.sum())", "len(mask)", "_TOO_MANY"),
        ("mask.clone()", "torch.ones_like(mask)", "~_TOO_MANY"),
        (".masked_fill(~mask, -torch.inf)", "", "_PADDING"),
        ("remaining[order[:count]] = False", "remaining[order[count:]] = False", "_INVERTED"),
    ],
    "lesson_11.interval": [
        ("values.std()", "values.var()", "~_ROOT"),
        ("len(values) ** 0.5", "len(values)", "~_BESSEL"),
        (
            "float(values.mean()) - half, float(values.mean()) + half",
            "float(values.mean()) + half, float(values.mean()) - half",
            "~_BESSEL",
        ),
        ("float(values.mean()) - half, float(values.mean()) + half", "half", "your function returned a number"),
        ("float(values.mean()) - half, float(values.mean()) + half", "float(values.mean()), half", "~_MIDDLE"),
        (
            "float(values.mean()) - half, float(values.mean()) + half",
            "float(values.min()), float(values.max())",
            "~_QUANTILE",
        ),
    ],
    "lesson_11.paired_interval": [
        ("first - second", "second - first", "_SIGN"),
        ("apart.std() / len(apart) ** 0.5", "apart.std()", "_DIVIDED"),
        ("first - second", "(first - second).abs()", "~_SIGN"),
        ("apart.std()", "apart.std(correction=0)", "~_DIVIDED"),
        ("apart.std()", "first.std()", "~_PAIRED"),
        ("float(apart.mean()) - half, float(apart.mean()) + half", "half", "your function returned a number"),
    ],
    "lesson_11.reported_score": [
        ("valid[epoch] > valid[best]", "valid[epoch] >= valid[best]", "_TIE"),
        ("valid[epoch] > valid[best]", "valid[epoch] < valid[best]", "~_WRONG_PART"),
        ("valid[epoch] > valid[best]", "test[epoch] > test[best]", "_LEAK"),
        ("float(test[best])", "best", "~_WRONG_PART"),
        ("float(test[best])", "float(valid[best])", "_WRONG_PART"),
        ("float(test[best])", "test[best], best", "your function returned 2 values"),
    ],
    "lesson_11.hold_out": [
        ("names[torch.randperm(len(names))[:count]]", "names[:count]", "_RANDOM"),
        ("names[torch.randperm(len(names))[:count]]", "names[torch.randint(len(names), (count,))]", "~_COUNT"),
        ("torch.isin(groups, chosen)", "chosen", "shape"),
        ("groups.unique()", "groups", "_COUNT"),
        ("names[torch.randperm(len(names))[:count]]", "torch.randperm(len(names))[:count]", "_NAMES"),
        ("torch.isin(groups, chosen)", "(torch.rand(len(groups)) < count / len(names))", "~_TORN"),
    ],
}
