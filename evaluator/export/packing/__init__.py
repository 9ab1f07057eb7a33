"""Write the artifact to deploy: packed weights in a decoding graph, with a receipt."""
