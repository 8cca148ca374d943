"""The harness: starts and pins what is measured, reads what it costs, and writes down what came out."""
