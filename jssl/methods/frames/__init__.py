"""The engines, one in each module: a method is data over one of these."""
