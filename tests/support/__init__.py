"""What several tests use: clocks, servers, processes."""
