"""The training plan, the random transforms, and how a batch is warped."""
