"""The results table: which runs it needs, how they are run, what comes out."""
