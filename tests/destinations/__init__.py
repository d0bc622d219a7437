"""The SQL by which dlt loads our tables into engines that no test has at hand."""
