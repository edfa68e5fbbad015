"""What a hospital serves to its doctors: chosen on its own validation patients, never sent."""
