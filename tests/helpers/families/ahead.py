"""A block that predicts the token after the next."""

from __future__ import annotations

from families.recipe import Recipe, vectors


def looking_ahead(recipe: Recipe) -> Recipe:
    """Add a block that predicts the token after the next: like the last one, with matrices for its input."""
    layers, width = recipe.metadata["block_count"], recipe.metadata["embedding_length"]
    for key, entry in recipe.metadata.items():
        if isinstance(entry, list) and len(entry) == layers and not key.endswith("sections"):
            recipe.metadata[key] = [*entry, entry[-1]]
    recipe.metadata |= {"block_count": layers + 1, "nextn_predict_layers": 1}
    last = f"blk.{layers - 1}."
    copied = {
        name.removeprefix(last): shape for name, shape in recipe.shapes.items() if name.startswith(last)
    }
    recipe.block(layers, copied, {"nextn.eh_proj.weight": (2 * width, width)})
    recipe.block(layers, vectors(width, "nextn.enorm", "nextn.hnorm", "nextn.shared_head_norm"))
    if recipe.architecture == "bailingmoe2":
        recipe.block(layers, vectors(width, "layer_output_norm"))
    return recipe
