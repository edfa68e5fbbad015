"""The contract the hospitals agreed: studies, rounds, encrypted sums."""
