"""What must not leave the machine: applied after assembly, before anything is queued, stored or sent."""
