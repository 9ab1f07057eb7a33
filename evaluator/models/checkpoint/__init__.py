"""Present a Hugging Face checkpoint as GGUF presents a model."""
