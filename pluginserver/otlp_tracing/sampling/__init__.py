"""The head decision: rules, rates, consistent thresholds and token buckets."""
