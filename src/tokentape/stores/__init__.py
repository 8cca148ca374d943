"""Where streams live. `base` is the contract; every store passes `tokentape.testing.StoreContract`."""
