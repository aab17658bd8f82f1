"""From the spool to the collectors: per destination a backlog, a loop and a transport of its own."""
