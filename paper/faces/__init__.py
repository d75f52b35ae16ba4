"""Identification of faces where images of women are few: Table 5."""
