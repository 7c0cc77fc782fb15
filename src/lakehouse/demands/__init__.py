"""Open demands: what clients asked for that is not done yet, and who was thought of for it."""
