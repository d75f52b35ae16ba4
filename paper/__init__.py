"""The tables of the MetaBalance paper: from configuration to results to tables."""
