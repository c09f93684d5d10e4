"""The two errors the kit raises on purpose, so that callers can tell bad input from a bug."""


class DataError(ValueError):
    """Data that cannot be used: the message names the modality, the place, the value and the allowed range."""


class ConfigError(ValueError):
    """A setting that cannot be used: the message names the setting, its value and the allowed range."""
