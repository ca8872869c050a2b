"""Everything of a workspace as one file, made in the background."""
