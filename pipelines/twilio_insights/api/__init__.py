"""The Insights API: requests, pages, and what an element of a page holds."""
