"""Where raw data comes from: drawn, fetched, or a folder of your own."""
