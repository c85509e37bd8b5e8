"""The hub: a process that receives the events of many servers, keeps them, and hands them to readers."""
