"""Draw what several views share: axes, labels, levels, panels."""
