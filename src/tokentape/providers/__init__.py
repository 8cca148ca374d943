"""Where tokens come from: one module for each kind of model, one contract (`base`)."""
