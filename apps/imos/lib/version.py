"""The version that labels are signed with; that of pyproject.toml."""

VERSION = "0.1.0"
