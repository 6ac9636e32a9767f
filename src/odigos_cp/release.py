"""Which release this is: the version, alone, so that anyone may import it for nothing."""

VERSION = "0.1.0"
