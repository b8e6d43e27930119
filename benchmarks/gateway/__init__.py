"""What the chain in front of a route costs: the same route with it and without, in turns."""
