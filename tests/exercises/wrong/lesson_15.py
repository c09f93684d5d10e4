"""Wrong answers to the exercises of lesson 15; test_wrong_answers.py says what a row means."""

WRONG = {
    "lesson_15.swapped_label": [
        ("(label & ~value) | (source & value)", "label ^ value", "_SAME"),
        ("(label & ~value) | (source & value)", "source", "_ALL"),
        ("(label & ~value) | (source & value)", "source & value", "_KEPT"),
        ("(label & ~value) | (source & value)", "label", "_NONE"),
        ("(label & ~value) | (source & value)", "(label & value) | (source & ~value)", "_NONE"),
        ("(label & ~value) | (source & value)", "label | (source & value)", "~_KEPT"),
    ],
    "lesson_15.draw_sources": [
        ("fits.fill_diagonal_(False)", "pass", "_SELF"),
        ("(factor[:, None] == factor) == same", "factor[:, None] != factor", "_CONTROL"),
        ("(factor[:, None] == factor) == same", "factor[:, None] == factor", "~_DIFFERENT"),
        ("torch.rand(fits.shape).masked_fill(~fits, -1.0)", "fits.int()", "_RANDOM"),
        ("torch.rand(fits.shape).masked_fill(~fits, -1.0)", "torch.rand(fits.shape)", "~_DIFFERENT"),
        (".argmax(dim=1)", "", "shape (10, 10), but a position for each of 10 samples is needed"),
    ],
    "lesson_15.split_paths": [
        ("model(own, new_heard) - before\n", "model(new_own, new_heard) - model(new_own, heard)\n", "_ORDER"),
        ("- before - by_own - by_heard", "- before", "_REST"),
        ("before = model(own, heard)", "before = 0", "_FROM"),
        ("model(new_own, heard) - before", "before - model(new_own, heard)", "~_FROM"),
        ("- before - by_own - by_heard", "- by_own - by_heard", "~_REST"),
        ("torch.stack([", "sum([", "your"),
    ],
    "lesson_15.rank_correlation": [
        (".argsort().argsort()", ".argsort()", "_ORDER_OF"),
        (".argsort().argsort()", "", "_VALUES"),
        ("torch.corrcoef(ranks)[0, 1]", "torch.corrcoef(ranks)[0, 1].abs()", "_LESS"),
        ("torch.corrcoef(ranks)[0, 1]", "torch.corrcoef(ranks)", "your result has shape (2, 2)"),
        ("torch.corrcoef(ranks)[0, 1]", "torch.cov(ranks)[0, 1]", "~_ORDER_OF"),
    ],
}
