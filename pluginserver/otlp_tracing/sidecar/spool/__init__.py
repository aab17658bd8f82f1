"""Where spans wait until they are delivered: on disk, and in memory for as long as the disk does not take them."""
