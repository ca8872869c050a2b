"""What is left of a closed workspace when its time to be opened again is over."""
