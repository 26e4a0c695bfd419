"""A car park, its devices and a ChirpStack, all simulated, over real MQTT and real gRPC."""
