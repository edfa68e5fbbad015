"""What an auditor proves from blocks alone: records, sums and every model."""
