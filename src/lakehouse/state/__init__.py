"""The lake folder and the database of everything that changes in place."""
