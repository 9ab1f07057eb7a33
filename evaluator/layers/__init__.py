"""What is lost where: each tensor's error, each layer's drift, and the divergence that each tensor causes alone."""
