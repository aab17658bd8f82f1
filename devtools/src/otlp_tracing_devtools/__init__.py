"""Development tools of otlp-tracing: a stand-in Kong, an OTLP receiver, and the demo made of them."""
