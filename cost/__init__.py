"""What a stack costs: price catalogue, estimate, capacity planner, reports."""
