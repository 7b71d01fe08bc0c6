"""The version, as a constant: looking it up in the metadata costs milliseconds of every flow's start."""

VERSION = "0.1.0"
