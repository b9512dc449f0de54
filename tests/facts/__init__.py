"""The 36 ways to misreport a mirror (F1 to F36): see README.md in this folder."""
