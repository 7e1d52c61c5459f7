"""What comes from the hub and outlives power cuts here: commands that wait, desired state, files."""
