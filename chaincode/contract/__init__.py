"""The contract: transactions, queries and the rules that each of them checks."""
