"""Events from elsewhere: readers of another process, of a hub and of a file, and the file that `record` writes."""
