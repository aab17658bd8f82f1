return { name = "bench-profile", fields = { { config = { type = "record", fields = {} } } } }
