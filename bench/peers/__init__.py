"""Other gateways, measured as ours is: see `python -m bench peers --help`."""
