"""The event stream beside other ways to hand events to many readers in one process."""
