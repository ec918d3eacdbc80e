// Placed by the skeleton; replaced by this room's first test.
