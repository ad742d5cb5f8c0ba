"""The sites: one folder a cloud, the same file names in each; only here are provider SDKs imported."""
