"""ChirpStack's gRPC wire format: `chirpstack.proto` and the module generated from it (`make protocol`)."""
