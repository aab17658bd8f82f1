"""Two services and a client that are traced together with the gateway before them."""
