"""What cannot change a result: messages, files, locks, signals, progress, and the readers of fixed formats."""
