import os

# gRPC's fork handlers end a child now and then, before it runs its program, while calls are under way. They serve
# children that go on as they are; ours run another program at once. Read when gRPC starts.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
