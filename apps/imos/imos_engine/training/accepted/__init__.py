"""Training from labels that an expert accepted: clips of them, a run sized to them, a candidate, and the gate."""
