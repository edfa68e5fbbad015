"""What hospitals agree to: the study, the channel it runs on, and the words it is shown in."""
