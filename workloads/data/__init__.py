"""Objects, tables, contracts and ingestion: how data enters and how it is found again."""
